"""Train a network on simulated noise of O4's sensitivity; keep it in half precision, with its training's record."""

import argparse
import json
import math
import os
import shutil
from pathlib import Path

import torch
import yaml

from aframe import cli, storage
from aframe.errors import AframeError
from aframe.runs.artifacts import Artifacts
from aframe.runs.directories import Directories
from aframe.settings.read import load_config
from aframe.steps.training_data import RunDataModule
from aframe.train import model
from aframe.train.metrics import validation_metrics

HERE = Path(__file__).parent
LARGEST = 16_000_000
"""Bytes of a file that is kept here."""

SIMULATED = {
    "demo": (),
    "demo-factorised": (),
    "o3-like": (),
    "bbh": ("data.source=simulated", "data.asd=aLIGO_O4_high_asd.txt", "data.train_start=1240579783"),
}
"""Changes that make the strain of a configuration simulated."""

RECORD = ("sandbox.cfg", "train.yaml", "train_run/metrics.csv", "train_run/training.png", "train_run/validation.hdf5")


def validate(trained: model.Model, training: Path, device: torch.device) -> dict[str, float]:
    """What a validation says of a model, with the data of a training's YAML."""
    arguments = yaml.safe_load(training.read_text())["data"]
    data = RunDataModule(**arguments)
    data.setup("validate")
    assert data.validation is not None
    scored = data.validation.score(trained.network.to(device), data.validation_background, device, (0, 1))
    return validation_metrics(data.validation.joined([scored]), 1e-3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=SIMULATED, help="configuration, as of aframe init")
    parser.add_argument("--gpus", default="", help="as in CUDA_VISIBLE_DEVICES (default: none, the CPU)")
    parser.add_argument(
        "--work", default="", help="directory of the run (default: runs/model-NAME); resumed if it is there"
    )
    parser.add_argument("--output", default=str(HERE), help="directory in which one of the network's name is made")
    parser.add_argument("--set", action="append", default=[], help="change a key, as of aframe init")
    options = parser.parse_args()
    work = Path(options.work or f"runs/model-{options.name}").absolute()
    os.environ["CUDA_VISIBLE_DEVICES"] = options.gpus
    for name in ("train_data", "test_data", "train_run", "condor", "results"):
        os.environ[f"AFRAME_{name.upper()}_DIR"] = str(work / name)
    os.environ["LAW_CONFIG_FILE"] = str(work / "sandbox.cfg")
    changes = [*SIMULATED[options.name], *options.set]
    if not (work / "sandbox.cfg").exists():
        cli.main(["init", str(work), "--config", options.name, *(f"--set={change}" for change in changes)])
    cli.main(["data", "--stage", "train"])
    needs_bank = Artifacts(load_config(str(work / "sandbox.cfg")), Directories.from_environment()).needs_bank
    for stage in ("train", "validation", *(["bank"] if needs_bank else [])):
        cli.main(["waveforms", "--stage", stage])
    cli.main(["train", "fit", "--config", str(work / "train.yaml")])
    output = Path(options.output) / options.name
    output.mkdir(parents=True, exist_ok=True)
    path = str(output / "model.pt")
    trained = str(work / "train_run" / "model.pt")
    model.save(model.load(trained), path, storage.made_with(trained) or {}, in_half_precision=True)
    if os.path.getsize(path) > LARGEST:
        raise AframeError(f"{path} has more than {LARGEST / 1e6:.0f} MB: too much for a file that is kept here")
    for name in RECORD:
        shutil.copy(work / name, output)
    device = torch.device("cuda" if options.gpus and torch.cuda.is_available() else "cpu")
    metrics = validate(model.load(path), work / "train.yaml", device)
    shown = {name: None if math.isnan(value) else value for name, value in metrics.items()}
    record = {"validation_of_this_file": shown, "device": str(device), "sha256": storage.sha256(path)}
    storage.write_text(str(output / "record.json"), json.dumps(record, indent=1) + "\n")
    print(
        f"{path}: {os.path.getsize(path) / 1e6:.2f} MB, {metrics['valid_found']:.3f} found at one false alarm a month"
    )


if __name__ == "__main__":
    main()
