"""Inference on a GPU with the joint and the factorised network, relative to the limits of arithmetic and memory.

Each slide passes through the engine: its windows are views on the device, and its scores are copied back while the next
slide is computed. The limits are those of an unfused network. Every layer needs its operations at the peak of the
device, and moves its input and output through memory once. Peaks are those of the data sheet if the device is known,
and measured otherwise.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from _clocks import middle, wall_seconds
from _precision import name_of
from _rows import at_least, sized, tell
from torch import Tensor, nn

from aframe.constants import SECONDS_PER_YEAR
from aframe.inference.engine import Engine
from aframe.inference.scorers import TorchScorer
from aframe.inference.scorers.choice import best_batch_size
from aframe.inference.slides import Grid
from aframe.preprocessing import Preprocessing, Whitening
from aframe.train.architectures import FactorisedNetwork, JointResNet, Network
from aframe.train.model import Model

RATE = 2048.0
DURATION, SLIDES, JOINT_SLIDES, ROUNDS, COMPILED = sized(
    (4096.0, 100, 5, 3, (False, True)), (1024.0, 20, 2, 2, (False,))
)
PRECISION = torch.bfloat16
JOINT_WINDOWS_PER_SECOND, YEARS_PER_HOUR = at_least(100_000.0), at_least(100.0)
PEAKS = {"H100": (989e12, 3.35e12), "H200": (989e12, 4.8e12), "A100": (312e12, 2.0e12)}
"""Operations per second (dense bfloat16) and bytes per second of memory, for SXM boards (NVIDIA's data sheets)."""

IFOS = ("H1", "L1")
PREPROCESSING = Preprocessing(IFOS, 1.5, 4.0, (0.5, 1.4), Whitening(RATE, 64.0, 1.0, 1.0, 64.0, 32.0, None))


@dataclass
class Work:
    """Sum of the operations and of the bytes of memory of the layers of a network.

    Attributes:
        operations: Number of operations.
        bytes: Bytes that the layers read and write.
    """

    operations: float = 0.0
    bytes: float = 0.0

    def count(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Add one call of a layer.

        Args:
            module: The layer.
            inputs: Its inputs.
            output: Its output.
        """
        self.bytes += sum(t.nbytes for t in (*inputs, output)) + sum(p.nbytes for p in module.parameters())
        if isinstance(module, nn.Conv1d):
            self.operations += 2 * output.numel() * module.in_channels * module.kernel_size[0]
        if isinstance(module, nn.Linear):
            self.operations += 2 * output.numel() * module.in_features


@torch.inference_mode()
def work_of(network: Network, windows: int, device: str) -> Work:
    """Work of the fusion of windows, as the engine calls it.

    Args:
        network: The network.
        windows: Number of windows.
        device: Type of device.
    """
    work, hop = Work(), network.hop(PREPROCESSING.stride_size)
    leaves = [module for module in network.modules() if not list(module.children())]
    hooks = [module.register_forward_hook(work.count) for module in leaves]
    size = (windows - 1) * PREPROCESSING.stride_size + PREPROCESSING.kernel_size
    embeddings = network.encode(torch.randn(1, len(IFOS), size, device=device, dtype=PRECISION))
    work.operations = work.bytes = 0.0
    network.fuse(embeddings.unbind(1), hop)
    for hook in hooks:
        hook.remove()
    return work


def peaks(device: str) -> tuple[float, float]:
    """Peak operations per second and bytes per second of a device."""
    name = torch.cuda.get_device_name() if device == "cuda" else ""
    for board, values in PEAKS.items():
        if board in name:
            return values
    size = 8192 if device == "cuda" else 1024
    matrix = torch.randn(size, size, device=device, dtype=PRECISION)
    product = min(seconds(lambda: matrix @ matrix, device) for _ in range(5))
    copy = min(seconds(matrix.clone, device) for _ in range(5))
    return 2 * size**3 / product, 2 * matrix.nbytes / copy


def seconds(call: Callable[[], object], device: str) -> float:
    """Elapsed time of a call and of its work on the device, s."""
    synchronize(device)
    return wall_seconds(lambda: (call(), synchronize(device)))


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def measure(network: Network, slides: int, device: str, compiled: bool, duration: float) -> tuple[float, float]:
    """Measure the speed of the engine, and print which limit is closest.

    Args:
        network: The network.
        slides: Number of slides.
        device: Type of device.
        compiled: Whether to compile the network.
        duration: Length of the segment, s.

    Returns:
        Windows per second, and their scatter.
    """
    strain = {ifo: np.random.default_rng(0).standard_normal(round(duration * RATE)) for ifo in IFOS}
    grid = Grid(PREPROCESSING, (0.0, 1.0))
    scorer = TorchScorer(Model(network, PREPROCESSING), PRECISION, device, compiled)
    engine: list[Engine] = []
    prepared = seconds(lambda: engine.append(Engine.from_strain(scorer, strain, grid)), device)
    todo = [grid.slide(0, duration, number) for number in range(1, slides + 1)]
    list(engine[0].scores_each(todo[:2]))  # compiles, and fills the allocator
    spent = np.array([seconds(lambda: list(engine[0].scores_each(todo)), device) for _ in range(ROUNDS)])
    speed, error = middle(sum(slide.windows for slide in todo) / spent)
    tile = min(scorer.tile, todo[0].windows)
    work, (operations, memory) = work_of(scorer.network, tile, device), peaks(device)
    arithmetic, transfer = work.operations / tile / operations, work.bytes / tile / memory
    shares = {"arithmetic": arithmetic * speed, "memory": transfer * speed}
    bound = max(shares, key=lambda name: shares[name])
    print(
        f"{type(network).__name__}{', compiled' if compiled else ''}, {tile} windows at once: {speed:.0f} windows/s, "
        f"{shares['arithmetic']:.0%} of the arithmetic floor ({1 / arithmetic:.0f}/s), {shares['memory']:.0%} of the "
        f"unfused memory floor ({1 / transfer:.0f}/s): {bound} bounds it first; whitening and encoding {duration:.0f} "
        f"s took {prepared:.2f} s",
        flush=True,
    )
    return speed, error


def main(device: str = "cuda", duration: float = DURATION, number: int = SLIDES) -> None:
    joint = f"joint_windows_on_a_gpu_{name_of(PRECISION)}"
    years = f"years_of_background_an_hour_on_a_gpu_{name_of(PRECISION)}"
    if device == "cuda" and not torch.cuda.is_available():
        tell(joint, None, "1/s", JOINT_WINDOWS_PER_SECOND, note="no GPU")
        tell(years, None, "yr/h", YEARS_PER_HOUR, note="no GPU")
        return
    torch.manual_seed(0)
    network = JointResNet(2, PREPROCESSING.kernel_size).eval().requires_grad_(False)
    network.batch_size, rates = best_batch_size(network, PREPROCESSING, PRECISION, device)
    print("batches: " + ", ".join(f"{size} {rate:.0f}/s" for size, rate in rates.items()), flush=True)
    speeds = [measure(network, min(number, JOINT_SLIDES), device, compiled, duration) for compiled in COMPILED]
    speed, error = max(speeds)
    tell(joint, speed, "1/s", JOINT_WINDOWS_PER_SECOND, error)
    head = FactorisedNetwork(2, PREPROCESSING.kernel_size).eval().requires_grad_(False)
    speeds = [measure(head, number, device, compiled, duration) for compiled in COMPILED]
    (speed, error), an_hour = max(speeds), 3600 / PREPROCESSING.inference_sampling_rate / SECONDS_PER_YEAR
    tell(years, speed * an_hour, "yr/h", YEARS_PER_HOUR, error * an_hour)


if __name__ == "__main__":
    main()
