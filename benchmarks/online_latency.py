"""Computing time of the search as it runs: from a second of strain to its scores, and from a merger's second to disk.

The network is the demo's. The second is that of a frame at 16384 Hz of two detectors, one core computes. The noise is
white: the work does not depend on it. Each event's time has the search of its second, its SNRs and the writing of it.
"""

import tempfile
import time
from collections import deque

import numpy as np
import torch
from _rows import at_least, at_most, sized, tell

from aframe.commands.runs import shipped_model
from aframe.events.cluster import Clustering
from aframe.events.significance import Background
from aframe.inference.scorers import TorchScorer
from aframe.online.arrivals import Arrival
from aframe.online.issue import Issuer, Moment, Recipe
from aframe.online.live_search import LiveSearch
from aframe.online.outbox import Outbox
from aframe.online.ranking import Ranking
from aframe.online.tracking import Tracker
from aframe.online.views import Templates, view
from aframe.train.model import load

RATE = 16384.0
"""Sampling rate of the observatories' strain, Hz."""

START = 1_400_000_000.0

SECONDS = sized(240, 40)
"""Seconds of strain that are timed."""

MEDIAN, HIGH, REPLAY = at_most(0.5), at_most(1.0), at_least(20.0)

AT_ONCE = 16
"""Seconds that a replay gives at once, if it is as fast as it can be."""


def main() -> None:
    torch.set_num_threads(1)
    model = load(shipped_model())
    preprocessing = model.preprocessing
    scorer = TorchScorer(model)
    clustering = Clustering(preprocessing.inference_sampling_rate, 0.125, 8.0, preprocessing.coalescence_offset)
    random, size = np.random.default_rng(1), round(RATE)
    noise = [1e-21 * random.standard_normal(size) for _ in range(2 * 16)]

    def arrivals(second: int) -> list[Arrival]:
        now = time.time()
        return [
            Arrival(i, START + second, RATE, noise[(2 * second + k) % 32], now)
            for k, i in enumerate(preprocessing.ifos)
        ]

    ranking = Ranking(None, Background(np.array([-1e3]), 1e9), "benchmark", 1e6)
    recipe = Recipe(
        preprocessing, clustering, ranking, lambda s, start, t: view(scorer, s, start, t, Templates({}, 0.25)), None, {}
    )  # fmt: skip
    search, tracker, issuer = LiveSearch(scorer, 10.0), Tracker(clustering), Issuer(recipe, [])
    scored, issued = [], []
    lead = round(preprocessing.whitening.psd_length) + 8
    with tempfile.TemporaryDirectory() as directory:
        outbox, pieces = Outbox(directory, []), deque(maxlen=4)
        for second in range(lead + SECONDS):
            begin, new = time.perf_counter(), arrivals(second)
            found = search.add(new)
            scored += [time.perf_counter() - begin] if second >= lead else []
            for piece in found:
                pieces.append(piece)
                # an event in each second, which noise alone would not give
                seen = tracker.add(piece.start, piece.scores, False, -1e6)
                events = [issuer.event(each, pieces, Moment(new[0].stop, new[0].received, 0.0)) for each in seen]
                written = [outbox.put(event) for event in events if event is not None]
                issued += [time.perf_counter() - begin] if second >= lead and written else []
        whole, first = LiveSearch(scorer, 10.0), lead
        for second in range(0, lead, AT_ONCE):
            whole.add([each for k in range(second, min(second + AT_ONCE, lead)) for each in arrivals(k)])
        begin = time.process_time()
        for second in range(first, first + SECONDS, AT_ONCE):
            whole.add([each for k in range(second, second + AT_ONCE) for each in arrivals(k)])
        speed = AT_ONCE * -(-SECONDS // AT_ONCE) / (time.process_time() - begin)
    for what, times in (("scores", scored), ("event", issued)):
        middle, high = np.quantile(times, (0.5, 0.95))
        tell(f"online_{what}_median", middle, "s", MEDIAN)
        tell(f"online_{what}_95_percent", high, "s", HIGH)
    tell("online_replay", speed, "s of strain per core second", REPLAY, note=f"{RATE:.0f} Hz")


if __name__ == "__main__":
    main()
