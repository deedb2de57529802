"""The pipeline with its data and results on a real S3 server, killed and resumed, gives the tables of a local run."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from comparison import differences
from terminal import AFRAME, aframe, environment_of, put_on, write_run

from aframe import storage
from aframe.train import model

pytestmark = pytest.mark.s3


def start(directory: Path) -> "subprocess.Popen[str]":
    command, pipe = [AFRAME, "run", str(directory), "--workers", "1"], subprocess.PIPE
    variables = environment_of() | {"AFRAME_CACHE_DIR": str(directory / "cache")}
    return subprocess.Popen(command, env=variables, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def test_tables_are_those_of_a_local_run(bucket: str, tmp_path: Path) -> None:
    local, remote = write_run(tmp_path / "local"), put_on(bucket, write_run(tmp_path / "remote"))
    plain, killed = start(local), start(remote)
    end = time.monotonic() + 300
    while not storage.exists(f"{bucket}/train_run/checkpoints/last.ckpt"):
        assert killed.poll() is None, killed.communicate()
        assert time.monotonic() < end
        time.sleep(0.2)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    resumed = start(remote)
    told = {name: process.communicate(timeout=400) for name, process in (("local", plain), ("remote", resumed))}
    assert (plain.returncode, resumed.returncode) == (0, 0), told
    assert told["remote"][0].splitlines()[-1] == f"report: {bucket}/results/report.html"
    assert differences(local, bucket) == []
    weights, others = (model.load(f"{place}/train_run/model.pt").network.state_dict() for place in (local, bucket))
    assert all((weights[name] == others[name]).all() for name in weights)
    assert storage.glob(bucket, "test_data", "injections", "*") == []
    here = [path for path in remote.rglob("*") if path.suffix in (".hdf5", ".pt", ".ckpt")]
    assert {path.relative_to(remote).parts[0] for path in here} == {"cache"}
    listing = aframe("status", str(remote))
    assert {line[:5].strip() for line in listing.stdout.splitlines()[1:]} == {"done"}, listing.stdout + listing.stderr
