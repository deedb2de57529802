import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import served

from aframe.errors import ServerError
from aframe.serving.launch import Launch
from aframe.serving.shared import shared_server, stop_shared_server


@pytest.mark.triton
def test_jobs_share_one_server_that_ends_with_their_run(small_repository, tritonserver, tmp_path, monkeypatch):
    shutil.copytree(small_repository / "joint-windows", tmp_path / "models" / "joint-windows")
    monkeypatch.setenv("PATH", f"{tritonserver}{os.pathsep}{os.environ['PATH']}")
    launch = Launch(str(tmp_path / "models"), "tritonserver", engine_cache=str(tmp_path / "cache"))
    directory = str(tmp_path / "run")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as run:
        with ThreadPoolExecutor(3) as jobs:
            addresses = set(jobs.map(lambda _: shared_server(launch, directory, run.pid, 60.0), range(3)))
        assert len(addresses) == 1
        record = json.loads((tmp_path / "run" / ".triton.json").read_text())
        assert (record["address"], record["owner"]) == (addresses.pop(), run.pid)
        run.kill()
    assert served.wait_until_gone(record["pid"])
    assert not (tmp_path / "run" / ".triton.json").exists()
    stop_shared_server(directory)  # which has ended by itself
    log = (tmp_path / "run" / "tritonserver.log").read_text()
    assert log.count("UTC: tritonserver") == 1
    assert "Signal (15) received" in log


def test_without_a_launcher_the_error_comes_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerError, match="no Triton server can be started"):
        shared_server(Launch("models"), str(tmp_path / "run"), os.getpid())
    stop_shared_server(str(tmp_path / "run"))  # there is none
    assert not (tmp_path / "run").exists()
