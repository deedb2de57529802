import os
import stat
import subprocess
from pathlib import Path

import pytest

from aframe.batch.job import Job, label_of, next_attempt, passed_variables, tail, write_environment, write_script
from aframe.settings.jobs import Batch

HARD = "a 'hard' \"value\" with $HOME, `ticks`\nand two lines\\"


def test_variables_arrive_as_they_are_and_only_their_owner_can_read_them(tmp_path: Path) -> None:
    path = tmp_path / "a directory" / "environment.sh"
    for value in ("before", HARD):
        write_environment(path, {"AFRAME_HARD": value})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    command = ["bash", "-c", '. "$1"; printf %s "$AFRAME_HARD"', "bash", path]
    assert subprocess.run(command, env={}, capture_output=True, check=True, text=True).stdout == HARD
    assert [each.name for each in path.parent.iterdir()] == ["environment.sh"]


def test_a_job_takes_along_what_belongs_to_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {
        "AFRAME_DEBUG": "1", "AWS_SESSION_TOKEN": "t", "LAW_HOME": "/l", "PATH": "/bin", "PYTHONPATH": "code:/lib",
        "CUDA_VISIBLE_DEVICES": "3", "SLURM_JOB_ID": "7", "DISPLAY": ":0", "AFRAME_JOB": "x", "AFRAME_CONSOLE": "12:34",
        "BASH_FUNC_x%%": "()",
    }  # fmt: skip
    kept = {"AFRAME_DEBUG": "1", "AWS_SESSION_TOKEN": "t", "LAW_HOME": "/l"}
    installed = {"PATH": "/bin", "PYTHONPATH": f"{tmp_path}/code:/lib"}
    assert passed_variables(environment, in_container=False) == kept | installed
    assert passed_variables(environment, in_container=True) == kept


@pytest.mark.parametrize("gpus", [0, 1])
def test_a_job_does_all_its_branches_and_fails_if_one_does(tmp_path: Path, gpus: int) -> None:
    branches = [["fail me"], [HARD]]
    job = Job("the name", label_of([3, 4]), tmp_path / "a task", 2, 100, branches)
    write_environment(job.directory / "environment.sh", {"AFRAME_X": "1"})
    settings = Batch(gpus=gpus, cpus=3)
    write_script(job, settings, ["# header"], str(job.directory / "environment.sh"))
    python = tmp_path / "python"  # in the place of ours: it says what it was asked, and in which environment
    python.write_text('#!/bin/bash\nprintf "%s|" "$AFRAME_JOB" "$AFRAME_JOB_CORES" "$OMP_NUM_THREADS" '
                      '"${CUDA_VISIBLE_DEVICES-none}" "${@:4}"\n[ "$5" != "fail me" ]\n')  # fmt: skip
    python.chmod(0o755)
    text = job.script.read_text()
    job.script.write_text(text.replace(text[text.index("status=0\n") + 9 :].split(" ")[0], str(python)))
    assert job.script == tmp_path / "a task" / "attempt-2" / "branches-3-4.sh"
    done = subprocess.run([job.script], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False)
    seen = "the name|3|1|none|run|" if gpus else "the name|3|1||run|"
    assert (done.returncode, done.stdout, done.stderr) == (1, f"{seen}fail me|{seen}{HARD}|", "")


def test_attempts_are_counted_for_each_job(tmp_path: Path) -> None:
    assert next_attempt(tmp_path, "branch-1") == 1
    for attempt in (1, 2):
        (tmp_path / f"attempt-{attempt}").mkdir()
        (tmp_path / f"attempt-{attempt}" / "branch-1.sh").touch()
    assert (next_attempt(tmp_path, "branch-1"), next_attempt(tmp_path, "branch-2")) == (3, 1)


def test_the_end_of_a_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert tail(path) == []
    path.write_bytes(b"".join(b"line %d\n\n" % number for number in range(10000)) + b"not UTF-8: \xff\n")
    assert tail(path, 2) == ["line 9999", "not UTF-8: �"]
