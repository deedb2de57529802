"""The network that is shipped, in the place of the one that a run would train."""

import shutil
from pathlib import Path

from terminal import run_in

from aframe.train import model

DIRECTORY = Path(__file__).parents[1] / "models" / "demo-factorised"
MODEL = str(DIRECTORY / "model.pt")

BANK = str(DIRECTORY.parent / "demo" / "model.pt")
"""The shipped bank of matched filters."""


def put_model(directory: Path) -> Path:
    """Have a run's training be done, by signing the network and its curves as the run's own: minutes less."""
    run = run_in(directory)
    model.save(model.load(MODEL), run.model, run.model_parameters)
    for name in ("metrics.csv", "validation.hdf5"):
        shutil.copy(DIRECTORY / name, directory / "train_run")
    return directory
