"""Heavy tasks as jobs of a real Slurm: the same tables as without, whatever happens to jobs and to who submits them."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from comparison import differences
from terminal import LAW, aframe, environment_of, write_batch, write_run

from aframe.tables import InjectionTable

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("slurm")]

INJECTIONS = "aframe.tasks.waveforms.MergeInjections"
"""A task that needs two workflows of two branches each."""


FETCH = ("aframe.tasks.data.FetchStrain", "--stage", "test")
FOLLOWED = "FetchStrain test: 2 jobs of an earlier run are followed"


def jobs() -> list[tuple[int, str, str]]:
    """Number, state and name of each of Slurm's jobs, ended ones too."""
    command = ["squeue", "--noheader", "--states=all", "--format=%A|%T|%j"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.strip().split("|") for line in out.splitlines()]
    return sorted((int(number), state, name) for number, state, name in rows)


def wait_for(condition: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@contextmanager
def running(directory: Path, output: Path, *task: str) -> "Iterator[subprocess.Popen[bytes]]":
    """A task that runs in a session of its own, and is killed at the end if it still does."""
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [LAW, "run", *(task or (INJECTIONS,)), "--workers", "2"], env=environment_of(directory), stdout=stream,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_the_same_tables_as_on_this_machine(tmp_path: Path) -> None:
    local = write_run(tmp_path / "local")
    result = aframe("run", str(local))
    assert result.returncode == 0, result.stdout + result.stderr
    before = len(jobs())
    directory = write_batch(write_run(tmp_path / "on Slurm, 100"), "slurm")
    result = aframe("run", str(directory))
    assert result.returncode == 0, result.stdout + result.stderr
    assert not differences(local, directory)
    names = [name for _, _, name in jobs()][before:]
    branches = {"FetchStrain-train": 1, "FetchStrain-test": 2, "GenerateTrainingWaveforms": 1,
                "GenerateValidationWaveforms": 1, "GenerateInjections": 2}  # fmt: skip
    for task, number in branches.items():
        assert len([name for name in names if f"-{task}-branch-" in name]) == number
        assert (
            f"\n{task.replace('-', ' ')}: {number} job{'s' if number > 1 else ''} submitted to Slurm" in result.stdout
        )
        assert len(list((directory / "condor" / task / "attempt-1").glob("branch-*.log"))) == number
        assert not (directory / "condor" / task / "environment.sh").exists()
    assert any("-ScoreSlides-branch-" in name for name in names)
    assert not list(directory.rglob(".partial-*"))


def test_failed_jobs_are_told_and_tried_again_with_more_memory_where_it_was_too_little(tmp_path: Path) -> None:
    text = "[luigi_GenerateInjections]\nmemory = 120\nmemory_factor = 20\n"
    directory = write_batch(write_run(tmp_path / "run"), "slurm", text)
    first = max([number for number, _, _ in jobs()], default=0) + 1

    def state(number: int) -> str:
        return next((state for found, state, _ in jobs() if found == number), "")

    with running(directory, tmp_path / "output.txt") as process:
        wait_for(lambda: state(first + 1) == "RUNNING" or state(first) == "RUNNING")
        subprocess.run(["scancel", str(first)], check=True)
        wait_for(lambda: python_of(first + 1, directory))
        os.kill(python_of(first + 1, directory)[0], signal.SIGKILL)
        assert process.wait(200) == 0, (tmp_path / "output.txt").read_text()
    output = (tmp_path / "output.txt").read_text()
    assert re.search(r"FetchStrain test: branch \d failed \(CANCELLED.*\), to be submitted again\n", output)
    assert re.search(r"FetchStrain test: branch \d failed \(FAILED: NonZeroExitCode\), to be submitted again\n", output)
    assert re.search(r"\n  \| .*: line \d+: +\d+ Killed ", output)
    again = re.findall(r"GenerateInjections: branch (\d) failed .* submitted again with 2400 MiB of memory\n", output)
    assert sorted(again) == ["0", "1"]
    assert re.search(r"\n  \| slurmstepd.*[Ee]xceeded.* memory limit", output)
    assert len(InjectionTable.read(str(directory / "test_data" / "waveforms.hdf5"))) == 16
    for task in ("FetchStrain-test", "GenerateInjections"):
        attempts = sorted(path.parent.name for path in (directory / "condor" / task).glob("attempt-*/*.sh"))
        assert attempts == ["attempt-1", "attempt-1", "attempt-2", "attempt-2"]


def python_of(number: int, directory: Path) -> list[int]:
    """Processes of a job that run a task."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            variables = (path / "environ").read_bytes()
            if f"SLURM_JOB_ID={number}".encode() in variables and b"law.cli" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue
    return found


def test_a_job_that_always_fails_ends_the_run_when_the_others_are_done_and_the_next_run_does_it_alone(
    tmp_path: Path,
) -> None:
    directory = write_batch(write_run(tmp_path / "run"), "slurm", retries=1)
    blocked = directory / "test_data" / "background" / "background-1262304512-256.hdf5"
    blocked.mkdir(parents=True)
    (blocked / "in the way").touch()
    before = len(jobs())
    with running(directory, tmp_path / "first.txt") as process:
        assert process.wait(200) == 1
    output = (tmp_path / "first.txt").read_text()
    assert "FetchStrain test: branch 1 failed (FAILED: NonZeroExitCode), to be submitted again\n" in output
    assert "FetchStrain test: branch 1 failed (FAILED: NonZeroExitCode), given up\n" in output
    assert "  | error: " in output
    assert f"error: FetchStrain test: 1 of 2 jobs failed for good: their logs are in {directory}/condor" in output
    assert "Traceback" not in output
    assert len(jobs()) - before == 3
    (blocked / "in the way").unlink()
    blocked.rmdir()
    before = len(jobs())
    with running(directory, tmp_path / "second.txt", *FETCH) as process:
        assert process.wait(200) == 0
    assert [name.rpartition("-test-")[2] for _, _, name in jobs()[before:]] == ["branch-1"]


def test_jobs_outlive_the_run_however_it_ends_and_the_next_one_finds_them(tmp_path: Path) -> None:
    directory = write_batch(write_run(tmp_path / "run"), "slurm")
    node = subprocess.run(
        ["sinfo", "--noheader", "--format=%n"], capture_output=True, text=True, check=True
    ).stdout.strip()
    before, output = len(jobs()), tmp_path / "output.txt"

    def update(state: str) -> None:
        subprocess.run(["scontrol", "update", f"nodename={node}", f"state={state}", "reason=test"], check=True)

    def pending() -> list[str]:
        return [name for _, state, name in jobs()[before:] if state == "PENDING"]

    update("drain")  # jobs wait until the run has been interrupted often enough
    try:
        for sign in (signal.SIGINT, signal.SIGHUP, signal.SIGKILL):
            with running(directory, output) as process:
                told = "FetchStrain test: 2 jobs submitted to Slurm" if sign == signal.SIGINT else FOLLOWED
                wait_for(lambda told=told: told in output.read_text() and len(pending()) == 2)
                os.killpg(process.pid, sign)
                assert process.wait(30) != 0
            assert len(pending()) == 2
        for record in (directory / "condor" / "FetchStrain-test").glob("slurm_jobs_*.json"):
            record.unlink()  # as where the run is killed before it has written down what it submitted
        with running(directory, output) as process:
            wait_for(lambda: FOLLOWED in output.read_text())
            update("resume")
            assert process.wait(200) == 0, output.read_text()
    finally:
        update("resume")
    names = [name for _, _, name in jobs()[before:]]
    assert len(names) == len(set(names)) == 4
    assert len(InjectionTable.read(str(directory / "test_data" / "waveforms.hdf5"))) == 16
