"""Vetoes of 10 000 intervals applied to ten million background events and the live time of 10 000 slides."""

import numpy as np
from _clocks import middle, peak_gigabytes, wall_seconds
from _rows import at_most, sized, tell

from aframe.events.spans import SlideSpans
from aframe.events.vetoes import Veto, clean_events, union
from aframe.tables import EventTable

TARGET = at_most(5.0, of_full_amount=True)
EVENTS, INTERVALS, SLIDES, ROUNDS = sized((10_000_000, 10_000, 10_000, 3), (500_000, 2000, 2000, 2))
SEGMENTS, DURATION = 130, 20_000.0
IFOS = ("H1", "L1")


def main() -> None:
    rng = np.random.default_rng(0)
    begin, end = 1.24e9, 1.24e9 + SEGMENTS * DURATION
    first = rng.uniform(begin, end, (len(IFOS), INTERVALS // 2))
    vetoes = [
        Veto("a list", ifo, np.stack([start, start + rng.exponential(2.0, len(start))], axis=1))
        for ifo, start in zip(IFOS, first, strict=True)
    ]
    number = 1.0 + np.arange(SLIDES) // SEGMENTS
    shift = np.stack([0 * number, number], axis=1)
    segment = np.arange(SLIDES) % SEGMENTS
    spans = SlideSpans(begin + DURATION * segment, DURATION - number, shift)
    slide = rng.integers(0, SLIDES, EVENTS)
    when = spans.start[slide] + rng.uniform(0, spans.duration[slide])
    columns = {"detection_statistic": rng.normal(size=EVENTS), "detection_time": when, "shift": shift[slide]}
    events = EventTable(columns, attributes={"Tb": float(spans.duration.sum())})

    def cleaned() -> EventTable:
        return clean_events(events, spans, IFOS, union(vetoes, IFOS, zero_lag=False))[0]

    seconds, error = middle([wall_seconds(cleaned) for _ in range(ROUNDS)])
    clean = cleaned()
    shares = len(clean) / EVENTS, clean.livetime / events.livetime
    print(f"{EVENTS} events, {SLIDES} slides, {INTERVALS} intervals: {shares[0]:.5f} of the events and {shares[1]:.5f} "
          f"of the live time left, peak memory {peak_gigabytes():.1f} GB")  # fmt: skip
    if abs(shares[0] - shares[1]) > 5 * (shares[1] * (1 - shares[1]) / EVENTS) ** 0.5:
        raise SystemExit("the share of the events that is left is not that of the live time")
    tell("veto_ten_million", seconds, "s", TARGET, error)


if __name__ == "__main__":
    main()
