"""The record of a search as it runs, to test what reads it."""

import math

from aframe.online.health import DetectorHealth, Health, Latency, Rate

GPS = 1126259600.0


def live_health(**changes: object) -> Health:
    """A search of two detectors, one of which has gone."""
    values: dict[str, object] = {
        "written": 1_700_000_100.0,
        "started": 1_700_000_000.0,
        "searched_until": GPS - 2,
        "searched": 7200.0,
        "detectors": {
            "H1": DetectorHealth("searched", GPS, 112.4, 0.985, {"late": 3, "missing": 0}),
            "L1": DetectorHealth("waiting for data", GPS - 40, math.nan, 0.5, {"missing": 40}),
        },
        "latency": {"arrived": Latency(1.2, 1.5), "computed": Latency(0.05, 0.09)},
        "counts": {"events": 3, "revisions": 1},
        "waiting": {"disk": 0, "gracedb": 2},
        "rates": (Rate(1.0, 1, 0.5), Rate(12.0, 20, 6.0)),
        "background": "slides of the last 24 h",
        "background_livetime": 2 * 31557600.0,
        "troubles": ("gracedb does not take events: no answer",),
        "versions": {"aframe": "0.1.0"},
    }
    return Health(**values | changes)  # type: ignore[arg-type]
