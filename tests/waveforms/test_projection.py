import bilby
import lal
import lalsimulation
import numpy as np
import pytest
import torch

from aframe.errors import ConfigurationError
from aframe.waveforms.priors import draw, rates_and_populations_bbh
from aframe.waveforms.projection import (
    antenna_patterns,
    arrival_delays,
    detector_geometry,
    greenwich_mean_sidereal_time,
    project,
)

IFOS = ("H1", "L1", "V1", "K1", "I1")
START, SIDEREAL_DAY, RATE, SCALE = 1238166018.0, 86164.0905, 2048, 1e22
BAND = slice(25 * 8, 900 * 8)
"""Hz times the 8 s of a waveform."""


@pytest.fixture
def sky():
    """Directions all over the sphere, poles included, at times all over a sidereal day."""
    rng = np.random.default_rng(1)
    number = 500
    ra, psi = rng.uniform(0, 2 * np.pi, number), rng.uniform(0, np.pi, number)
    dec = np.arcsin(rng.uniform(-1, 1, number))
    dec[:2] = np.pi / 2, -np.pi / 2
    return ra, dec, psi, START + SIDEREAL_DAY * (np.arange(number) + rng.uniform(0, 1, number)) / number


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


@pytest.mark.parametrize("ifo", ["H1", "L1", "V1", "K1"])
def test_antenna_patterns_and_delays_are_bilbys(ifo, sky):
    ra, dec, psi, gps = sky
    geometry = detector_geometry((ifo,))
    hour, declination, polarization = tensors(ra - greenwich_mean_sidereal_time(gps), dec, psi)
    patterns = antenna_patterns(geometry, hour, declination, polarization)
    delays = arrival_delays(geometry, hour, declination)
    reference = bilby.gw.detector.get_empty_interferometer(ifo)
    for mode, pattern in zip(("plus", "cross"), patterns, strict=True):
        expected = [reference.antenna_response(*row, mode) for row in zip(ra, dec, gps, psi, strict=True)]
        np.testing.assert_allclose(pattern[:, 0], expected, atol=1e-5)
    expected = [reference.time_delay_from_geocenter(*row) for row in zip(ra, dec, gps, strict=True)]
    np.testing.assert_allclose(delays[:, 0], expected, atol=1e-7)


@pytest.fixture(scope="module")
def responses(generator):
    """Of real binaries of the last second or two: their parameters, GPS times, polarizations and responses."""
    number, rng = 16, np.random.default_rng(5)
    columns = draw(rates_and_populations_bbh(), number, rng)
    columns |= {"mass_1": rng.uniform(40, 90, number), "mass_2": rng.uniform(30, 40, number)}
    gps = START + SIDEREAL_DAY * rng.uniform(0, 1, number)
    waves = np.stack(generator.generate(columns, workers=1))
    angles = tensors(columns["ra"] - greenwich_mean_sidereal_time(gps), columns["dec"], columns["psi"])
    mine = project(*map(torch.from_numpy, waves), detector_geometry(IFOS), *angles, float(RATE))
    return columns, gps, waves, mine.numpy()


def assert_same_response(mine, reference):
    """Alike to 1e-3 in amplitude and 1e-5 s in delay: spectra within 25–900 Hz, delay as the slope of their phase."""
    mine, reference = (np.fft.rfft(wave * SCALE)[BAND] for wave in (mine, reference))
    frequency, weight = np.arange(BAND.start, BAND.stop) / 8, abs(reference) ** 2
    assert np.linalg.norm(mine) == pytest.approx(np.linalg.norm(reference), rel=1e-3)
    phase = np.angle(mine * reference.conj())
    spread = frequency - np.average(frequency, weights=weight)
    delay = -np.average(spread * phase, weights=weight) / np.average(spread**2, weights=weight) / (2 * np.pi)
    assert abs(delay) < 1e-5
    assert np.linalg.norm(mine - reference) < 2e-3 * np.linalg.norm(reference)


@pytest.mark.parametrize("ifo", ["H1", "L1", "V1", "K1"])
def test_responses_are_bilbys(ifo, responses):
    columns, gps, waves, mine = responses
    for i in range(len(gps)):
        detector = bilby.gw.detector.get_empty_interferometer(ifo)
        start = gps[i] - 7.5
        detector.set_strain_data_from_zero_noise(sampling_frequency=RATE, duration=8, start_time=start)
        # bilby's spectra have coalescence at the first sample
        spectra = np.fft.rfft(np.roll(waves[:, i].astype(np.float64), -round(7.5 * RATE), axis=-1)) / RATE
        parameters = {name: float(columns[name][i]) for name in ("ra", "dec", "psi")} | {"geocent_time": gps[i]}
        response = detector.get_detector_response(dict(zip(("plus", "cross"), spectra, strict=True)), parameters)
        assert_same_response(mine[i, IFOS.index(ifo)], np.fft.irfft(response) * RATE)


@pytest.mark.parametrize("ifo", IFOS)
def test_responses_are_lals(ifo, responses):
    """LAL also turns the Earth while the signal lasts, and adds what its arms' length does: here they are 0.2 m.

    With the true arms it differs in proportion to the frequency, by up to 4e-3 at 200 Hz: the long-wavelength limit.
    LAL interpolates over a few samples, hence at four times the rate.
    """
    detector = lal.Detector(lal.cached_detector_by_prefix[ifo])
    detector.frDetector.xArmMidpoint = detector.frDetector.yArmMidpoint = 0.1
    columns, gps, waves, mine = responses
    rate, size = 4 * RATE, 4 * waves.shape[-1]
    for i in range(len(gps)):
        start = lal.LIGOTimeGPS(gps[i]) - 7.5
        series = []
        for wave in waves[:, i]:
            one = lal.CreateREAL8TimeSeries("", start, 0.0, 1 / rate, lal.StrainUnit, size)
            one.data.data = 4 * np.fft.irfft(np.fft.rfft(wave.astype(np.float64)), n=size)
            series.append(one)
        angles = (float(columns[name][i]) for name in ("ra", "dec", "psi"))
        strain = lalsimulation.SimDetectorStrainREAL8TimeSeries(*series, *angles, detector)
        longer = strain.data.length + rate
        late = float(strain.epoch - start) * np.fft.rfftfreq(longer, 1 / rate)
        shifted = np.fft.irfft(np.fft.rfft(strain.data.data, n=longer) * np.exp(-2j * np.pi * late), n=longer)
        assert_same_response(mine[i, IFOS.index(ifo)], shifted[:size:4])


def test_sidereal_day_is_shorter_than_the_solar_day():
    angle = greenwich_mean_sidereal_time(np.array([START, START + SIDEREAL_DAY]))
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
    """A late pulse at the end is lost; it does not wrap around to the start."""
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
