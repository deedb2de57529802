"""One year of scores at 4 Hz, in slides of a 20 000 s segment, to events."""

import json
import time

import numpy as np

from aframe.constants import SECONDS_PER_YEAR
from aframe.events.cluster import Clustering, cluster_slides

TARGET = 10.0


def main() -> None:
    clustering = Clustering(4.0, 1.0, 8.0, 0.75)
    windows = 80_000
    slides = round(SECONDS_PER_YEAR * clustering.sampling_rate / windows)
    scores = np.random.default_rng(0).standard_normal((slides, windows), dtype=np.float32)
    start = time.perf_counter()
    statistic, _, _ = cluster_slides(scores, 1e9, clustering)
    seconds = time.perf_counter() - start
    print(f"{slides} slides × {windows} windows: {len(statistic)} events in {seconds:.2f} s")
    result = {"benchmark": "cluster_one_year", "value": round(seconds, 3), "unit": "s", "target": TARGET}
    print(json.dumps(result | {"ok": seconds <= TARGET}))


if __name__ == "__main__":
    main()
