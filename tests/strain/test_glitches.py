"""Glitches: their SNRs, rates and borders."""

import itertools

import numpy as np
import pytest
from scipy import stats

from aframe.strain.glitch_models import MODELS
from aframe.strain.glitch_population import GlitchPopulation, read_population
from aframe.strain.glitches import REACH, glitch_strain, glitches_between, optimal_snr, waveforms
from aframe.strain.noise_curves import asd_at, load_asd
from aframe.tables import GlitchTable

START, RATE = 1262304000.0, 1024.0
BAND = (32.0, 512.0)


@pytest.fixture(scope="module")
def curve():
    return load_asd("aLIGO_O4_high_asd.txt")


@pytest.fixture(scope="module")
def population():
    return read_population("o3")


def snr_of(strain, curve, rate, lowest=10.0):
    """Optimal SNR of a series, directly from its definition."""
    frequency = np.fft.rfftfreq(len(strain), 1 / rate)
    inside = frequency >= lowest
    power = np.abs(np.fft.rfft(strain) / rate)[inside] ** 2 / asd_at(curve, frequency[inside]) ** 2
    return np.sqrt(4 * power.sum() * rate / len(strain))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("rate", [1024.0, 2048.0])
def test_strain_has_the_snr_of_the_row(name, rate, curve, population):
    drawn = population.draw("L1", 5, np.random.default_rng(3), classes=(name,))
    for k, series in enumerate(waveforms(drawn, curve, rate, 16.0)):
        assert snr_of(series, curve, rate) == pytest.approx(drawn["snr"][k], rel=1e-2)
        assert np.abs(series[[0, -1]]).max() < 1e-4 * np.abs(series).max()
    white = waveforms(drawn, curve, rate, 16.0, whitened_band=(10.0, rate / 2))
    np.testing.assert_allclose(np.sqrt((white**2).sum(axis=1)), drawn["snr"], rtol=1e-2)
    in_band = np.sqrt((waveforms(drawn, curve, rate, 16.0, whitened_band=BAND) ** 2).sum(axis=1))
    np.testing.assert_allclose(in_band, optimal_snr(drawn, curve, curve, BAND, rate), rtol=2e-2)


def test_short_series_are_the_middle_of_long_ones(curve, population):
    drawn = population.draw("L1", 30, np.random.default_rng(1))
    long, short = (waveforms(drawn, curve, RATE, duration) for duration in (20.0, 1.5))
    middle = long.shape[1] // 2
    np.testing.assert_array_equal(short, long[:, middle - 768 : middle + 768])


def test_injected_glitches_have_the_snrs_of_their_rows(curve, population):
    table = glitches_between(population, "L1", START, START + 2000, seed=5)
    for k in range(0, len(table), 3):
        row = table.rows(slice(k, k + 1))
        first = round((row["glitch_time"][0] - 8) * RATE)
        strain = glitch_strain(row, curve, first, int(16 * RATE), RATE)
        assert snr_of(strain, curve, RATE) == pytest.approx(row["snr"][0], rel=1e-2)


def test_a_pulse_lies_at_its_time_between_samples(curve):
    time = START + 10 + 0.4 / RATE
    numbers = {"glitch_time": time, "snr": 20.0, "frequency": 100.0, "gamma": 1.0, "duration": np.nan, "phase": 0.0}
    row = GlitchTable(
        {name: np.array([value]) for name, value in ({"ifo": "H1", "glitch_class": "blip"} | numbers).items()}
    )
    strain = glitch_strain(row, curve, round(START * RATE), int(20 * RATE), RATE)
    fine = np.fft.irfft(np.fft.rfft(strain), n=10 * len(strain))
    assert np.argmax(fine) / (10 * RATE) == pytest.approx(time - START, abs=0.11 / RATE)


def test_glitches_are_continuous_over_any_border(curve, population):
    low, high = START, START + 600

    def strain(start, stop):
        around = glitches_between(population, "L1", start - REACH, stop + REACH, seed=2)
        return glitch_strain(around, curve, round(start * RATE), round((stop - start) * RATE), RATE)

    whole, table = strain(low, high), glitches_between(population, "L1", low, high, seed=2)
    straddled = np.round(table["glitch_time"][len(table) // 2] * RATE) / RATE
    pieces = [strain(a, b) for a, b in itertools.pairwise([low, straddled, low + 512, high])]
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-12 * np.abs(whole).max())


def test_times_depend_on_seed_and_detector_alone(population):
    table = glitches_between(population, "H1", START, START + 4000, seed=1)
    edges = START + np.array([0, 1000, 4000])
    pieces = [glitches_between(population, "H1", a, b, seed=1) for a, b in itertools.pairwise(edges.tolist())]
    np.testing.assert_array_equal(GlitchTable.concatenate(pieces)["snr"], table["snr"])
    assert glitches_between(population, "H1", START, START + 4000, seed=2)["snr"][0] != table["snr"][0]
    assert len(glitches_between(population, "H1", -3600.0, 3600.0, seed=1)) > 10
    assert not len(glitches_between(population, "H1", START, START + 1e-3, seed=1))


def test_rates_are_poisson(population):
    span, days = 86400.0, 8
    table = glitches_between(population, "L1", START, START + days * span, seed=7)
    for each in population.of("L1"):
        times = table["glitch_time"][table["glitch_class"] == each.glitch_class]
        expected = each.rate_per_hour * 24 * days
        assert abs(len(times) - expected) < 4 * np.sqrt(expected)
        gaps = np.diff(times) * each.rate_per_hour / 3600
        assert stats.kstest(gaps, "expon").pvalue > 1e-4
        counts = np.histogram(times, bins=24 * days)[0]
        assert counts.var() / counts.mean() == pytest.approx(1, abs=0.2)


def test_one_class_does_not_change_another(population):
    blips = GlitchPopulation(tuple(each for each in population.of("L1") if each.glitch_class == "blip"))
    alone = glitches_between(blips, "L1", START, START + 7200, seed=1)
    among = glitches_between(population, "L1", START, START + 7200, seed=1)
    np.testing.assert_array_equal(alone["snr"], among.rows(among["glitch_class"] == "blip")["snr"])
