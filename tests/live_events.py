"""Events of a search as it runs, to test what becomes of them."""

import math

from aframe.online.live_event import DetectorView, LiveEvent, identifier_of


def live_event(number: int = 0, revision: int = 0, **changes: object) -> LiveEvent:
    """An event of a binary black hole; ``number`` tells signals from each other, 100 s apart."""
    time = 1126259462.4208 + 100 * number
    values: dict[str, object] = {
        "identifier": identifier_of(time),
        "revision": revision,
        "time": time + 0.01 * revision,
        "statistic": 12.5 + revision,
        "far_per_year": 0.01,
        "far_is_upper_limit": True,
        "detectors": {"H1": DetectorView(20.5, time - 0.001, 0.1), "L1": DetectorView(13.25, time - 0.008, math.nan)},
        "template": {"mass_1": 39.0, "mass_2": 32.0, "chi_eff": -0.1},
        "p_astro": {"BBH": 0.99, "BNS": 0.0, "NSBH": 0.0, "Terrestrial": 0.01},
        "latency": {"arrived": 1.2, "computed": 0.1},
        "versions": {"aframe": "0.1.0", "model": "sha", "background": "file 7"},
    }
    return LiveEvent(**values | changes)  # type: ignore[arg-type]
