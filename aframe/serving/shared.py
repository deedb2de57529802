"""One server for all processes of a run. The first process that needs it starts it, and it ends with the run."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from aframe.errors import ServerError
from aframe.machine.processes import is_alive
from aframe.serving.launch import Launch
from aframe.serving.server import POLL_INTERVAL, STOP_TIMEOUT, free_ports

_started: list["subprocess.Popen[bytes]"] = []
"""Servers that this process has started. They may outlive it."""


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[Path]:
    """Lock the record of a directory's server, and yield its path. Ended servers of this process are forgotten."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".triton.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _started[:] = [process for process in _started if process.poll() is None]
        yield directory / ".triton.json"


def shared_server(launch: Launch, directory: str, owner: int, patience: float = 1800.0) -> str:
    """Address of a run's server. The server is started if it does not run.

    Args:
        launch: Options of the server, with the host for jobs. Its ports are replaced by unused ones.
        directory: Local directory of the run, for the server's record and log.
        owner: PID of the run's process. The server ends with it.
        patience: Longest time until the server is ready, s.

    Raises:
        ServerError: If the server cannot be started.
    """
    launch.find_launcher()
    with _locked(Path(directory)) as record:
        if record.exists():
            running = json.loads(record.read_text())
            if running["owner"] == owner and is_alive(running["pid"]):
                return str(running["address"])
            record.unlink()
        messages = record.with_name(".triton-messages.txt")
        with messages.open("wb") as stream:
            process = subprocess.Popen(
                _command(launch, record, owner, patience), stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
            )
        _started.append(process)
        while not record.exists():
            if process.poll() is not None:
                lines = messages.read_text().splitlines() or [f"it ended with exit code {process.returncode}"]
                raise ServerError(lines[-1].removeprefix("error: "))
            time.sleep(POLL_INTERVAL)
        return str(json.loads(record.read_text())["address"])


def stop_shared_server(directory: str) -> None:
    """Stop the server of a run, if it runs."""
    if not (Path(directory) / ".triton.lock").exists():
        return
    with _locked(Path(directory)) as record:
        if not record.exists():
            return
        pid = int(json.loads(record.read_text())["pid"])
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + 2 * STOP_TIMEOUT
        while (record.exists() or _is_own_child(pid)) and time.monotonic() < end:
            time.sleep(POLL_INTERVAL)


def _is_own_child(pid: int) -> bool:
    """Whether a server that this process has started still runs."""
    return any(process.pid == pid and process.poll() is None for process in _started)


def _command(launch: Launch, record: Path, owner: int, patience: float) -> list[str]:
    endpoint = free_ports(launch.endpoint.host)
    options = {
        "repository": launch.repository,
        "with": launch.launcher,
        "image": launch.image,
        "gpus": launch.gpus,
        "engine-cache": launch.engine_cache,
        "host": endpoint.host,
        "grpc-port": endpoint.grpc_port,
        "http-port": endpoint.http_port,
        "metrics-port": endpoint.metrics_port,
        "log": record.with_name("tritonserver.log"),
        "patience": patience,
        "record": record,
        "owner": owner,
    }
    arguments = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-P", "-m", "aframe.cli", "serve", *arguments]
