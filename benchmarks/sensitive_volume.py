"""Sensitive volumes of 500 000 injections for four populations at 36 500 thresholds."""

import json
import resource
import time

import numpy as np

from aframe.constants import SECONDS_PER_YEAR
from aframe.events.significance import Background
from aframe.sensitivity.volume import Draws, volume_against_far
from aframe.sensitivity.weights import mass_targets
from aframe.tables import RecoveredTable, RejectedTable
from aframe.waveforms.priors import draw, rates_and_populations_bbh

TARGET = 5.0
TARGET_GIGABYTES = 4.0


def main() -> None:
    rng = np.random.default_rng(0)
    population = rates_and_populations_bbh()
    drawn = draw(population, 1_000_000, rng)
    columns = {name: drawn[name] for name in ("mass_1", "mass_2", "redshift")}
    near = np.arange(1_000_000) % 2 == 0
    found = {name: column[near] for name, column in columns.items()}
    unused = np.zeros(near.sum())
    found |= dict.fromkeys(("detection_time", "injection_time", "snr"), unused) | {"shift": np.zeros((near.sum(), 2))}
    found["detection_statistic"] = rng.normal(size=near.sum()) + 1 / columns["redshift"][near]
    recovered = RecoveredTable(found, attributes={"num_injections": len(near), "ifos": ["H1", "L1"]})
    rejected = RejectedTable({name: column[~near] for name, column in columns.items()})
    background = Background(rng.normal(size=5_000_000), 100 * SECONDS_PER_YEAR)
    targets = mass_targets([(35.0, 35.0), (35.0, 20.0), (20.0, 20.0), (20.0, 10.0)], 0.1, population.redshift_range)
    rates = np.geomspace(background.lowest_far_per_year, 365.0, 36_500)
    start = time.perf_counter()
    curves = volume_against_far(Draws(recovered, [rejected], population), background, targets, rates)
    seconds = time.perf_counter() - start
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{len(curves)} curves in {seconds:.2f} s, peak memory {gigabytes:.1f} GB")
    result = {"benchmark": "sensitive_volume", "value": round(seconds, 3), "unit": "s", "target": TARGET}
    print(json.dumps(result | {"ok": seconds <= TARGET and gigabytes <= TARGET_GIGABYTES}))


if __name__ == "__main__":
    main()
