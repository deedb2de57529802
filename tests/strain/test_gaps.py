import numpy as np
import pytest

from aframe.strain.gaps import Gap, described, split_at_gaps
from aframe.strain.resample import Stretch

START, RATE, SIGMA = 1000000000.0, 4096, 1e-21


def split(data, rate=RATE):
    gaps = []
    pieces = split_at_gaps(Stretch("L1", START, float(rate), data), gaps.append)
    return [(p.start - START, p.stop - START) for p in pieces], [
        (g.start - START, g.stop - START, g.value) for g in gaps
    ]


@pytest.fixture
def noise():
    return np.random.default_rng(5).normal(0, SIGMA, 20 * RATE)


@pytest.mark.parametrize(
    ("fill", "value"),
    [
        (0.0, "0"), (3e-20, "3e-20"), (SIGMA, "1e-21"), (-9999.0, "-9999"), (1e30, "1e+30"), (-1.0, "-1"),
        (np.nan, "NaN"), (np.inf, "inf"), (-np.inf, "-inf"),
    ],
)  # fmt: skip
def test_samples_that_no_detector_measured_are_gaps(noise, fill, value):
    noise[8 * RATE : 10 * RATE] = fill
    assert split(noise) == ([(0, 8), (10, 20)], [(8, 10, value)])
    noise[3 * RATE :] = fill
    assert split(noise) == ([(0, 3)], [(3, 20, value)])
    noise[:] = fill
    assert split(noise) == ([], [(0, 20, value)])


@pytest.mark.parametrize("low_frequency", [0.0, 1e-18])
def test_noise_signals_and_glitches_are_measured(noise, low_frequency):
    time = np.arange(len(noise)) / RATE
    noise += low_frequency * np.sin(2 * np.pi * 1.3 * time)
    noise += 1000 * SIGMA * np.exp(-(((time - 10) / 0.01) ** 2)) * np.sin(2 * np.pi * 150 * time)
    assert split(noise) == ([(0, 20)], [])


def test_one_value_for_a_tenth_of_a_second(noise):
    for size, is_gap in ((409, False), (410, True)):
        strain = noise.copy()
        strain[5 * RATE : 5 * RATE + size] = strain[5 * RATE]
        assert len(split(strain)[1]) == is_gap


def test_near_a_jump_strain_is_left_out_too(noise):
    noise[8 * RATE] = -9999.0
    assert split(noise) == ([(0, 7.875), (8.125 + 1 / RATE, 20)], [(8, 8 + 1 / RATE, "-9999")])
    noise[8 * RATE : 8 * RATE + 8] = 5000 * SIGMA  # too short for a constant, but no noise jumps so far
    pieces, ((start, stop, _),) = split(noise)
    assert pieces == [(0, 7.875 - 1 / RATE), (8.125 + 9 / RATE, 20)]
    assert (start, stop) == (8 - 1 / RATE, 8 + 9 / RATE)


def test_steps_are_gaps_and_what_is_between_them_is_strain(noise):
    """A level that is not the strain's may be measured; its ends are not."""
    noise[8 * RATE : 12 * RATE] += 3000 * SIGMA
    pieces, gaps = split(noise)
    assert pieces == [(0, 7.875 - 1 / RATE), (8.125 + 1 / RATE, 11.875 - 1 / RATE), (12.125 + 1 / RATE, 20)]
    assert [gap[0] for gap in gaps] == [8 - 1 / RATE, 12 - 1 / RATE]


def test_a_detector_out_of_lock_is_one_gap(noise):
    noise[8 * RATE : 10 * RATE] *= 1e6
    pieces, ((start, stop, value),) = split(noise)
    assert (start, stop) == pytest.approx((8, 10), abs=0.01)
    assert pieces == [(0, pytest.approx(7.875, abs=0.01)), (pytest.approx(10.125, abs=0.01), 20)]
    assert " to " in value


def test_a_line_across_a_dropout_is_a_gap(noise):
    noise[8 * RATE : 10 * RATE] = np.linspace(noise[8 * RATE - 1], noise[10 * RATE], 2 * RATE + 2)[1:-1]
    pieces, _ = split(noise)
    assert np.ravel(pieces) == pytest.approx([0, 8, 10, 20], abs=1.5 / RATE)


def test_zeros_with_rounding_errors_are_zeros(noise):
    noise[8 * RATE : 10 * RATE] *= 1e-9
    assert split(noise)[0] == [(0, 8), (10, 20)]


def test_gaps_split_exactly():
    data = np.sin(np.arange(64.0))
    data[[0, 20, 21, 63]] = np.nan
    assert split(data, 16)[0] == [(1 / 16, 20 / 16), (22 / 16, 63 / 16)]
    (_, second) = split_at_gaps(Stretch("L1", START, 16.0, data))
    np.testing.assert_array_equal(second.data, data[22:63])


def test_gaps_in_words():
    gaps = [Gap("L1", 10.0, 12.0, "-9999"), Gap("L1", 20.0, 22.0, "-9999"), Gap("H1", 30.0, 31.5, "NaN")]
    assert described(gaps) == "-9999 in L1, NaN in H1"
    assert described(gaps, 22.0, 40.0) == "NaN in H1"
    assert str(gaps[2]) == "NaN in H1 from 30.000000 to 31.500000 (1.5 s)"
