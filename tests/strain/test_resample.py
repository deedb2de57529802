import numpy as np
import pytest

from aframe.errors import DataError
from aframe.strain.resample import EDGE_DURATION, Stretch, resample

START = 1126259446.0


def times(stretch):
    return (stretch.start - START) + np.arange(len(stretch.data)) / stretch.sample_rate


def tones(t, frequencies):
    return sum(np.cos(2 * np.pi * f * t + k) for k, f in enumerate(frequencies))


def recorded(sample_rate, duration, frequencies, start=START):
    t = (start - START) + np.arange(round(duration * sample_rate)) / sample_rate
    return Stretch("H1", start, float(sample_rate), tones(t, frequencies))


@pytest.mark.parametrize(
    ("native", "rate"), [(4096, 2048.0), (16384, 2048.0), (4096, 1024), (16384, 2000), (4096, 3072), (2048, 1000)]
)
def test_tones_in_band_keep_amplitude_and_phase(native, rate):
    band = [0.3, 36.7, 60, 0.8 * rate / 2]
    result = resample(recorded(native, 4, band), float(rate))
    assert result.sample_rate == rate
    np.testing.assert_allclose(result.data, tones(times(result), band), atol=3e-5)


@pytest.mark.parametrize("native", [4096, 16384])
def test_tones_above_the_band_vanish(native):
    result = resample(recorded(native, 4, [1024.5, 1100, 1500, 2000]), 2048.0)
    assert np.abs(result.data).max() < 1e-4


@pytest.mark.parametrize("native", [4096, 16384])
def test_no_more_than_the_filters_reach_is_lost(native):
    result = resample(recorded(native, 4, [100]), 2048.0)
    assert result.start == START + EDGE_DURATION
    assert START + 4 - result.stop <= EDGE_DURATION + 1 / 2048


def test_equal_rates_change_nothing():
    stretch = recorded(2048, 1, [50])
    assert resample(stretch, 2048.0) is stretch


def test_two_native_rates_give_one_answer():
    band = np.linspace(20, 950, 40)
    low, high = resample(recorded(4096, 3, band), 2048.0), resample(recorded(16384, 3, band), 2048.0)
    size = min(len(low.data), len(high.data))
    np.testing.assert_allclose(low.data[:size], high.data[:size], atol=1e-5)


@pytest.mark.parametrize("rate", [2048, 1000])
def test_samples_lie_on_one_grid_wherever_a_piece_starts(rate):
    for shift in (0, 1, 7, 12):
        result = resample(recorded(16384, 2, [100], START + shift / 16384), float(rate))
        position = (result.start - START) * rate
        assert abs(position - round(position)) < 1e-3
        np.testing.assert_allclose(result.data, tones(times(result), [100]), atol=3e-5)


def test_too_short_for_the_filter_leaves_nothing():
    assert resample(recorded(4096, 0.2, [100]), 2048.0) is None


def test_impossible_rates_say_what_to_do():
    with pytest.raises(DataError, match="less than sample_rate = 2048"):
        resample(recorded(1024, 1, [10]), 2048.0)
    with pytest.raises(DataError, match="give strain of a multiple of it"):
        resample(recorded(4096, 1, [10]), 2047.0)
