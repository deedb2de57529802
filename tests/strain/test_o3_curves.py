"""Curves like those of O3: close to measured ones, and with their scatter."""

import numpy as np
import pytest

from aframe.errors import DataError
from aframe.strain.curve_pool import read_pools
from aframe.strain.noise_curves import asd_at
from aframe.strain.o3_curves import NUM_CURVES, o3_curves

FREQUENCY = np.array([30.0, 40.0, 70.0, 130.0, 200.0, 400.0, 700.0])


def logs(curves):
    return np.log([asd_at(curve, FREQUENCY) for curve in curves])


def test_curves_are_near_the_measured_ones(data_directory):
    measured = read_pools([str(data_directory / "psd" / "O3a")], ("H1", "L1"), (20.0, 1000.0))
    for ifo, pool in measured.items():
        ours, theirs = logs(o3_curves(ifo)), logs(pool.curves)
        assert np.abs(ours.mean(axis=0) - theirs.mean(axis=0)).max() < 0.08
        assert 0.5 < ours.std(axis=0).mean() / theirs.std(axis=0).mean() < 1.5
        line = {"H1": 505.0, "L1": 509.0}[ifo]
        ratio = [asd_at(curve, np.array([line]))[0] / asd_at(curve, np.array([540.0]))[0] for curve in o3_curves(ifo)]
        assert min(ratio) > 20


def test_the_horizons_are_those_of_o3():
    """Ranges follow ∫ f^(-7/3) / S df: L1 saw a fifth further than H1, and more than twice as far as V1."""
    frequency = np.arange(20.0, 1000.0)
    reach = {}
    for ifo in ("H1", "L1", "V1"):
        power = [asd_at(curve, frequency) ** 2 for curve in o3_curves(ifo)]
        reach[ifo] = np.sqrt([(frequency ** (-7 / 3) / each).sum() for each in power]).mean()
    assert 1.1 < reach["L1"] / reach["H1"] < 1.35
    assert 2.0 < reach["L1"] / reach["V1"] < 3.5


def test_pools_are_always_the_same_and_cover_every_band():
    pools = read_pools(["o3"], ("H1", "V1"), (20.0, 2048.0))
    assert [len(pool.curves) for pool in pools.values()] == [NUM_CURVES] * 2
    np.testing.assert_array_equal(pools["H1"].curves[3][1], o3_curves("H1")[3][1])
    with pytest.raises(DataError, match="asd = o3 has curves of H1, L1, V1, not of K1: give files"):
        read_pools(["o3"], ("H1", "K1"), (20.0, 2048.0))
