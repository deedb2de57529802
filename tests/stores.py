"""A real S3 server for tests, its clients, and a connection to it that can be cut."""

import contextlib
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import fsspec

BUCKET = "aframe-test"

KEY, SECRET = "test", "testsecret"


@dataclass(frozen=True)
class Store:
    """A running server.

    Attributes:
        endpoint: Its URL.
        key: Name of the credentials.
        secret: Of the credentials.
    """

    endpoint: str
    key: str
    secret: str

    @property
    def variables(self) -> Mapping[str, str]:
        """Environment of its clients."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint, "AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
        }  # fmt: skip


@contextlib.contextmanager
def served(rclone: Path, directory: Path) -> Iterator[Store]:
    """A server of a directory, whose folders are buckets."""
    (directory / BUCKET).mkdir(parents=True)
    port = free_port()
    command = [str(rclone), "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{KEY},{SECRET}"]
    command += ["--config", os.devnull, str(directory)]
    with (directory.parent / "rclone.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until_listening(port)
        yield Store(f"http://127.0.0.1:{port}", KEY, SECRET)
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until_listening(port: int, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < end, f"nothing listens on port {port}"
            time.sleep(0.05)
        else:
            return


def make_bucket() -> None:
    """Make the bucket of the store that the environment names, if it is not there."""
    filesystem, _ = fsspec.core.url_to_fs(f"s3://{BUCKET}")
    if not filesystem.exists(BUCKET):
        filesystem.call_s3("create_bucket", Bucket=BUCKET)


class Wire:
    """A TCP proxy to a server: cut, it drops all connections and every new one.

    Args:
        endpoint: URL of the server.
    """

    def __init__(self, endpoint: str) -> None:
        self.target = int(endpoint.rpartition(":")[2])
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.is_cut = False
        self.cuts = self.dropped = 0
        self.passed = {"in": 0, "out": 0}
        self.limits: dict[str, tuple[int, float]] = {}
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, seconds: float) -> None:
        """Drop everything for some time."""
        self.is_cut = True
        self.cuts += 1
        for each in self._open:  # with a reset: who waits for room to write would never see that nobody reads
            with contextlib.suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._open.clear()
        timer = threading.Timer(seconds, lambda: setattr(self, "is_cut", False))
        timer.daemon = True
        timer.start()

    def cut_after(self, direction: str, number: int, seconds: float) -> None:
        """Be cut, for some time, once that many bytes more have passed to the server (in) or from it (out)."""
        self.limits[direction] = (self.passed[direction] + number, seconds)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.is_cut:
                self.dropped += 1
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self.target))
            self._open += [client, server]
            threading.Thread(target=self._pass, args=(client, server, "in"), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, "out"), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, direction: str) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.passed[direction] += len(data)
                if direction in self.limits and self.passed[direction] > self.limits[direction][0]:
                    self.cut(self.limits.pop(direction)[1])
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it."""
        self.listener.close()
        self.cut(0)
