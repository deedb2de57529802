"""Small models, their repositories, and real servers of these."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from small_networks import small_networks
from terminal import AFRAME, environment_of

from aframe.export.configuration import ServingOptions, identity
from aframe.export.repository import publish
from aframe.preprocessing import Preprocessing, Whitening
from aframe.serving.launch import Endpoint
from aframe.serving.server import free_ports
from aframe.train.model import Model

BLOCK = 16
"""Windows in a block."""

OPTIONS = {"block_windows": BLOCK, "max_batch_size": 4 * BLOCK}


def small_model(kind: str, ifos: tuple[str, ...] = ("H1", "L1"), seed: int = 2, highpass: float = 20.0) -> Model:
    """A small network of a kind whose scores of noise differ by about one; 1 s windows at 256 Hz, four a second."""
    preprocessing = Preprocessing(ifos, 1.0, 4.0, (0.25, 0.75), Whitening(256.0, 4.0, 1.0, 1.0, 4.0, highpass, None))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        network = small_networks(len(ifos), preprocessing.kernel_size)[kind]().train()
        for _ in range(30):  # statistics of noise
            scores = network(torch.randn(64, len(ifos), 256))
    if kind == "matched_filter":
        last = network.scale
    else:
        last = (network.classifier if kind == "joint" else network.classifier[-1]).weight
    last.data /= scores.std()
    return Model(network.eval().requires_grad_(False), preprocessing)


def publish_small(kind: str, repository: Path, seed: int = 2, **options: object) -> None:
    """Export a small model under the name of its kind, with a hash that its seed gives."""
    chosen = ServingOptions(**{"name": kind, **OPTIONS, **options})  # type: ignore[arg-type]
    publish(small_model(kind, seed=seed), f"hash of {kind} {seed}", str(repository), chosen, {})


def small_identity(kind: str, seed: int = 2, highpass: float = 20.0) -> dict[str, str]:
    """What a client of a small model asks for."""
    return identity(small_model(kind, seed=seed, highpass=highpass).preprocessing, f"hash of {kind} {seed}")


class Running:
    """``aframe serve`` at work.

    Args:
        process: Its process.
        endpoint: Where its server listens.
        log: The server's log.
    """

    def __init__(self, process: "subprocess.Popen[str]", endpoint: Endpoint, log: Path) -> None:
        self.process, self.endpoint, self.log = process, endpoint, log

    @property
    def server(self) -> int:
        """Number of the server's own process."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])


def start(repository: Path, tritonserver: Path, endpoint: Endpoint, log: Path) -> Running:
    """``aframe serve`` on a repository, not waited for."""
    environment = environment_of()
    environment["PATH"] = f"{tritonserver}{os.pathsep}{environment['PATH']}"
    command = [AFRAME, "serve", f"--repository={repository}", "--with=tritonserver", f"--log={log}"]
    for name in ("grpc_port", "http_port", "metrics_port"):
        command.append(f"--{name.replace('_', '-')}={getattr(endpoint, name)}")
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    return Running(process, endpoint, log)


def stop(running: Running) -> tuple[str, str]:
    """End it; what it has printed."""
    if running.process.poll() is None:
        running.process.send_signal(signal.SIGTERM)
    return running.process.communicate(timeout=60)


@contextlib.contextmanager
def serving(repository: Path, tritonserver: Path, log: Path, endpoint: Endpoint | None = None) -> Iterator[Running]:
    """A server that is ready."""
    running = start(repository, tritonserver, endpoint or free_ports("127.0.0.1"), log)
    try:
        assert running.process.stdout is not None
        line = running.process.stdout.readline()
        assert line.startswith("ready: "), line + running.process.communicate()[1]
        yield running
    finally:
        stop(running)


def alive_in_group(group: int) -> list[int]:
    """Numbers of the processes of a group that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            state, _, member = path.read_text().rpartition(")")[2].split()[:3]
            if int(member) == group and state != "Z":
                found.append(int(path.parent.name))
    return found


def wait_until_gone(pid: int, seconds: float = 20) -> bool:
    """Whether a process ends in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False
