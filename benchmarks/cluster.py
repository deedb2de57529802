"""One year of scores at 4 Hz, in slides of a 20 000 s segment, to events; some of them compared with a plain loop."""

import json
import time

import numpy as np

from aframe.constants import SECONDS_PER_YEAR
from aframe.events.cluster import Clustering, cluster_slides
from aframe.types import Array

TARGET = 10.0


def by_loop(scores: Array, clustering: Clustering) -> list[float]:
    """Statistics of one slide's events by the definition."""
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
    slides = round(SECONDS_PER_YEAR * clustering.sampling_rate / windows)
    scores = np.random.default_rng(0).standard_normal((slides, windows), dtype=np.float32)
    start = time.process_time()
    statistic, _, slide = cluster_slides(scores, 1e9, clustering)
    seconds = time.process_time() - start
    compared = (0, slides // 2, slides - 1)
    equal = all(np.allclose(statistic[slide == k], by_loop(scores[k], clustering), rtol=1e-9) for k in compared)
    print(f"{slides} slides × {windows} windows: {len(statistic)} events in {seconds:.2f} s of one core's time")
    print(f"those of the definition in the first, middle and last slide: {equal}")
    result = {"benchmark": "cluster_one_year", "value": round(seconds, 3), "unit": "s", "target": TARGET}
    print(json.dumps(result | {"ok": bool(equal and seconds <= TARGET)}))


if __name__ == "__main__":
    main()
