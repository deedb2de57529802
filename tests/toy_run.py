"""A run that has been searched, without any search."""

from pathlib import Path

import numpy as np
from terminal import write_run

from aframe.runs.artifacts import Artifacts
from aframe.runs.directories import Directories
from aframe.settings.read import load_config
from aframe.tables import EventTable, RecoveredTable, RejectedTable
from aframe.waveforms.priors import demo_bbh, draw


def run_with_populations(directory: Path, populations: str) -> Artifacts:
    """A run of the demo's configuration with more target populations."""
    write_run(directory, "sensitivity.mass_combos=35-35, 35-20, 20-20, 20-10")
    path = directory / "sandbox.cfg"
    path.write_text(
        path.read_text().replace("[luigi_sensitivity]\n", f"[luigi_sensitivity]\npopulations = {populations}\n")
    )
    names = ("train_data", "test_data", "train_run", "condor", "results")
    return Artifacts(load_config(str(path)), Directories(**{name: str(directory / name) for name in names}))


def write_events(run: Artifacts) -> None:
    """What a search that ranks by distance alone leaves of 5000 draws."""
    rng = np.random.default_rng(0)
    columns = draw(demo_bbh(), 5000, rng)
    near = columns["luminosity_distance"] < 4000
    found = {name: column[near] for name, column in columns.items()}
    found |= dict.fromkeys(("detection_time", "injection_time"), np.zeros(near.sum()))
    found |= {"snr": 3e4 / found["luminosity_distance"], "shift": np.zeros((near.sum(), 2))}
    found["detection_statistic"] = found["snr"] / 8
    found["ifo_snrs"] = np.full((near.sum(), 2), found["snr"][:, None] / 2**0.5)
    attributes = {"num_injections": 5000, "ifos": ["H1", "L1"]}
    RecoveredTable(found, attributes=attributes).write(run.events("foreground"), run.event_parameters)
    RejectedTable({k: v[~near] for k, v in columns.items()}).write(run.rejected, run.injection_parameters)
    for kind, livetime, count in (("background", 2.6e6, 3000), ("0lag", 5e4, 60)):
        events = {
            "detection_statistic": rng.exponential(0.2, count),
            "detection_time": 1.26e9 + np.sort(rng.uniform(0, 5e4, count)),
            "shift": np.zeros((count, 2)),
        }
        EventTable(events, attributes={"Tb": livetime}).write(run.events(kind), run.event_parameters)
