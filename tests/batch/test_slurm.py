import shlex
from pathlib import Path

import pytest

from aframe.batch.job import Job
from aframe.batch.slurm import directives, had_too_little_memory, names, states
from aframe.settings.jobs import Batch
from aframe.settings.keys import Lines


def test_directives_say_what_a_job_may_take() -> None:
    job = Job("name", "branch-1", Path('/data/a run, 100% "mine"'), 1, 3000, [])
    settings = Batch(workflow="slurm", gpus=2, cpus=4, time=90.0, accounting_group="acc", partition="gpu",
                     submit_lines=Lines(["--qos=long", "--exclude=a,b"]))  # fmt: skip
    lines = directives(job, settings)
    assert all(line.startswith("#SBATCH --") for line in lines)
    options = [shlex.split(line)[1] for line in lines if line.startswith("#SBATCH ") and (shlex.split(line)[1:])]
    assert len(options) == len(lines)
    assert options[-2:] == ["--qos=long", "--exclude=a,b"]
    values = dict(option[2:].split("=", 1) for option in options)
    assert values["output"] == '/data/a run, 100%% "mine"/attempt-1/branch-1.log'
    assert values["chdir"] == '/data/a run, 100% "mine"'
    expected = {
        "mem": "3000M",
        "cpus-per-task": "4",
        "gres": "gpu:2",
        "time": "2",
        "account": "acc",
        "partition": "gpu",
    }
    assert expected.items() <= values.items()
    plain = directives(job, Batch(workflow="slurm"))
    assert not [line for line in plain if "gres" in line or "account" in line or "partition" in line]


def test_what_slurm_prints_is_read() -> None:
    text = "12|RUNNING|None\n13|OUT_OF_MEMORY|OutOfMemory\n14|CANCELLED by 1000|None\n14.batch|CANCELLED|\n\n"
    assert states(text) == {12: ("RUNNING", ""), 13: ("OUT_OF_MEMORY", "OutOfMemory"), 14: ("CANCELLED", "")}
    assert names("12|aframe-1-Score-branch-3\n13|a|b\n") == {"aframe-1-Score-branch-3": 12, "a|b": 13}


@pytest.mark.parametrize(
    ("state", "line", "expected"),
    [
        ("OUT_OF_MEMORY", "", True),
        ("FAILED", "slurmstepd: error: Exceeded job memory limit", True),
        ("FAILED", "slurmstepd-n1: error: Detected 1 oom_kill event in StepId=5.batch", True),
        ("FAILED", "MemoryError: exceeded memory limit", False),
        ("TIMEOUT", "slurmstepd: error: *** JOB 5 CANCELLED DUE TO TIME LIMIT ***", False),
    ],
)
def test_too_little_memory_is_distinguished_from_other_failures(state: str, line: str, expected: bool) -> None:
    assert had_too_little_memory(state, ["before", line]) == expected
