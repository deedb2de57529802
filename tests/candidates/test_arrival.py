from pathlib import Path

import numpy as np
import pytest
import torch
from bilby.gw.detector import PowerSpectralDensity

from aframe.candidates.arrival import arrival_times
from aframe.inference.closeup import whitened_recording
from aframe.inference.recorded import recordings_of
from aframe.preprocessing import Preprocessing, Whitening
from aframe.waveforms.polarizations import WaveformGenerator
from aframe.waveforms.priors import demo_bbh, draw
from aframe.waveforms.projection import arrival_delays, detector_geometry, project
from aframe.whitening import apply_filter, whitening_filter

RATE, START, RIGHT_PAD = 2048.0, 1.2e9, 1.0
WHITENING = Whitening(RATE, 16.0, 1.0, 1.0, 16.0, 32.0, None)


def noise(ifos: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """White noise after the high-pass of the whitening filter."""
    spectrum = np.fft.rfft(rng.normal(size=(ifos, size)))
    spectrum[:, np.fft.rfftfreq(size, 1 / RATE) < WHITENING.highpass] = 0
    return np.fft.irfft(spectrum)


@pytest.fixture(scope="module")
def errors() -> tuple[np.ndarray, np.ndarray]:
    """Network SNR, and errors (s) of both detectors' arrival times, of binary black holes across the sky."""
    ifos, rng = ("H1", "L1"), np.random.default_rng(0)
    curve = PowerSpectralDensity(asd_file="aLIGO_O4_high_asd.txt")
    frequency = np.linspace(0, RATE / 2, 1025)
    psds = torch.tensor(np.stack([np.interp(frequency, curve.frequency_array, curve.psd_array)] * 2))
    drawn = draw(demo_bbh(), 90, rng)
    angles = [torch.from_numpy(drawn[name]).float() for name in ("ra", "dec", "psi")]
    generator = WaveformGenerator("IMRPhenomPv2", RATE, 3.0, RIGHT_PAD, 20.0, 50.0)
    waves = (torch.from_numpy(wave) for wave in generator.generate(drawn, 1))
    geometry = detector_geometry(ifos)
    responses = 1e20 * project(*waves, geometry, *angles, RATE).double()
    padded = torch.nn.functional.pad(responses, (WHITENING.before_size, WHITENING.after_size))
    signals = apply_filter(padded, whitening_filter(1e40 * psds, WHITENING)).numpy()
    snr = np.geomspace(9, 50, len(signals))
    signals *= (snr / np.sqrt((signals**2).sum(axis=(1, 2))))[:, None, None]
    delays = arrival_delays(geometry, *angles[:2]).numpy()
    coalescence = START + signals.shape[-1] / RATE - RIGHT_PAD
    arrivals = []
    for signal, delay in zip(signals, delays, strict=True):
        whitened = signal + noise(2, signal.shape[-1], rng)
        time = coalescence + rng.normal(0, 0.05)  # a search's own error
        arrivals.append(arrival_times(whitened, RATE, START, ifos, time) - coalescence - delay)
    return snr, np.array(arrivals)


@pytest.mark.parametrize(
    ("snr", "time", "delay"),  # s: half of the errors are smaller
    [((9, 13), 0.020, 0.0040), ((13, 25), 0.018, 0.0018), ((25, 1e3), 0.018, 0.0008)],
)
def test_errors_of_binary_black_holes(
    errors: tuple[np.ndarray, np.ndarray], snr: tuple[float, float], time: float, delay: float
) -> None:
    network, error = errors
    chosen = error[(network >= snr[0]) & (network < snr[1])]
    assert len(chosen) >= 20
    assert np.median(np.abs(chosen)) < time
    assert np.median(np.abs(chosen[:, 1] - chosen[:, 0])) < delay
    assert -0.02 < np.median(chosen) < -0.005  # power is largest before coalescence


def pulse(time: float, size: int) -> np.ndarray:
    t = np.arange(size) / RATE - time
    return 8 * np.exp(-((t / 0.01) ** 2)) * np.cos(2 * np.pi * 120 * t)


@pytest.mark.parametrize("ifos", [("H1", "L1"), ("L1", "V1", "H1"), ("V1", "K1")])
def test_pulses_are_timed_within_what_light_allows(ifos: tuple[str, ...]) -> None:
    rng, size = np.random.default_rng(1), 4096
    location = detector_geometry(ifos).location.double().numpy()
    for _ in range(10):
        direction = rng.normal(size=3)
        delays = location @ direction / np.linalg.norm(direction) / 299792458.0
        times = 1.0 + delays - delays[0]
        strain = np.stack([pulse(time, size) for time in times]) + 0.3 * noise(len(ifos), size, rng)
        arrivals = arrival_times(strain, RATE, START, ifos, START + 1.1)
        np.testing.assert_allclose(arrivals - START, times, atol=1.5 / RATE)
    apart = np.stack([pulse(1.0 + 0.06 * k, size) for k in range(len(ifos))])
    arrivals = arrival_times(apart, RATE, START, ifos, START + 1.0)
    light = np.linalg.norm(location - location[0], axis=1) / 299792458.0
    assert (np.abs(arrivals - arrivals[0]) <= 2 * light.max() + 2 / RATE).all()


def test_whatever_the_phase_and_sign() -> None:
    size, t = 4096, np.arange(4096) / RATE - 1.0
    envelope = 8 * np.exp(-((t / 0.01) ** 2))
    strain = np.stack([envelope * np.cos(2 * np.pi * 120 * t + phase) for phase in (0.0, np.pi / 2)])
    strain[1] *= -0.5
    strain = strain + 0.1 * noise(2, size, np.random.default_rng(2))
    arrivals = arrival_times(strain, RATE, START, ("H1", "L1"), START + 1)
    np.testing.assert_allclose(arrivals, START + 1, atol=1.5 / RATE)


def test_strain_that_ends_near_the_event_is_enough() -> None:
    strain = np.stack([pulse(0.05, 512)] * 2)
    np.testing.assert_allclose(arrival_times(strain, RATE, START, ("H1", "L1"), START), START + 0.05, atol=2 / RATE)


def test_gw150914_reached_livingston_seven_milliseconds_before_hanford(data_directory: Path) -> None:
    # 6.9 +0.5 -0.4 ms (arXiv:1602.03837); merger at GPS 1126259462.42
    paths = [str(data_directory / "strain" / f"{ifo[0]}-{ifo}_LOSC_4_V2-1126259446-32.hdf5") for ifo in ("H1", "L1")]
    time = 1126259462.4
    preprocessing = Preprocessing(("H1", "L1"), 1.5, 8.0, (0.25, 1.45), WHITENING)
    recordings = recordings_of(paths, preprocessing.ifos)
    stretch = whitened_recording(recordings, preprocessing, time - 0.4, time + 0.4)
    arrivals = arrival_times(stretch.streams, RATE, stretch.start, ("H1", "L1"), time)
    assert arrivals[0] - arrivals[1] == pytest.approx(0.0069, abs=0.0015)
    np.testing.assert_allclose(arrivals, 1126259462.42, atol=0.03)
