import numpy as np
import pytest

from aframe.constants import SECONDS_PER_YEAR
from aframe.events.significance import Background


@pytest.fixture
def background() -> Background:
    """Background with a threshold just above 1 at one event per year, the toy search's detection threshold."""
    return Background(np.array([1.0 - 1e-9, 1.0 + 1e-9]), SECONDS_PER_YEAR)
