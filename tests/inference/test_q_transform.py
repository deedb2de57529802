import numpy as np
import pytest
from gwpy.signal.qtransform import QTile

from aframe.errors import DataError
from aframe.inference.q_transform import highest_frequency, loudest, q_transform

RATE, START, DURATION = 1024.0, 1e9, 4.0
FREQUENCY = np.geomspace(30, 200, 25)


def sine_gaussian(time: float, frequency: float, q: float, snr: float) -> np.ndarray:
    """Of a given SNR in white noise of unit variance."""
    t = np.arange(round(RATE * DURATION)) / RATE - time
    pulse = np.exp(-((2 * np.pi * frequency * t / q) ** 2)) * np.cos(2 * np.pi * frequency * t + 0.3)
    return snr * pulse / np.sqrt((pulse**2).sum())


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=round(RATE * DURATION))


@pytest.mark.parametrize("q", [4.0, 8.0, 20.0])
def test_noise_has_exponential_energies_of_mean_one(q: float) -> None:
    frequency = FREQUENCY[highest_frequency(RATE, q) >= FREQUENCY]
    energy = np.stack([q_transform(noise(seed), RATE, START, q, frequency, 1 / 256).energy for seed in range(30)])
    np.testing.assert_allclose(energy.mean(axis=(0, 2)), 1, atol=0.12)
    for level in (1.0, 3.0):
        assert (energy > level).mean() == pytest.approx(np.exp(-level), rel=0.12)


@pytest.mark.parametrize(("time", "frequency", "q"), [(1.3, 60.0, 8.0), (2.71, 150.0, 12.0), (3.0, 100.0, 4.0)])
def test_a_burst_is_where_it_is_with_half_its_squared_snr(time: float, frequency: float, q: float) -> None:
    snr = 20.0
    transform = q_transform(
        noise(1) + sine_gaussian(time, frequency, q, snr), RATE, START, q, np.geomspace(30, 250, 200), 1 / 1024
    )
    row, column = np.unravel_index(transform.energy.argmax(), transform.energy.shape)
    assert transform.time[column] == pytest.approx(START + time, abs=0.2 * q / (2 * np.pi * frequency))
    assert transform.frequency[row] == pytest.approx(frequency, rel=0.6 / q)
    assert transform.energy.max() == pytest.approx(snr**2 / 2, rel=0.25)


@pytest.mark.parametrize(("frequency", "q"), [(60.0, 8.0), (150.0, 12.0), (100.0, 5.0)])
def test_equals_gwpys(frequency: float, q: float) -> None:
    strain = noise(3) + sine_gaussian(1.7, frequency, q, 15)
    tile = QTile(q, frequency, DURATION, RATE, mismatch=0.2)
    theirs = tile.transform(np.fft.rfft(strain), norm="median", epoch=START)
    ours = q_transform(strain, RATE, START, q, np.array([frequency]), DURATION / len(theirs.value))
    assert ours.time[1] - ours.time[0] == pytest.approx(theirs.dx.value)
    energy = ours.energy[0] / np.log(2)  # gwpy's median is 1, our mean
    assert np.corrcoef(energy, theirs.value)[0, 1] > 0.999
    assert energy.max() == pytest.approx(theirs.value.max(), rel=0.05)


def test_columns_are_samples_of_one_function() -> None:
    strain = noise(4) + sine_gaussian(2.0, 80, 8, 10)
    fine = q_transform(strain, RATE, START, 8.0, FREQUENCY, 1 / 1024)
    coarse = q_transform(strain, RATE, START, 8.0, FREQUENCY, 1 / 64)
    np.testing.assert_allclose(coarse.time, fine.time[::16])
    ratio = coarse.energy / fine.energy[:, ::16]
    np.testing.assert_allclose(ratio / ratio[:, :1], 1, rtol=1e-9)  # but for the median that each row is divided by
    np.testing.assert_allclose(ratio[:, 0], 1, rtol=0.2)


@pytest.mark.parametrize("q", [4.0, 8.0, 16.0])
def test_the_loudest_q_is_the_bursts_own(q: float) -> None:
    strain = sine_gaussian(2.0, 90, q, 60) + noise(5)
    sets = [[q_transform(strain, RATE, START, k, np.geomspace(30, 250, 80), 1 / 512)] for k in (4.0, 8.0, 16.0)]
    assert sets[loudest(sets, START + 1.5, START + 2.5)][0].q == q


def test_bands_beyond_the_nyquist_frequency_are_refused() -> None:
    assert highest_frequency(RATE, 8.0) == pytest.approx(512 / (1 + 11**0.5 / 8))
    for frequency, q in ((400.0, 8.0), (0.0, 8.0), (50.0, 3.0)):
        with pytest.raises(DataError, match="take Q ≥ √11 and frequencies up to"):
            q_transform(noise(6), RATE, START, q, np.array([frequency]), 1 / 64)
