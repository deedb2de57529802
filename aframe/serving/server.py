"""A Triton server as a child process: start, checks that it is ready and alive, and stop when this process ends."""

import contextlib
import functools
import http.client
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from aframe.errors import ServerError
from aframe.machine.processes import die_with
from aframe.serving.launch import Endpoint, Launch

ERROR = re.compile(r"^(E\d{4} |error: )")
"""Start of an error in the server's log."""

HARMLESS_ERROR = re.compile(r"CudaDriverHelper has not been initialized")
"""Error that a server without GPUs always logs."""

STOP_TIMEOUT = 30.0
"""Seconds that a server may take to end after SIGTERM."""

POLL_INTERVAL = 0.2
"""Seconds between two checks of a server."""


def free_ports(host: str) -> Endpoint:
    """Endpoint with unused ports."""
    sockets = [socket.socket() for _ in range(3)]
    try:
        for item in sockets:
            item.bind(("", 0))
        return Endpoint(host, *(item.getsockname()[1] for item in sockets))
    finally:
        for item in sockets:
            item.close()


class TritonServer:
    """Server as a child of this process, for a ``with`` block in the main thread.

    Args:
        launch: Options of the server.
        log: Path of the server's log. The log is appended to the file.

    Raises:
        ServerError: If no launcher is on PATH, or a port is in use.
    """

    def __init__(self, launch: Launch, log: str) -> None:
        self.launch, self.log = launch, Path(log).absolute()
        self.launcher = launch.find_launcher()
        endpoint = launch.endpoint
        for option in ("grpc_port", "http_port", "metrics_port"):
            _check_free(endpoint.interface, getattr(endpoint, option), option)

    def __enter__(self) -> "TritonServer":
        Path(self.launch.engine_cache).mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = self.launch.command(self.launcher)
        with self.log.open("ab") as log:
            log.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: {' '.join(command)}\n".encode())
            log.flush()
            self.lines: IO[str] = self.log.open(encoding="utf-8", errors="replace")
            self.lines.seek(0, os.SEEK_END)
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | {"CUDA_VISIBLE_DEVICES": self.launch.gpus},
                start_new_session=True,  # an interrupt at the terminal must not end it before this process does
                preexec_fn=functools.partial(die_with, os.getpid()),  # noqa: PLW1509 - no thread holds a lock that it needs
            )
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                if command := self.launch.kill_command(self.launcher):
                    subprocess.run(command, check=False, capture_output=True)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # the server, and processes of its models
        self.process.wait()
        self.lines.close()

    def new_errors(self) -> list[str]:
        """Errors in the log since the last call."""
        lines = (line.strip() for line in self.lines)
        return [line for line in lines if ERROR.match(line) and not HARMLESS_ERROR.search(line)]

    def is_ready(self) -> bool:
        """Whether the server reports that all its models are ready."""
        connection = http.client.HTTPConnection(self.launch.endpoint.host, self.launch.endpoint.http_port, timeout=5)
        try:
            connection.request("GET", "/v2/health/ready")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def wait_until_ready(self, patience: float, is_over: Callable[[], bool] = lambda: False) -> bool:
        """Wait until the server has loaded its models.

        Args:
            patience: Longest time to wait, s.
            is_over: Whether to stop waiting.

        Returns:
            Whether the server is ready. False if ``is_over`` ended the wait.

        Raises:
            ServerError: If the server ends, or is not ready in time. The message has the server's errors.
        """
        errors: list[str] = []
        end = time.monotonic() + patience
        while not is_over():
            errors += self.new_errors()
            self.check_alive(errors)
            if self.is_ready():
                return True
            if time.monotonic() > end:
                raise ServerError(f"{self.launcher} is not ready after {patience:g} s{self._summary(errors)}")
            time.sleep(POLL_INTERVAL)
        return False

    def check_alive(self, errors: list[str]) -> None:
        """Check that the server runs.

        Args:
            errors: Earlier errors of the server, for the message.

        Raises:
            ServerError: If the server has ended. The message has its last errors.
        """
        code = self.process.poll()
        if code is not None:
            errors += self.new_errors()
            end = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise ServerError(f"{self.launcher} {end}{self._summary(errors)}")

    def _summary(self, errors: list[str]) -> str:
        text = f": {' | '.join(errors[-3:])}" if errors else " and logged no error"
        return f"{text} (log: {self.log})"


def serve(
    launch: Launch, log: str, patience: float, tell: Callable[[str], None], is_over: Callable[[], bool] = lambda: False
) -> None:
    """Run a server until SIGTERM, an interrupt, or ``is_over``.

    Args:
        launch: Options of the server.
        log: Path of the server's log.
        patience: Longest time until the server is ready, s.
        tell: Called with the address when the server is ready, and with later errors in its log.
        is_over: Whether to stop the server.

    Raises:
        ServerError: If the server cannot be started, is not ready in time, or ends by itself.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())

    def over() -> bool:
        return stop.is_set() or is_over()

    with TritonServer(launch, log) as server:
        if server.wait_until_ready(patience, over):
            tell(launch.endpoint.address)
        while not over():
            errors = server.new_errors()
            for line in errors:
                tell(line)
            server.check_alive(errors)
            stop.wait(POLL_INTERVAL)


def _check_free(interface: str, port: int, name: str) -> None:
    with socket.socket() as item:
        item.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            item.bind((interface, port))
        except OSError as error:
            option = name.replace("_", "-")
            raise ServerError(
                f"port {port} cannot be used ({error.strerror}): choose another with --{option}"
            ) from None
