from collections.abc import Callable

import pytest

from aframe.strain.source import StrainSource


@pytest.fixture
def source() -> Callable[..., StrainSource]:
    def build(**changes: object) -> StrainSource:
        values: dict[str, object] = {
            "kind": "simulated", "ifos": ("H1", "L1"), "sample_rate": 2048.0, "min_duration": 10.0, "max_duration": 1e6,
            "segments": None, "frames": None, "channels": {}, "asd": (), "glitches": None, "drift": None,
            "band": (32.0, 1024.0), "seed": 7,
        }  # fmt: skip
        return StrainSource(**(values | changes))  # type: ignore[arg-type]

    return build
