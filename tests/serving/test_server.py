import os
import shutil
import signal
import socket
from pathlib import Path

import pytest
import served
from terminal import aframe_here

from aframe.serving.server import free_ports

pytestmark = pytest.mark.triton


@pytest.fixture
def windows_alone(small_repository: Path, tmp_path: Path) -> Path:
    """A repository of one model, to be changed."""
    shutil.copytree(small_repository / "joint-windows", tmp_path / "repository" / "joint-windows")
    return tmp_path / "repository"


def test_a_server_is_ready_when_it_says_so_and_ends_with_sigterm(windows_alone, tritonserver, tmp_path):
    with served.serving(windows_alone, tritonserver, tmp_path / "kept.log") as running:
        server, endpoint = running.server, running.endpoint
        with socket.create_connection(("127.0.0.1", endpoint.http_port)) as connection:
            connection.sendall(b"GET /v2/health/ready HTTP/1.0\r\n\r\n")
            assert b"200 OK" in connection.recv(100)
        out, errors = served.stop(running)
    assert (running.process.returncode, out, errors) == (0, "", "")
    assert served.wait_until_gone(server)
    log = (tmp_path / "kept.log").read_text()
    assert "UTC: tritonserver --model-repository=" in log.splitlines()[0]
    assert "successfully loaded 'joint-windows'" in log


def test_a_server_does_not_outlive_its_parent(windows_alone, tritonserver, tmp_path):
    with served.serving(windows_alone, tritonserver, tmp_path / "log") as running:
        server = running.server
        os.kill(running.process.pid, signal.SIGKILL)
        assert served.wait_until_gone(server)


def test_the_error_of_a_killed_server_names_its_log(windows_alone, tritonserver, tmp_path):
    with served.serving(windows_alone, tritonserver, tmp_path / "log") as running:
        server = running.server
        os.kill(server, signal.SIGKILL)
        _, errors = running.process.communicate(timeout=20)
    assert running.process.returncode == 1
    assert errors.startswith("error: tritonserver was ended by signal 9")
    assert not served.alive_in_group(server)  # nor do the processes of its models remain
    assert str(tmp_path / "log") in errors


def test_a_model_that_does_not_load_is_an_error(windows_alone, tritonserver, tmp_path):
    (windows_alone / "joint-windows" / "1" / "model.onnx").write_bytes(b"no model")
    damaged = aframe_here("serve", "--repository", str(windows_alone))
    assert "model.onnx is damaged (its SHA-256 is not that of joint-windows's export)" in damaged.stderr
    configuration = windows_alone / "joint-windows" / "config.pbtxt"
    configuration.write_text(configuration.read_text().replace("file_sha256", "no_checksum"))
    running = served.start(windows_alone, tritonserver, free_ports("127.0.0.1"), tmp_path / "log")
    out, errors = running.process.communicate(timeout=60)
    assert (running.process.returncode, out) == (1, "")
    assert len(errors.splitlines()) == 1
    assert errors.startswith("error: tritonserver ended with exit code 1: ")
    assert "joint-windows" in errors
    assert str(tmp_path / "log") in errors


def test_a_port_in_use_and_a_missing_repository_are_refused_at_once(windows_alone, tritonserver, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = free_ports("127.0.0.1")
        port = taken.getsockname()[1]
        endpoint = type(endpoint)(grpc_port=port, http_port=endpoint.http_port, metrics_port=endpoint.metrics_port)
        running = served.start(windows_alone, tritonserver, endpoint, tmp_path / "log")
        _, errors = running.process.communicate(timeout=30)
    assert errors == f"error: port {port} cannot be used (Address already in use): choose another with --grpc-port\n"
    missing = aframe_here("serve", "--repository", str(tmp_path / "none"))
    assert missing.stderr == f"error: {tmp_path}/none does not exist: `aframe export` makes a repository\n"
