"""Network of the demo on a Triton server of the same machine: speed, transferred bytes, and latency.

The server, and ONNX Runtime in this process, compute on one thread each. The server is that of `make triton`, or the
one on PATH.
"""

import contextlib
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from _clocks import middle, wall_seconds
from _rows import at_least, at_most, sized, tell

from aframe.export.configuration import ServingOptions, identity
from aframe.export.graphs import BLOCKS, Block
from aframe.export.repository import publish
from aframe.inference.engine import Engine
from aframe.inference.scorers import Scorer
from aframe.inference.scorers.onnx_runtime import OnnxScorer
from aframe.inference.scorers.triton_server import TritonScorer
from aframe.inference.slides import Grid
from aframe.preprocessing import Preprocessing, Whitening
from aframe.serving.client import Delivery, TritonClient
from aframe.serving.launch import Launch
from aframe.serving.server import TritonServer, free_ports
from aframe.train.architectures import FactorisedNetwork
from aframe.train.model import Model

SERVICE = Path(__file__).parents[1] / ".services" / "tritonserver" / "bin"
BLOCKS_SENT, ROUNDS, ASKED_ALONE = sized((100, 5, 200), (10, 2, 30))
DURATION, SLIDES = sized((2000.0, 10), (300.0, 3))
RATIO, BYTES = at_least(0.7), at_most(1.1)
PREPROCESSING = Preprocessing(("H1", "L1"), 1.5, 8.0, (0.5, 1.4), Whitening(1024.0, 64.0, 1.0, 1.0, 64.0, 32.0, None))


class Counter:
    """A relay on loopback that counts the bytes of both directions.

    Args:
        address: host:port of the server.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.target, self.total = (host, int(port)), 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        """Accept connections, and relay each of them to the server."""
        while True:
            near, _ = self.listener.accept()
            far = socket.create_connection(self.target)
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._relay, args=(source, sink), daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        """Copy and count the bytes of one direction."""
        with contextlib.suppress(OSError):  # the other end is closed
            while data := source.recv(1 << 20):
                self.total += len(data)
                sink.sendall(data)


def compare(name: str, windows: int, local: Callable[[], object], remote: Callable[[], object]) -> None:
    """Print the ratio of the speed of the server to the speed of ONNX Runtime in this process.

    Args:
        name: Name of the work.
        windows: Number of windows.
        local: Does the work in this process.
        remote: Does the work on the server.
    """
    local()
    remote()
    times = np.array([(wall_seconds(local), wall_seconds(remote)) for _ in range(ROUNDS)])
    ours, theirs = windows / np.median(times, axis=0)
    print(f"{name}: in process {ours:.0f} windows/s, Triton {theirs:.0f} windows/s")
    ratio, error = middle(times[:, 0] / times[:, 1])
    tell(f"triton_{name}_of_onnx_runtime", ratio, "ratio", RATIO, error)


def measure(model: Model, model_identity: dict[str, str], repository: str, server: TritonServer) -> None:
    """Measure speed, transferred bytes and latency of a server that is ready.

    Args:
        model: The model.
        model_identity: Its identity, which client and server compare.
        repository: Path of the model repository.
        server: The server.
    """
    address = server.launch.endpoint.address
    onnx = OnnxScorer(model, model_identity, repository, "aframe", threads=1)
    client = TritonClient(address, model_identity, Delivery())
    block = Block(model.network, model.preprocessing, ServingOptions().block_windows)
    noise = torch.randn(1, 2, block.size, generator=torch.Generator().manual_seed(0)).numpy()
    windows = BLOCKS_SENT * block.windows
    compare(
        "blocks",
        windows,
        lambda: list(onnx.ask((BLOCKS, noise, (0, True)) for _ in range(BLOCKS_SENT))),
        lambda: list(client.infer_each(("aframe", noise, None) for _ in range(BLOCKS_SENT))),
    )
    grid = Grid(model.preprocessing, (0.0, 1.0))
    random = np.random.default_rng(0)
    strain = {ifo: random.standard_normal(round(DURATION * 1024)) for ifo in ("H1", "L1")}
    slides = [grid.slide(0, DURATION, number) for number in range(SLIDES)]

    def search(scorer: Scorer) -> None:
        engine = Engine.from_strain(scorer, strain, grid)
        for slide in slides:
            engine.scores(slide)

    triton = TritonScorer(model, client, "aframe")
    compare("slides", sum(slide.windows for slide in slides), lambda: search(onnx), lambda: search(triton))

    counter = Counter(address)
    counted = TritonClient(counter.address, model_identity, Delivery())
    list(counted.infer_each([("aframe", noise, None)]))
    before = counter.total
    list(counted.infer_each(("aframe", noise, None) for _ in range(BLOCKS_SENT)))
    sample_bytes = 4 * 2 * model.preprocessing.stride_size
    share = (counter.total - before) / (windows * sample_bytes)
    tell("triton_bytes_per_window", share, "of its own samples", BYTES)

    alone = [wall_seconds(lambda: list(client.infer_each([("aframe", noise, None)]))) for _ in range(ASKED_ALONE)]
    for percentile in (50, 99):
        tell(f"triton_latency_p{percentile}", 1e3 * float(np.percentile(alone, percentile)), "ms a block")
    client.close()
    counted.close()


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    os.environ["PATH"] = f"{SERVICE}{os.pathsep}{os.environ['PATH']}"
    if shutil.which("tritonserver") is None:
        for name in ("blocks", "slides"):
            tell(f"triton_{name}_of_onnx_runtime", None, "ratio", RATIO, note="no tritonserver: `make triton`")
        return
    model = Model(FactorisedNetwork(2, PREPROCESSING.kernel_size).eval().requires_grad_(False), PREPROCESSING)
    with tempfile.TemporaryDirectory() as folder:
        repository = f"{folder}/repository"
        publish(model, "benchmark", repository, ServingOptions(), {})
        launch = Launch(repository, "tritonserver", engine_cache=folder, endpoint=free_ports("127.0.0.1"))
        with TritonServer(launch, f"{folder}/tritonserver.log") as server:
            server.wait_until_ready(120)
            measure(model, identity(PREPROCESSING, "benchmark"), repository, server)


if __name__ == "__main__":
    main()
