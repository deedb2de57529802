import numpy as np
import pytest

from aframe.errors import DataError
from aframe.strain.coincidence import coincident
from aframe.strain.resample import Stretch


def test_no_common_time():
    stretches = {ifo: [Stretch(ifo, start, 16.0, np.zeros(64))] for ifo, start in (("H1", 10.0), ("L1", 14.0))}
    with pytest.raises(DataError, match=r"no time in common \(H1 10\.000 to 14\.000; L1 14\.000 to"):
        coincident(stretches)


def test_samples_at_different_times_are_refused():
    stretches = {ifo: [Stretch(ifo, start, 16.0, np.zeros(64))] for ifo, start in (("H1", 10.0), ("L1", 10.03))}
    with pytest.raises(DataError, match="not taken at the same times"):
        coincident(stretches)
