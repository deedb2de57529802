"""Ranking 300 000 zero-lag events against ten million background events, with removal, extrapolation and p_astro."""

import time

import numpy as np
from _clocks import peak_gigabytes
from _rows import at_most, sized, tell

from aframe.candidates.foreground import Populations
from aframe.candidates.rank import RankingOptions, Slides, rank
from aframe.constants import SECONDS_PER_YEAR
from aframe.events.significance import Background
from aframe.events.spans import SlideSpans
from aframe.tables import EventTable, RecoveredTable
from aframe.waveforms.priors import draw, rates_and_populations_bbh

TARGET = at_most(30.0, of_full_amount=True)
TARGET_GIGABYTES = at_most(6.0, of_full_amount=True)
YEARS, EVENTS, ZERO_LAG, DRAWS = sized((100, 10_000_000, 300_000, 500_000), (10, 500_000, 30_000, 50_000))
SEGMENTS, SEGMENT_DURATION, LOUD = 200, 13_000.0, 30


def noise(count: int, rng: np.random.Generator) -> np.ndarray:
    return rng.gumbel(size=count) * 0.8 - 6


def main() -> None:
    rng = np.random.default_rng(0)
    number = round(YEARS * SECONDS_PER_YEAR / (SEGMENTS * SEGMENT_DURATION)) + 1
    starts = 1.2e9 + 2 * SEGMENT_DURATION * np.arange(SEGMENTS)
    slide = np.repeat(np.arange(1, number), SEGMENTS).astype(float)
    start, shift = np.tile(starts, number - 1), np.stack([0 * slide, slide], axis=1)
    spans = SlideSpans(start, SEGMENT_DURATION - slide, shift)
    row = rng.integers(0, len(start), EVENTS)
    columns = {
        "detection_statistic": noise(EVENTS, rng),
        "detection_time": start[row] + rng.uniform(0, 1, EVENTS) * (spans.stop - start)[row],
        "shift": shift[row],
    }
    events = EventTable(columns, attributes={"Tb": spans.livetime})
    livetime = SEGMENTS * SEGMENT_DURATION
    statistic = np.concatenate([noise(ZERO_LAG - LOUD, rng), rng.uniform(8, 12, LOUD)])
    columns = {"detection_statistic": statistic, "shift": np.zeros((len(statistic), 2))}
    columns["detection_time"] = rng.choice(starts, len(statistic)) + rng.uniform(0, SEGMENT_DURATION, len(statistic))
    zero_lag = EventTable(columns, attributes={"Tb": livetime})
    population = rates_and_populations_bbh()
    drawn = draw(population, DRAWS, rng)
    columns = {name: drawn[name] for name in ("mass_1", "mass_2", "redshift")}
    columns |= dict.fromkeys(("detection_time", "injection_time", "snr"), np.zeros(DRAWS))
    columns |= {
        "shift": np.zeros((DRAWS, 2)),
        "detection_statistic": rng.normal(size=DRAWS) - 6 + 2 / drawn["redshift"],
    }
    recovered = RecoveredTable(columns, attributes={"num_injections": 20 * DRAWS, "ifos": ["H1", "L1"]})
    begin = time.perf_counter()
    background = Background(events["detection_statistic"], events.livetime)
    options = RankingOptions(
        removal_far_per_year=0.1, merger_rate_density=(17.9, 44.0), merger_rate_evolution=2.9, rate_prior="lognormal"
    )
    table = rank(zero_lag, background, recovered, Populations(population, None), options, Slides(events, spans, 7.0))
    seconds = time.perf_counter() - begin
    print(f"{len(table)} candidates, {int(table['is_removed'].sum())} removed from {len(spans.start)} slides")
    tell("candidates", seconds, "s", TARGET)
    tell("candidates_peak_memory", peak_gigabytes(), "GB", TARGET_GIGABYTES)


if __name__ == "__main__":
    main()
