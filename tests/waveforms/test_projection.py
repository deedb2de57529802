import lal
import numpy as np
import pytest
import torch

from aframe.constants import SECONDS_PER_DAY
from aframe.errors import ConfigurationError
from aframe.waveforms.projection import (
    antenna_patterns,
    arrival_delays,
    detector_geometry,
    greenwich_mean_sidereal_time,
    project,
)

IFOS = ("H1", "L1", "V1", "K1", "G1")


@pytest.fixture
def sky():
    rng = np.random.default_rng(1)
    number = 500
    ra, psi = rng.uniform(0, 2 * np.pi, number), rng.uniform(0, np.pi, number)
    dec = np.arcsin(rng.uniform(-1, 1, number))
    gps = 1238166018 + rng.uniform(0, SECONDS_PER_DAY, number)
    return ra, dec, psi, gps


def tensors(*arrays):
    return tuple(torch.tensor(array, dtype=torch.float32) for array in arrays)


def test_antenna_patterns_and_delays_are_lals(sky):
    ra, dec, psi, gps = sky
    gmst = greenwich_mean_sidereal_time(gps)
    geometry = detector_geometry(IFOS)
    hour, declination, polarization = tensors(ra - gmst, dec, psi)
    f_plus, f_cross = antenna_patterns(geometry, hour, declination, polarization)
    delays = arrival_delays(geometry, hour, declination)
    for d, ifo in enumerate(IFOS):
        detector = lal.cached_detector_by_prefix[ifo]
        for i in range(len(ra)):
            reference = lal.ComputeDetAMResponse(detector.response, ra[i], dec[i], psi[i], gmst[i])
            np.testing.assert_allclose([f_plus[i, d], f_cross[i, d]], reference, atol=1e-5)
            delay = lal.TimeDelayFromEarthCenter(detector.location, ra[i], dec[i], lal.LIGOTimeGPS(gps[i]))
            assert float(delays[i, d]) == pytest.approx(delay, abs=1e-7)


def test_sidereal_day_is_shorter_than_the_solar_day():
    start = 1238166018.0
    angle = greenwich_mean_sidereal_time(np.array([start, start + 86164.0905]))
    assert angle[0] == pytest.approx(angle[1], abs=1e-6)


@pytest.mark.parametrize("rate", [512.0, 2048.0])
def test_responses_are_delayed_by_fractions_of_a_sample(rate):
    """A Gaussian-windowed sinusoid, whose delayed value is known in closed form."""
    time = np.arange(int(2 * rate)) / rate - 1.0
    rng = np.random.default_rng(2)
    number = 20
    hour, psi = rng.uniform(0, 2 * np.pi, number), rng.uniform(0, np.pi, number)
    dec = np.arcsin(rng.uniform(-1, 1, number))
    geometry = detector_geometry(IFOS)
    wave = [
        lambda t: np.exp(-((t / 0.03) ** 2)) * np.cos(300 * t),
        lambda t: np.exp(-((t / 0.03) ** 2)) * np.sin(300 * t),
    ]
    plus, cross = (torch.tensor(f(time), dtype=torch.float32).expand(number, -1) for f in wave)
    angles = tensors(hour, dec, psi)
    responses = project(plus, cross, geometry, *angles, rate)
    f_plus, f_cross = antenna_patterns(geometry, *angles)
    delays = arrival_delays(geometry, *angles[:2]).double().numpy()
    for i in range(number):
        for d in range(len(IFOS)):
            expected = float(f_plus[i, d]) * wave[0](time - delays[i, d]) + float(f_cross[i, d]) * wave[1](
                time - delays[i, d]
            )
            np.testing.assert_allclose(responses[i, d], expected, atol=2e-5)


def test_nothing_wraps_around():
    """A pulse at the very end that arrives late is gone; it does not come back at the start."""
    rate, size = 2048.0, 4096
    geometry = detector_geometry(("H1", "L1"))
    hour, dec, psi = tensors(*np.random.default_rng(3).uniform(0, 1, (3, 50)))
    pulse = torch.zeros(50, size)
    pulse[:, -60:-10] = torch.hann_window(50)
    for wave in (pulse, pulse.flip(-1)):
        responses = project(wave, wave, geometry, hour, dec, psi, rate)
        far = responses.flip(-1) if wave is pulse else responses
        assert float(far[..., 200:].abs().max()) < 1e-3


def test_single_precision_at_the_strain_of_real_signals():
    hour, dec, psi = tensors(*np.random.default_rng(4).uniform(0, 1, (3, 5)))
    wave = torch.hann_window(2048).expand(5, -1)
    geometry = detector_geometry(("H1",))
    tiny = project(wave * 1e-24, wave * 1e-24, geometry, hour, dec, psi, 2048.0)
    torch.testing.assert_close(tiny * 1e24, project(wave, wave, geometry, hour, dec, psi, 2048.0), rtol=1e-4, atol=1e-5)


def test_unknown_detectors_are_named():
    with pytest.raises(ConfigurationError, match="Q9"):
        detector_geometry(("H1", "Q9"))
