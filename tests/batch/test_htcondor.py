from pathlib import Path
from typing import Any

import pytest

from aframe.batch.htcondor import advertised, description, failure, had_too_little_memory
from aframe.batch.job import Job
from aframe.settings.jobs import Batch


def test_a_submit_file_queues_each_job_with_its_own_memory_and_attempt() -> None:
    jobs = [Job("n", f"branch-{n}", Path("/data/a run"), 1 + n, 100 * (n + 1), []) for n in range(2)]
    lines = description(jobs, Batch(workflow="htcondor", memory=1), "aframe-0-Score").splitlines()
    assert lines[-4:] == ["queue attempt, label, memory from (", "1 branch-0 100", "2 branch-1 200", ")"]
    assert "executable = /data/a run/attempt-$(attempt)/$(label).sh" in lines
    assert 'My.AframeJob = "aframe-0-Score-$(label)"' in lines
    assert not [line for line in lines if line.startswith(("accounting", "request_gpus", "container", "use_oauth"))]


def test_what_condor_q_prints_is_read() -> None:
    assert advertised("") == advertised("WARNING: your token expires in 3 days\n") == {}
    assert advertised('[\n{"ClusterId": 3, "ProcId": 0, "JobStatus": 2}\n]\n')["3.0"]["JobStatus"] == 2


@pytest.mark.parametrize(
    ("ad", "reason", "memory"),
    [
        ({"JobStatus": 4, "ExitCode": 0}, None, False),
        ({"JobStatus": 4, "ExitCode": 1}, "exit code 1", False),
        ({"JobStatus": 4, "ExitBySignal": True, "ExitSignal": 9}, "ended by signal 9", False),
        ({"JobStatus": 3, "RemoveReason": "via condor_rm"}, "removed: via condor_rm", False),
        ({"JobStatus": 5, "HoldReason": "no disk", "HoldReasonCode": 13}, "held: no disk", False),
        ({"JobStatus": 5, "HoldReason": "too big", "HoldReasonCode": 34}, "held: too big", True),
        ({"JobStatus": 5, "HoldReason": "Memory use is over the request", "HoldReasonCode": 26},
         "held: Memory use is over the request", True),
    ],
)  # fmt: skip
def test_why_a_job_failed(ad: dict[str, Any], reason: str | None, memory: bool) -> None:
    assert failure(ad) == reason
    assert had_too_little_memory(ad) == memory
