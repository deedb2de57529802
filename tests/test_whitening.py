import dataclasses

import numpy as np
import pytest
import torch
from scipy import signal

from aframe.errors import DataError
from aframe.preprocessing import MINIMUM_PHASE, PHASES, ZERO_PHASE, Whitening
from aframe.strain.noise_curves import load_asd
from aframe.strain.recordings import read_strain
from aframe.strain.simulate import simulate
from aframe.whitening import (
    apply_filter,
    minimum_phase,
    power_spectral_density,
    smooth_psd,
    whiten_stream,
    whiten_whole,
    whitening_filter,
)

RATE = 1024.0
WHITENING = Whitening(RATE, 8.0, 1.0, 1.0, 8.0, 32.0, None)


@pytest.fixture(scope="module")
def coloured():
    return torch.from_numpy(simulate(load_asd("aLIGO_O4_high_asd.txt"), "H1", 1e9, 1e9 + 128, RATE, seed=1))


@pytest.fixture(scope="module", params=PHASES)
def whitening(request):
    return dataclasses.replace(WHITENING, phase=request.param)


@pytest.fixture(scope="module")
def stream(coloured, whitening):
    return whiten_stream(coloured[:49152], whitening)  # four blocks and most of a fifth


def in_band_psd(data, resolution=1.0):
    """PSD in units of unit-variance white noise, and its frequencies, from 40 to 450 Hz."""
    psd = power_spectral_density(data, RATE, 1 / resolution).numpy() * RATE / 2
    frequency = np.arange(len(psd)) * resolution
    band = (frequency >= 40) & (frequency <= 450)
    return frequency[band], psd[band]


@pytest.mark.parametrize("fftlength", [0.5, 1.0, 1.5])
@pytest.mark.parametrize("duration", [8, 8.7])
def test_psd_is_scipys(fftlength, duration):
    x = np.random.default_rng(0).standard_normal((2, int(duration * RATE)))
    _, expected = signal.welch(x, RATE, nperseg=int(fftlength * RATE), average="median")
    ours = power_spectral_density(torch.from_numpy(x), RATE, fftlength)
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-10)


def test_psd_of_too_little_strain_is_refused():
    with pytest.raises(DataError, match=r"0\.500 s of strain are too short"):
        power_spectral_density(torch.zeros(512), RATE, 1.0)


@pytest.mark.parametrize("colour", ["white", "coloured"])
def test_whitened_noise_has_unit_psd_in_band(colour, coloured, whitening):
    noise = coloured if colour == "coloured" else torch.from_numpy(np.random.default_rng(2).standard_normal(131072))
    whitening = dataclasses.replace(whitening, psd_length=32.0)
    whitened = whiten_stream(noise, whitening).data
    assert len(whitened) == len(noise) - whitening.psd_size - whitening.after_size
    _, psd = in_band_psd(whitened)
    assert psd.mean() == pytest.approx(1, abs=0.04)  # the inverse of a noisy PSD is biased upwards by about 2 %
    smooth = np.convolve(psd, np.ones(20) / 20, "valid")
    assert 0.8 < smooth.min() < smooth.max() < 1.25


def test_nothing_is_left_outside_the_band(coloured):
    whitened = whiten_whole(coloured, dataclasses.replace(WHITENING, lowpass=300.0)).data
    psd = power_spectral_density(whitened, RATE, 1.0).numpy() * RATE / 2
    assert psd[2:28].max() < 2e-3
    assert psd[305:510].max() < 2e-3
    assert psd[60:280].mean() == pytest.approx(1, abs=0.1)


def test_the_signals_sum_of_squares_is_its_squared_snr(coloured, whitening):
    psd = power_spectral_density(coloured, RATE, 1.0)
    time = torch.arange(4096, dtype=torch.float64) / RATE
    pulse = 1e-21 * torch.exp(-(((time - 2) / 0.02) ** 2)) * torch.cos(2 * np.pi * 150 * time)
    whitened = apply_filter(pulse, whitening_filter(psd, whitening))
    spectrum = torch.fft.rfft(pulse) / RATE
    fine = np.interp(np.arange(2049) * 0.25, np.arange(513), psd.numpy())
    band = np.arange(2049) * 0.25 >= 32
    snr_squared = 4 * 0.25 * float((spectrum.abs().numpy() ** 2 / fine)[band].sum())
    assert float(whitened.square().sum()) == pytest.approx(snr_squared, rel=0.05)


def test_filter_is_symmetric_and_tapered(coloured):
    taps = whitening_filter(power_spectral_density(coloured, RATE, 1.0), WHITENING)
    assert taps.shape == (WHITENING.filter_size,)
    np.testing.assert_allclose(taps[1:], taps[1:].flip(0), atol=1e-12 * float(taps.abs().max()))
    assert float(taps[0].abs()) == 0


def test_a_short_psd_is_padded_to_a_long_filter(coloured):
    long = dataclasses.replace(WHITENING, fduration=2.0)
    short = whitening_filter(power_spectral_density(coloured, RATE, 1.0), long)
    assert short.shape == (long.filter_size,)
    assert int(short.abs().argmax()) == long.after_size


def test_a_minimum_phase_is_that_of_a_known_filter():
    """A product of zeros inside the unit circle is its own response of minimum phase; mirrored zeros give it too."""
    zeros = np.array([0.5, 0.7 * np.exp(0.9j), 0.7 * np.exp(-0.9j)])
    inside, outside = torch.from_numpy(np.poly(zeros).real), torch.from_numpy(np.poly(1 / zeros.conj()).real)
    expected = torch.fft.rfft(inside, n=1024)
    torch.testing.assert_close(minimum_phase(torch.fft.rfft(inside, n=1024).abs().log()), expected)
    scale = float(inside.norm() / outside.norm())
    torch.testing.assert_close(minimum_phase((scale * torch.fft.rfft(outside, n=1024).abs()).log()), expected)


def test_filters_of_both_phases_have_one_amplitude_in_band(coloured):
    psd = power_spectral_density(coloured, RATE, 1.0)
    both = [whitening_filter(psd, dataclasses.replace(WHITENING, phase=phase)) for phase in PHASES]
    zero, minimum = (torch.fft.rfft(taps, n=8192).abs()[8 * 40 : 8 * 450] for taps in both)
    assert (minimum / zero).log().abs().mean() < 0.03
    assert both[1].square()[:100].sum() > 0.9 * both[1].square().sum()  # most of it comes at once


@pytest.mark.parametrize("lowpass", [None, 300.0])
def test_what_minimum_phase_leaves_outside_the_band_falls(coloured, lowpass):
    """It is at most the eighth power of the frequency, of white noise, however loud the noise is there."""
    whitened = whiten_whole(coloured, dataclasses.replace(WHITENING, lowpass=lowpass, phase=MINIMUM_PHASE)).data
    psd = power_spectral_density(whitened, RATE, 1.0).numpy() * RATE / 2
    frequency = np.arange(513)
    low = (frequency >= 2) & (frequency <= 28)
    assert (psd[low] < 1.5 * ((frequency[low] + 1) / 32) ** 16 + 1e-7).all()
    if lowpass:
        high = (frequency >= 310) & (frequency <= 500)
        assert (psd[high] < 1.5 * (lowpass / (frequency[high] - 1)) ** 16).all()
        assert psd[60:280].mean() == pytest.approx(1, abs=0.1)


def test_strain_after_a_sample_does_not_change_it(coloured):
    whitening = dataclasses.replace(WHITENING, phase=MINIMUM_PHASE)
    whole = whiten_stream(coloured[:30000], whitening).data
    cut = whiten_stream(coloured[:25001], whitening).data
    assert len(cut) == 25001 - whitening.psd_size
    torch.testing.assert_close(cut, whole[: len(cut)], rtol=1e-6, atol=1e-6)
    with pytest.raises(DataError, match=r"psd_length = 8\.0 s are needed"):
        whiten_stream(coloured[:8192], whitening)


def test_strain_of_no_power_outside_the_band_leaves_the_filter_as_it_is():
    psd = torch.full((513,), 1e-46, dtype=torch.float64)
    silent = psd.clone()
    silent[:30] = silent[401:] = 0.0
    whitening = dataclasses.replace(WHITENING, lowpass=400.0, phase=MINIMUM_PHASE)
    torch.testing.assert_close(
        whitening_filter(silent, whitening), whitening_filter(psd, whitening), rtol=0.02, atol=1e21
    )


def test_whitening_is_linear(coloured):
    taps = whitening_filter(power_spectral_density(coloured, RATE, 1.0), WHITENING)
    other = torch.roll(coloured, 333) * 3
    together = apply_filter(coloured + other, taps)
    apart = apply_filter(coloured, taps) + apply_filter(other, taps)
    assert float((together - apart).abs().max()) < 1e-10


def test_filtering_is_convolution(coloured):
    taps = whitening_filter(power_spectral_density(coloured, RATE, 1.0), WHITENING)
    strain = coloured[:5000]
    expected = signal.fftconvolve(strain.numpy(), taps.numpy(), "full")[len(taps) : 5000]
    np.testing.assert_allclose(apply_filter(strain, taps).numpy(), expected, atol=1e-10)


@pytest.mark.parametrize("start", [-700, 0, 3000, 8192 - 100, 2 * 8192 - 1500, 38400])
def test_a_signal_whitened_apart_is_exact_across_block_borders(stream, start, whitening):
    rng = np.random.default_rng(3)
    pulse = torch.from_numpy(rng.standard_normal(2048)) * 1e-22
    strain = torch.zeros(49152, dtype=torch.float64)
    low, high = max(0, start + stream.offset), min(len(strain), start + stream.offset + 2048)
    strain[low:high] = pulse[low - start - stream.offset : high - start - stream.offset]
    blocks = range(stream.offset, stream.offset + len(stream.data), stream.block_size)
    before, after = whitening.before_size, whitening.after_size
    pieces = [strain[b - before : min(b + stream.block_size, len(strain) - after) + after] for b in blocks]
    expected = torch.cat([apply_filter(piece, taps) for piece, taps in zip(pieces, stream.taps, strict=True)])
    added = torch.zeros_like(expected)
    piece = stream.whiten_signal(pulse, start).double()
    first = start - after
    a, b = max(0, first), min(len(added), first + len(piece))
    added[a:b] += piece[a - first : b - first]
    assert float((added - expected).abs().max()) < 2e-6 * float(expected.abs().max())


def test_constant_and_missing_strain_are_refused():
    for strain in (torch.zeros(8192), torch.full((8192,), float("nan"))):
        with pytest.raises(DataError, match="constant or has missing samples"):
            whiten_whole(strain, WHITENING)
    with pytest.raises(DataError, match="too short to whiten"):
        whiten_stream(torch.randn(8192, generator=torch.Generator().manual_seed(0)), WHITENING)


@pytest.fixture(scope="module")
def real(data_directory):
    """32 s around each of three events, in both LIGO detectors, at 2048 Hz."""
    paths = [p for p in sorted((data_directory / "strain").glob("*-32.hdf5")) if "16KHZ" not in p.name]
    return [piece for p in paths for piece in next(iter(read_strain([str(p)], None, 2048.0).values()))]


def real_psd(stretch, fftlength, fduration, phase=ZERO_PHASE):
    whitening = Whitening(2048.0, 8.0, fftlength, fduration, 8.0, 32.0, None, phase)
    whitened = whiten_whole(torch.from_numpy(stretch.data), whitening).data
    psd = power_spectral_density(whitened, 2048.0, 1.0).numpy() * 1024
    assert len(psd) == 1025  # 1 Hz resolution
    return psd


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("length", [1.0, 2.0])
def test_whitened_real_strain_is_white_through_the_lines(real, length, phase):
    """Power lines (60 Hz and harmonics), calibration lines (36 Hz) and violin modes (500 Hz) included."""
    assert len(real) == 6
    for stretch in real:
        psd = real_psd(stretch, length, length, phase)
        assert psd[34:981].max() < 2
        assert psd[40:451].mean() == pytest.approx(1, abs=0.05)


def test_an_isolated_line_is_left_at_less_than_twice_the_noise():
    whitening = Whitening(1024.0, 8.0, 1.0, 1.0, 8.0, 32.0, None)
    psd = torch.full((513,), 1e-46, dtype=torch.float64)
    psd[99:102] = torch.tensor([0.25e-40, 1e-40, 0.25e-40], dtype=torch.float64)  # a line under Hann's window
    response = torch.fft.rfft(whitening_filter(psd, whitening)).abs() ** 2 * psd * 512
    assert response[100] == pytest.approx((1 + 2**0.5) ** 2 / 4, rel=1e-3)


def test_a_filter_shorter_than_its_psd_leaks_lines(real):
    assert max(real_psd(stretch, 4.0, 1.0)[34:981].max() for stretch in real) > 100


def test_a_smooth_psd_has_no_lines_and_keeps_its_slope():
    frequency = torch.linspace(0, RATE / 2, 1025, dtype=torch.float64)
    slope = (50 / frequency.clamp_min(5)) ** 4 + 1
    random = torch.Generator().manual_seed(0)
    scatter = (0.3 * torch.randn(frequency.shape, generator=random, dtype=torch.float64)).exp()
    lines = torch.where((frequency - 60).abs() < 1, 1e4, 1.0)
    smooth = smooth_psd((slope * scatter * lines)[None], RATE)[0]
    inner = (frequency > 20) & (frequency < RATE / 2 - 10)
    torch.testing.assert_close(smooth[inner], slope[inner], rtol=0.35, atol=0)
    assert (smooth / slope)[inner].log().std() < 0.1
    torch.testing.assert_close(smooth_psd(torch.ones(2, 3), RATE), torch.ones(2, 3, dtype=torch.float64))
