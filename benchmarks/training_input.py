"""What making a batch on the processor costs, of a training step of the default network."""

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

SHARE, BATCH_SIZE, STEPS = 0.10, 32, 3
SMALL = ["data.train_stop=1262305024", "waveforms.num_training_waveforms=500", "waveforms.num_validation_waveforms=20"]


def prepare(directory: Path) -> AframeDataModule:
    """A data module on the demo's simulated strain, as much of it as a benchmark needs."""
    for name in ("train_data", "test_data", "train_run", "condor", "results"):
        os.environ[f"AFRAME_{name.upper()}_DIR"] = str(directory / name)
    os.environ["LAW_CONFIG_FILE"] = str(directory / "sandbox.cfg")
    cli.main(["init", str(directory), *(f"--set={change}" for change in SMALL)])
    cli.main(["data", "--stage", "train"])
    cli.main(["waveforms", "--stage", "train", "--stage", "validation"])
    data = AframeDataModule(batch_size=BATCH_SIZE)
    data.setup("fit")
    return data


def seconds(call: Callable[[], object]) -> float:
    """Processor time of a call, the mean of some; the first is not counted."""
    call()
    start = time.process_time()
    for _ in range(STEPS):
        call()
    return (time.process_time() - start) / STEPS


def step(network: JointResNet, optimizer: torch.optim.Optimizer, batch: Batch, precision: torch.dtype) -> None:
    optimizer.zero_grad()
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        scores = network(batch.windows)
    torch.nn.functional.binary_cross_entropy_with_logits(scores.float(), batch.labels).backward()
    optimizer.step()


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as directory:
        data = prepare(Path(directory) / "run")
    generator = torch.Generator().manual_seed(0)
    making, batch = seconds(lambda: data.make_batch(generator)), data.make_batch(generator)
    network = JointResNet(2, data.search.kernel_size)
    optimizer = torch.optim.AdamW(network.parameters())
    for precision in (torch.float32, torch.bfloat16):
        training = seconds(lambda precision=precision: step(network, optimizer, batch, precision))
        name = str(precision).removeprefix("torch.")
        share = making / (making + training)
        print(f"{name}: batch of {BATCH_SIZE} made in {1e3 * making:.1f} ms, network {1e3 * training:.0f} ms")
        result = {"benchmark": f"training_input_{name}", "value": round(share, 4), "unit": "of a step", "target": SHARE}
        print(json.dumps(result | {"ok": share <= SHARE}), flush=True)


if __name__ == "__main__":
    main()
