import numpy as np
import pytest
from astropy.cosmology import Planck15

from aframe.sensitivity.efficiency import (
    BINS,
    Bins,
    BinSums,
    coordinates,
    efficiency,
    snr_efficiency,
    weak_signal_efficiency,
    wilson_interval,
)
from aframe.sensitivity.weights import Binaries
from aframe.tables import Table


def test_wilson_interval() -> None:
    successes, number = np.array([0, 5, 10]), np.array([10, 10, 10])
    share, low, high = wilson_interval(successes, number)
    np.testing.assert_array_equal(share, [0, 0.5, 1])
    # the interval's ends solve |share - p| = sqrt(p (1 - p) / n)
    for end, index in ((low, 1), (high, 1), (high, 0), (low, 2)):
        assert abs(share[index] - end[index]) == pytest.approx(np.sqrt(end[index] * (1 - end[index]) / 10))
    assert low[0] == 0
    assert high[2] == 1


def test_out_of_none_anything_may_be() -> None:
    share, low, high = wilson_interval(np.array([0.0]), np.array([0.0]))
    assert np.isnan(share[0])
    assert (low[0], high[0]) == (0, 1)


def test_axes_are_those_of_the_binaries() -> None:
    table = Table({"mass_1": np.array([45.0]), "mass_2": np.array([30.0]), "redshift": np.array([0.5])})
    logarithms = coordinates(Binaries.of(table))
    source = (30.0 * 20.0) ** 0.6 / 50.0**0.2
    assert np.exp(logarithms["chirp_mass_source"][0]) == pytest.approx(source)
    assert np.exp(logarithms["chirp_mass"][0]) == pytest.approx(1.5 * source)
    bins = Bins("luminosity_distance", np.log(0.5), 0.1)
    assert bins.edges[0] == pytest.approx(Planck15.luminosity_distance(0.5).value)
    assert bins.index(logarithms["luminosity_distance"]) == [0]


def test_every_value_lies_in_the_bin_whose_borders_hold_it() -> None:
    mass = np.random.default_rng(0).lognormal(3, 0.5, 5000)
    bins = Bins.around("chirp_mass", np.log(mass))
    index, edges = bins.index(np.log(mass)), bins.edges
    assert edges[-1] > mass.max()
    assert (index == -1).mean() == pytest.approx(0.002, abs=0.001)
    inside = index >= 0
    assert np.all((edges[index[inside]] <= mass[inside]) & (mass[inside] < edges[index[inside] + 1]))
    assert bins.index(np.array([-np.inf, np.inf])).tolist() == [-1, BINS]


def test_share_by_snr_counts_injections() -> None:
    snr = np.geomspace(4, 40, 400)
    share = snr_efficiency(snr, snr, {1.0: 12.0, 12.0: 8.0})
    assert share.far_per_year.tolist() == [1.0, 12.0]
    centre = np.sqrt(share.edges[1:] * share.edges[:-1])
    for row, threshold in zip(share.share, (12.0, 8.0), strict=True):
        assert np.all(row[centre > 1.1 * threshold] == 1)
        assert np.all(row[centre < threshold / 1.1] == 0)
    assert share.number.sum() == pytest.approx(400, abs=2)
    assert np.all((share.low <= share.share) & (share.share <= share.high))


def test_weights_shift_the_share_and_widen_its_interval() -> None:
    rng = np.random.default_rng(1)
    logarithm, weight = rng.uniform(0, 1, 20_000), rng.choice([1.0, 9.0], 20_000)
    statistic = (weight == 9).astype(np.float64)  # only the heavy ones are found
    bins = Bins("chirp_mass", 0.0, 1 / BINS)
    everything = BinSums.of(bins.index(logarithm), weight)
    one = efficiency(bins, everything, (logarithm, weight, statistic), {1.0: 0.5})
    np.testing.assert_allclose(one.share[0], 0.9, atol=0.02)
    np.testing.assert_allclose(one.number, 1000 * 25 / 41, rtol=0.1)  # (Σ w)² / Σ w² of equal shares of 1 and 9
    np.testing.assert_allclose(one.high - one.low, 2 * np.sqrt(0.9 * 0.1 / one.number)[None], rtol=0.15)
    half = efficiency(bins, everything + everything, (logarithm, weight, statistic), {1.0: 0.5})
    np.testing.assert_allclose(half.share, one.share / 2)  # as many again were drawn and not injected


def test_weak_signals_are_counted_by_chirp_mass() -> None:
    chirp_mass = np.array([1.0, 1.69, 1.7, 5.0, 5.0, 8.0, 30.0, 200.0, 0.9, 8.0])
    snr = np.array([9.0, 9.99, 9.5, 9.5, 9.5, 9.5, 9.5, 9.5, 9.5, 10.0])  # too loud, and before it too light
    statistic = np.array([3.0, 1.0, 3.0, 1.0, 3.0, 3.0, 1.0, -np.inf, 3.0, 3.0])
    shares = weak_signal_efficiency(chirp_mass, snr, statistic, {1.0: 4.0, 12.0: 2.0})
    np.testing.assert_array_equal(shares.number, [2, 1, 3, 0, 2])
    np.testing.assert_allclose(shares.share, [[0, 0, 0, np.nan, 0], [0.5, 1, 2 / 3, np.nan, 0]])
    assert shares.edges.tolist() == [1.0, 1.7, 5.0, 10.0, 30.0, np.inf]
    assert shares.low[1, 0] == pytest.approx(wilson_interval(np.array(1.0), np.array(2.0))[1])
