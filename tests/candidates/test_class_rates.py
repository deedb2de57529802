import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import gamma

from aframe.candidates.class_rates import ClassRates, class_rates
from aframe.types import Array

EXPECTED = np.array([4.0, 0.0, 20.0])
WIDTHS = (1.5, 0.9, 0.3)


def certain(numbers: tuple[int, int, int]) -> tuple[Array, Array]:
    """Loud signals whose class is beyond doubt."""
    return np.full(sum(numbers), 40.0), np.repeat(np.eye(3), numbers, axis=0)


def test_jeffreys_prior_and_signals_beyond_doubt_make_gamma_distributions() -> None:
    """Of n signals, the expected number has the density Λ^(n − 1/2) exp(−Λ)."""
    rates = class_rates(*certain((7, 0, 30)), EXPECTED, "jeffreys", WIDTHS)
    numbers = rates.scale * EXPECTED
    assert rates.weight.sum() == pytest.approx(1)
    for c, count in ((0, 7), (2, 30)):
        posterior = gamma(count + 0.5)
        mean = rates.weight @ numbers[:, c]
        assert mean == pytest.approx(posterior.mean(), rel=0.01)
        assert rates.weight @ (numbers[:, c] - mean) ** 2 == pytest.approx(posterior.var(), rel=0.03)
    np.testing.assert_allclose(rates.mean[[0, 2]] * EXPECTED[[0, 2]], [7.5, 30.5], rtol=0.01)
    assert (rates.scale[:, 1] == 1).all()


def test_a_class_that_was_never_seen_is_half_a_signal() -> None:
    rates = class_rates(*certain((0, 0, 30)), EXPECTED, "jeffreys", WIDTHS)
    assert rates.mean[0] * EXPECTED[0] == pytest.approx(0.5, rel=0.05)


def test_without_events_the_rates_are_the_populations() -> None:
    few = 1e-6 * EXPECTED
    rates = class_rates(*certain((0, 0, 0)), few, "lognormal", WIDTHS)
    logarithm = np.log(rates.scale)
    np.testing.assert_allclose(rates.weight @ logarithm[:, [0, 2]], 0, atol=1e-3)
    spread = np.sqrt(rates.weight @ logarithm[:, [0, 2]] ** 2)
    np.testing.assert_allclose(spread, [1.5, 0.3], rtol=0.02)


def test_events_correct_the_populations_rates() -> None:
    """The population expects five times as many black holes as neutron stars; the search sees twice as many stars."""
    rates = class_rates(*certain((20, 0, 10)), EXPECTED, "lognormal", (1.5, 0.9, 1.5))
    doubtful = np.array([[1 / 6, 0.0, 5 / 6]])
    loud = rates.split(np.array([40.0]), doubtful)[0]
    prior = class_rates(*certain((0, 0, 0)), EXPECTED, "lognormal", (0.0, 0.0, 0.0)).split(np.array([40.0]), doubtful)
    np.testing.assert_allclose(prior, doubtful)
    assert loud[0] == pytest.approx(20 / 30, abs=0.07)
    assert loud.sum() == pytest.approx(1)


def test_quiet_events_of_noise_say_little() -> None:
    quiet = np.full(300, -18.0), np.tile([1.0, 0.0, 0.0], (300, 1))
    few = 1e-6 * EXPECTED
    assert class_rates(*quiet, few, "lognormal", WIDTHS).mean == pytest.approx(
        class_rates(*certain((0, 0, 0)), few, "lognormal", WIDTHS).mean, rel=0.02
    )


def test_one_class_has_all() -> None:
    rates = class_rates(*certain((0, 0, 5)), np.array([0.0, 0.0, 3.0]), "jeffreys", WIDTHS)
    ratio = np.array([-np.inf, -60.0, 0.0, 60.0, 2000.0])
    np.testing.assert_array_equal(rates.split(ratio, np.tile([0.0, 0.0, 1.0], (5, 1))), np.tile([0, 0, 1], (5, 1)))


def test_the_split_is_the_mean_over_the_rates() -> None:
    rates = ClassRates(np.array([[1.0, 1.0, 1.0], [3.0, 1.0, 0.5]]), np.array([0.25, 0.75]))
    shares, ratio = np.array([0.2, 0.0, 0.8]), 0.5
    each = [expit(ratio + np.log(scale @ shares)) * scale * shares / (scale @ shares) for scale in rates.scale]
    mean = rates.weight @ np.array(each)
    np.testing.assert_allclose(rates.split(np.array([ratio]), shares[None])[0], mean / mean.sum())
    assert rates.split(np.empty(0), np.empty((0, 3))).shape == (0, 3)


def test_mixtures_of_signals_and_noise_give_back_their_rates() -> None:
    """Events of known composition: three times as many neutron stars as the population expects."""
    rng, truth = np.random.default_rng(4), np.array([3.0, 1.0, 1.0])
    expected = np.array([20.0, 10.0, 60.0])
    numbers = rng.poisson(truth * expected)
    x = np.concatenate([rng.normal(4, 1, numbers.sum()), rng.normal(0, 1, rng.poisson(1000))])
    ratio = np.log(expected.sum() / 1000) + 4 * x - 8  # ln of two Gaussians of unit width, at 4 and at 0
    y = np.concatenate([rng.normal(2 * np.repeat(np.arange(3), numbers), 1), rng.normal(2, 2, len(x) - numbers.sum())])
    density = expected * np.exp(-((y[:, None] - 2 * np.arange(3)) ** 2) / 2)
    rates = class_rates(ratio, density / density.sum(axis=1, keepdims=True), expected, "jeffreys", WIDTHS)
    spread = np.sqrt(rates.weight @ (rates.scale - rates.mean) ** 2)
    assert (np.abs(rates.mean - truth) < 3 * spread).all()
    assert spread[0] < 0.8
