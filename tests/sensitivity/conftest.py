import numpy as np
import pytest

from aframe.constants import SECONDS_PER_YEAR
from aframe.events.significance import Background


@pytest.fixture
def background() -> Background:
    """At one event a year the threshold is just above 1: where the toy search finds with its detection probability."""
    return Background(np.array([1.0 - 1e-9, 1.0 + 1e-9]), SECONDS_PER_YEAR)
