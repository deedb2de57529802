"""What making a batch on the processor costs, of a training step of the default network, wherever the data lie."""

import functools
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from aframe import cli
from aframe.train.architectures import JointResNet
from aframe.train.data import AframeDataModule, Batch
from aframe.train.memory import Memory

SHARE, BATCH_SIZE, STEPS = 0.10, 32, 4
SMALL = ["data.train_stop=1262305024", "waveforms.num_training_waveforms=500", "waveforms.num_validation_waveforms=20"]


def prepare(directory: Path, memory: Memory) -> AframeDataModule:
    """A data module on the demo's simulated strain, as much of it as a benchmark needs."""
    for name in ("train_data", "test_data", "train_run", "condor", "results"):
        os.environ[f"AFRAME_{name.upper()}_DIR"] = str(directory / name)
    os.environ["LAW_CONFIG_FILE"] = str(directory / "sandbox.cfg")
    cli.main(["init", str(directory), *(f"--set={change}" for change in SMALL)])
    cli.main(["data", "--stage", "train"])
    cli.main(["waveforms", "--stage", "train", "--stage", "validation"])
    data = AframeDataModule(batch_size=BATCH_SIZE, background_memory=memory, waveform_memory=memory)
    data.setup("fit")
    return data


def step(network: JointResNet, optimizer: torch.optim.Optimizer, batch: Batch, precision: torch.dtype) -> None:
    optimizer.zero_grad()
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        scores = network(batch.windows)
    torch.nn.functional.binary_cross_entropy_with_logits(scores.float(), batch.labels).backward()
    optimizer.step()


def measure(data: AframeDataModule, train: Callable[[Batch], None]) -> tuple[float, float]:
    """Processor time of a step whose batch is made for it, and of one whose batch is kept; taken in turn."""
    kept, times = data.make_batch(0), {True: 0.0, False: 0.0}
    for number in range(-1, STEPS):
        for is_new in (True, False):
            start = time.process_time()
            train(data.make_batch(number + 1) if is_new else kept)
            if number >= 0:
                times[is_new] += (time.process_time() - start) / STEPS
    return times[True], times[False]


def main() -> None:
    torch.set_num_threads(1)
    for memory in ("auto", "disk"):
        with tempfile.TemporaryDirectory() as directory:
            data = prepare(Path(directory) / "run", memory)
        network = JointResNet(2, data.search.kernel_size)
        optimizer = torch.optim.AdamW(network.parameters())
        for precision in (torch.float32, torch.bfloat16):
            new, kept = measure(data, functools.partial(step, network, optimizer, precision=precision))
            name = f"{str(precision).removeprefix('torch.')}_{memory}"
            print(f"{name}: step of {BATCH_SIZE} windows {1e3 * new:.0f} ms, with a cached batch {1e3 * kept:.0f} ms")
            share = max(0.0, 1 - kept / new)
            result = {"benchmark": f"training_input_{name}", "value": round(share, 4), "unit": "of a step"}
            print(json.dumps(result | {"target": SHARE, "ok": share <= SHARE}), flush=True)


if __name__ == "__main__":
    main()
