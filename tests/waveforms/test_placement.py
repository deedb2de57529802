import numpy as np
import pytest

from aframe.errors import ConfigurationError
from aframe.waveforms.placement import Placement, injection_times


@pytest.mark.parametrize(("stop", "number"), [(100.0, 10), (20.0, 2), (19.9, 1), (10.0, 1), (9.0, 0)])
def test_as_many_times_as_fit(stop, number):
    times = injection_times(Placement(0.0, stop, 10.0, 5.0, 0.0, (0.0,)), np.random.default_rng(1))
    np.testing.assert_allclose(times, 5.0 + 10 * np.arange(number))


def test_offsets_may_not_reorder():
    with pytest.raises(ConfigurationError, match="jitter"):
        injection_times(Placement(0.0, 100.0, 10.0, 5.0, 5.0, (0.0,)), np.random.default_rng(1))
