"""Batch systems that fail for a while, by stand-ins for their commands."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from aframe.batch import htcondor, slurm
from aframe.errors import BatchError
from aframe.tasks import jobs
from aframe.tasks.htcondor import CondorManager
from aframe.tasks.jobs import ask, ask_patiently, submit_patiently
from aframe.tasks.slurm import SlurmManager

TIMED_OUT = "slurm_load_jobs error: Socket timed out on send/recv operation"


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses between questions, which take no time."""
    taken: list[float] = []
    monkeypatch.setattr(jobs, "time", SimpleNamespace(monotonic=lambda: sum(taken), sleep=taken.append))
    return taken


def program(directory: Path, *answers: str) -> list[str]:
    """A program that runs one of some lines of shell after the other, and the last one from then on."""
    cases = "".join(f"{number}) {answer};;\n" for number, answer in enumerate(answers[:-1], 1))
    count = f"echo >> {directory}/calls\ncase $(wc -l < {directory}/calls) in"
    path = directory / "squeue"
    path.write_text(f"#!/bin/bash\n{count}\n{cases}*) {answers[-1]};;\nesac\n")
    path.chmod(0o755)
    return [str(path)]


@pytest.fixture
def failure() -> str:
    return f"echo '{TIMED_OUT}' >&2; exit 1"


def test_a_batch_system_that_fails_for_a_while_is_asked_again(
    tmp_path: Path, pauses: list[float], failure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = program(tmp_path, failure, failure, "echo 'sched: a warning'; echo '8|a-job'")
    assert ask_patiently(lambda: slurm.names(ask(command))) == {"a-job": 8}
    assert pauses == [1.0, 2.0]
    assert capsys.readouterr().err == f"note: {command[0]} failed: {TIMED_OUT}: asking again for up to 3600 s\n"


def test_a_batch_system_that_never_answers_ends_the_run(tmp_path: Path, pauses: list[float], failure: str) -> None:
    command = program(tmp_path, failure)
    with pytest.raises(BatchError, match=f"squeue failed: {TIMED_OUT}"):
        ask_patiently(lambda: ask(command))
    assert pauses[-1] == max(pauses) == 60.0
    assert 3500 < sum(pauses) <= 3600


def test_a_cut_answer_of_htcondor_is_asked_for_again(tmp_path: Path, pauses: list[float]) -> None:
    ad = '[{"ClusterId": 3, "ProcId": 0}]'
    command = program(
        tmp_path, f"echo '{ad[:9]}'", "echo '[ '", "echo '-- Failed to fetch ads'", f"echo 'WARNING: x'; echo '{ad}'"
    )
    assert ask_patiently(lambda: htcondor.advertised(ask(command))) == {"3.0": {"ClusterId": 3, "ProcId": 0}}
    assert len(pauses) == 3


@pytest.mark.parametrize(
    ("words", "is_asked_again"),
    [
        ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", True),
        ("sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)", True),
        ("ERROR: Can't find address of local schedd", True),
        ("sbatch: error: invalid partition specified: fast", False),
    ],
)
def test_a_submission_is_repeated_while_no_server_answers(
    pauses: list[float], words: str, is_asked_again: bool
) -> None:
    errors = [RuntimeError(f"submission of job 'x' failed:\n{words}")] * 9

    def submit() -> int:
        if errors:
            raise errors.pop()
        return 8

    if is_asked_again:
        assert submit_patiently(submit) == 8
        assert len(pauses) == 9
    else:
        with pytest.raises(RuntimeError, match="invalid partition"):
            submit_patiently(submit)
        assert not pauses


@pytest.mark.parametrize("name", ["sbatch", "condor_submit"])
def test_both_systems_submit_patiently(
    tmp_path: Path, pauses: list[float], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    manager = SlurmManager() if name == "sbatch" else CondorManager()
    answer = {"sbatch": "Submitted batch job 8", "condor_submit": "1 job(s) submitted to cluster 8."}[name]
    program(tmp_path, "echo 'Connection timed out' >&2; exit 1", f"echo '{answer}'")
    (tmp_path / "squeue").rename(tmp_path / name)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "job.sh").touch()
    assert manager.submit(str(tmp_path / "job.sh")) in (8, "8.0", ["8.0"])
    assert pauses == [1.0]


@pytest.mark.parametrize("name", ["squeue", "condor_q"])
def test_both_systems_query_patiently_and_say_so_once(
    tmp_path: Path,
    pauses: list[float],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    manager, number = (SlurmManager(), 8) if name == "squeue" else (CondorManager(), "8.0")
    running = {"squeue": "8|RUNNING|None", "condor_q": '[{"ClusterId": 8, "ProcId": 0, "JobStatus": 2}]'}[name]
    program(tmp_path, "echo 'cut' >&2; exit 1", "echo 'cut' >&2; exit 1", f"echo '{running}'", "exit 1")
    (tmp_path / "squeue").rename(tmp_path / name)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert manager.query_batch([number])[number]["status"] == manager.RUNNING
    assert capsys.readouterr().err == f"note: {name} failed: cut: asking again for up to 3600 s\n"
    with pytest.raises(BatchError, match=f"{name} failed: exit code 1"):
        manager.query_batch([number])
    assert 3500 < sum(pauses) <= 3 + 3600
