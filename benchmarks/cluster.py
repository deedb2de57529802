"""One year of scores at 4 Hz in slides of a 20 000 s segment, clustered to events. A plain loop checks three slides."""

import numpy as np
from _clocks import core_seconds, middle
from _rows import at_most, sized, tell

from aframe.constants import SECONDS_PER_YEAR
from aframe.events.cluster import Clustering, cluster_slides
from aframe.types import Array

TARGET = at_most(10.0, of_full_amount=True)
YEARS, ROUNDS = sized((1.0, 3), (0.05, 2))


def by_loop(scores: Array, clustering: Clustering) -> list[float]:
    """Detection statistics of the events of one slide, directly from the definition of an event."""
    size, half = clustering.integration_size, clustering.half_width_size
    series = np.convolve(scores.astype(np.float64), np.ones(size) / size, "valid").tolist()
    return [
        value
        for i, value in enumerate(series)
        if all(value > other for other in series[max(0, i - half) : i])
        and all(value >= other for other in series[i + 1 : i + 1 + half])
    ]


def main() -> None:
    clustering = Clustering(4.0, 1.0, 8.0, 0.75)
    windows = 80_000
    slides = round(YEARS * SECONDS_PER_YEAR * clustering.sampling_rate / windows)
    scores = np.random.default_rng(0).standard_normal((slides, windows), dtype=np.float32)
    seconds, error = middle([core_seconds(lambda: cluster_slides(scores, 1e9, clustering)) for _ in range(ROUNDS)])
    statistic, _, slide = cluster_slides(scores, 1e9, clustering)
    compared = (0, slides // 2, slides - 1)
    if not all(np.allclose(statistic[slide == k], by_loop(scores[k], clustering), rtol=1e-9) for k in compared):
        raise SystemExit("the events of the first, middle and last slide are not those of the definition")
    print(f"{slides} slides × {windows} windows: {len(statistic)} events, those of the definition in three slides")
    tell("cluster_one_year", seconds, "s", TARGET, error)


if __name__ == "__main__":
    main()
