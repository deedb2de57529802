"""A third detector, four times less sensitive than the others, must not cost signals."""

from pathlib import Path

import numpy as np
import pytest
from terminal import aframe, environment_of, run_in

from aframe import cli
from aframe.events.significance import Background
from aframe.strain.noise_curves import asd_at, load_asd
from aframe.tables import RecoveredTable

AMOUNTS = ("inference.Tb=800000", "injections.num_injections=800", "waveforms.num_training_waveforms=4000",
           "waveforms.num_validation_waveforms=100", "bank.size=256", "train.data.mined_signals=2048",
           "train.data.mined_slides=400", "export.platform=torch")  # fmt: skip

RATE = 120.0
"""False alarms a year: ten a month."""


def curves(directory: Path) -> Path:
    """A noise curve for each detector."""
    directory.mkdir()
    grid, curve = np.arange(8.0, 1025.0, 0.5), load_asd("aLIGO_O4_high_asd.txt")
    for ifo, factor in (("H1", 1.0), ("L1", 1.0), ("V1", 4.0)):
        np.savetxt(directory / f"{ifo}.txt", np.stack([grid, factor * asd_at(curve, grid)], axis=1))
    return directory


def found_share(directory: Path, asd: Path, *changes: str) -> tuple[float, float]:
    """Share of all draws that a whole run finds at ten false alarms a month, and its error."""
    options = [option for change in (*AMOUNTS, *changes) for option in ("--set", change)]
    cli.main(["init", str(directory), "--config", "demo", "--set", f"data.asd={asd}", *options])
    done = aframe("run", str(directory), variables=environment_of(directory))
    assert done.returncode == 0, done.stderr
    run = run_in(directory)
    background = Background.read(run.clean("background"))
    table = RecoveredTable.read(run.clean("foreground"))
    number = int((table["detection_statistic"] > background.threshold_at_far(np.array([RATE]))[0]).sum())
    draws = float(table["num_draws"].sum())
    return number / draws, number**0.5 / draws


@pytest.mark.thorough
def test_with_virgo_at_least_as_much_is_found(tmp_path: Path) -> None:
    asd = curves(tmp_path / "curves")
    (two, error_of_two) = found_share(tmp_path / "two", asd)
    (three, error_of_three) = found_share(
        tmp_path / "three", asd, "search.ifos=H1, L1, V1", "inference.shifts=0, 1, 2",
        "train.model.architecture.init_args.coincidence=32",
    )  # fmt: skip
    assert three > two - (error_of_two**2 + error_of_three**2) ** 0.5
