"""Ranking 300 000 zero-lag events against ten million background events, with removal, extrapolation and p_astro."""

import json
import resource
import time

import numpy as np

from aframe.config import Candidates
from aframe.constants import SECONDS_PER_YEAR
from aframe.events.removal import LiveSpans
from aframe.events.significance import Background
from aframe.ranking import Populations, Slides, rank
from aframe.tables import EventTable, RecoveredTable
from aframe.waveforms.priors import draw, rates_and_populations_bbh

TARGET = 30.0
TARGET_GIGABYTES = 6.0
SEGMENTS, SEGMENT_DURATION, EVENTS, LOUD = 200, 13_000.0, 10_000_000, 30


def noise(count: int, rng: np.random.Generator) -> np.ndarray:
    return rng.gumbel(size=count) * 0.8 - 6


def main() -> None:
    rng = np.random.default_rng(0)
    number = round(100 * SECONDS_PER_YEAR / (SEGMENTS * SEGMENT_DURATION)) + 1
    starts = 1.2e9 + 2 * SEGMENT_DURATION * np.arange(SEGMENTS)
    slide = np.repeat(np.arange(1, number), SEGMENTS).astype(float)
    start, shift = np.tile(starts, number - 1), np.stack([0 * slide, slide], axis=1)
    spans = LiveSpans(start, start + SEGMENT_DURATION - slide, shift)
    row = rng.integers(0, len(start), EVENTS)
    columns = {
        "detection_statistic": noise(EVENTS, rng),
        "detection_time": start[row] + rng.uniform(0, 1, EVENTS) * (spans.stop - start)[row],
        "shift": shift[row],
    }
    events = EventTable(columns, attributes={"Tb": spans.livetime})
    livetime = SEGMENTS * SEGMENT_DURATION
    statistic = np.concatenate([noise(300_000 - LOUD, rng), rng.uniform(8, 12, LOUD)])
    columns = {"detection_statistic": statistic, "shift": np.zeros((len(statistic), 2))}
    columns["detection_time"] = rng.choice(starts, len(statistic)) + rng.uniform(0, SEGMENT_DURATION, len(statistic))
    zero_lag = EventTable(columns, attributes={"Tb": livetime})
    population = rates_and_populations_bbh()
    drawn = draw(population, 500_000, rng)
    found = {name: drawn[name] for name in ("mass_1", "mass_2", "redshift")}
    found |= dict.fromkeys(("detection_time", "injection_time", "snr"), np.zeros(500_000))
    found |= {
        "shift": np.zeros((500_000, 2)),
        "detection_statistic": rng.normal(size=500_000) - 6 + 2 / drawn["redshift"],
    }
    recovered = RecoveredTable(found, attributes={"num_injections": 10_000_000, "ifos": ["H1", "L1"]})
    begin = time.perf_counter()
    background = Background(events["detection_statistic"], events.livetime)
    wanted = Candidates(removal_far_per_year=0.1)
    table = rank(zero_lag, background, recovered, Populations(population, None), wanted, Slides(events, spans, 7.0))
    seconds = time.perf_counter() - begin
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{len(table)} candidates, {int(table['is_removed'].sum())} removed from {len(spans.start)} slides, in "
        f"{seconds:.1f} s, peak memory {gigabytes:.1f} GB"
    )
    result = {"benchmark": "candidates", "value": round(seconds, 3), "unit": "s", "target": TARGET}
    print(json.dumps(result | {"ok": seconds <= TARGET and gigabytes <= TARGET_GIGABYTES}))


if __name__ == "__main__":
    main()
