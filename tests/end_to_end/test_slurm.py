"""Heavy tasks as jobs of a real Slurm: the same tables as without, whatever happens to jobs and to who submits them."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from comparison import content, differences
from images import calls, use_stand_in, write_own_image
from processes_of_runs import FETCH, INJECTIONS, running, wait_for
from terminal import LAW, aframe, environment_of, put_on, write_batch, write_run

from aframe.tables import InjectionTable

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("slurm")]

FOLLOWED = "FetchStrain test: 2 jobs of an earlier run followed"


def jobs(after: int = 0) -> list[tuple[int, str, str]]:
    """Number, state and name of each of Slurm's jobs after one, ended ones too; it forgets these after minutes."""
    command = ["squeue", "--noheader", "--states=all", "--format=%A|%T|%j"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.strip().split("|") for line in out.splitlines()]
    return sorted((int(number), state, name) for number, state, name in rows if int(number) > after)


def last() -> int:
    """Number of the newest job that Slurm remembers."""
    return max((number for number, _, _ in jobs()), default=0)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without jobs."""
    directory = write_run(tmp_path_factory.mktemp("local") / "run")
    result = aframe("run", str(directory))
    assert result.returncode == 0, result.stdout + result.stderr
    return directory


def test_the_same_tables_as_on_this_machine(local: Path, tmp_path: Path) -> None:
    before = last()
    directory = write_batch(write_run(tmp_path / "on Slurm, 100"), "slurm")
    result = aframe("run", str(directory))
    assert result.returncode == 0, result.stdout + result.stderr
    assert not differences(local, directory)
    names = [name for _, _, name in jobs(before)]
    branches = {"FetchStrain-train": 1, "FetchStrain-test": 2, "GenerateTrainingWaveforms": 1,
                "GenerateValidationWaveforms": 1, "GenerateInjections": 2}  # fmt: skip
    for task, number in branches.items():
        assert len([name for name in names if f"-{task}-branch-" in name]) == number
        told = f"{task.replace('-', ' ')}: {number} job{'s' if number > 1 else ''} submitted to Slurm, in "
        assert any(line.startswith(told) for line in result.stdout.splitlines())
        assert len(list((directory / "condor" / task / "attempt-1").glob("branch-*.log"))) == number
        assert not (directory / "condor" / task / "environment.sh").exists()
    assert any("-ScoreSlides-branch-" in name for name in names)
    assert not list(directory.rglob(".partial-*"))


def test_jobs_run_in_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_stand_in(monkeypatch, tmp_path)
    image = write_own_image(tmp_path / "own.sif")
    plain = write_run(tmp_path / "plain")
    directory = write_batch(write_run(tmp_path / "run"), "slurm", image=image)
    for each in (plain, directory):
        subprocess.run([LAW, "run", *FETCH, "--workers", "2"], env=environment_of(each), check=True)
    strain = sorted(path.relative_to(directory) for path in directory.glob("test_data/background/*.hdf5"))
    assert len(strain) == len(calls(tmp_path)) == 2
    assert all(content(directory / path) == content(plain / path) for path in strain)


@pytest.mark.s3
def test_the_same_tables_with_data_and_results_on_s3(bucket: str, local: Path, tmp_path: Path) -> None:
    before = last()
    directory = write_batch(put_on(bucket, write_run(tmp_path / "remote")), "slurm")
    result = aframe("run", str(directory))
    assert result.returncode == 0, result.stdout + result.stderr
    assert not differences(local, bucket)
    assert len(jobs(before)) > 8
    assert not list(directory.rglob("*.hdf5"))


def test_failed_jobs_are_reported_and_repeated_with_more_memory_where_it_did_not_suffice(tmp_path: Path) -> None:
    text = "[luigi_GenerateInjections]\nmemory = 120\nmemory_factor = 20\n"
    directory = write_batch(write_run(tmp_path / "run"), "slurm", text)
    first = max([number for number, _, _ in jobs()], default=0) + 1

    def state(number: int) -> str:
        return next((state for found, state, _ in jobs() if found == number), "")

    with running(directory, tmp_path / "output.txt", *INJECTIONS) as process:
        wait_for(lambda: state(first + 1) == "RUNNING" or state(first) == "RUNNING")
        subprocess.run(["scancel", str(first)], check=True)
        wait_for(lambda: python_of(first + 1, directory))
        os.kill(python_of(first + 1, directory)[0], signal.SIGKILL)
        assert process.wait(400) == 0, (tmp_path / "output.txt").read_text()
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
            if f"SLURM_JOB_ID={number}".encode() in variables and b"law_start" in (path / "cmdline").read_bytes():
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
    before = last()
    with running(directory, tmp_path / "first.txt", *INJECTIONS) as process:
        assert process.wait(400) == 1
    output = (tmp_path / "first.txt").read_text()
    assert "FetchStrain test: branch 1 failed (FAILED: NonZeroExitCode), to be submitted again\n" in output
    assert "FetchStrain test: branch 1 failed (FAILED: NonZeroExitCode), given up\n" in output
    assert "  | error: " in output
    assert f"error: FetchStrain test: 1 of 2 jobs failed for good: their logs are in {directory}/condor" in output
    assert "Traceback" not in output
    assert len(jobs(before)) == 3
    (blocked / "in the way").unlink()
    blocked.rmdir()
    before = last()
    with running(directory, tmp_path / "second.txt", *FETCH) as process:
        assert process.wait(400) == 0
    assert [name.rpartition("-test-")[2] for _, _, name in jobs(before)] == ["branch-1"]


def test_jobs_outlive_the_run_however_it_ends_and_the_next_one_finds_them(tmp_path: Path) -> None:
    directory = write_batch(write_run(tmp_path / "run"), "slurm")
    node = subprocess.run(
        ["sinfo", "--noheader", "--format=%n"], capture_output=True, text=True, check=True
    ).stdout.strip()
    before, output = last(), tmp_path / "output.txt"

    def update(state: str) -> None:
        command = ["scontrol", "update", f"nodename={node}", f"state={state}", "reason=test"]
        subprocess.run(command, capture_output=True, check=False)  # a node that is up already cannot be resumed

    def pending() -> list[str]:
        return [name for _, state, name in jobs(before) if state == "PENDING"]

    update("drain")  # jobs wait until the run has been interrupted often enough
    try:
        for sign in (signal.SIGINT, signal.SIGHUP, signal.SIGKILL):
            with running(directory, output, *INJECTIONS) as process:
                told = "FetchStrain test: 2 jobs submitted to Slurm" if sign == signal.SIGINT else FOLLOWED
                wait_for(lambda told=told: told in output.read_text() and len(pending()) == 2)
                os.killpg(process.pid, sign)
                assert process.wait(30) != 0
            assert len(pending()) == 2
        for record in (directory / "condor" / "FetchStrain-test").glob("slurm_jobs_*.json"):
            record.unlink()  # as where the run is killed before it has written down what it submitted
        with running(directory, output, *INJECTIONS) as process:
            wait_for(lambda: FOLLOWED in output.read_text())
            update("resume")
            assert process.wait(400) == 0, output.read_text()
    finally:
        update("resume")
    names = [name for _, _, name in jobs(before)]
    assert len(names) == len(set(names)) == 4
    assert len(InjectionTable.read(str(directory / "test_data" / "waveforms.hdf5"))) == 16
