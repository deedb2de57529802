import lal
import lalsimulation
import numpy as np
import pytest
from bilby.gw.conversion import bilby_to_lalsimulation_spins

from aframe.constants import SOLAR_MASS_SECONDS
from aframe.errors import ConfigurationError
from aframe.waveforms import polarizations
from aframe.waveforms.polarizations import SPIN_COLUMNS, WaveformGenerator
from aframe.waveforms.priors import demo_bbh, draw, rates_and_populations_bbh

RATE, DURATION, PAD = 2048, 8, 0.5  # Hz, s, s
SCALE = 1e22  # strain near one, so that squares stay within single precision


def make(approximant="IMRPhenomPv2", **changes):
    values = {
        "sample_rate": RATE,
        "duration": DURATION,
        "right_pad": PAD,
        "minimum_frequency": 20,
        "reference_frequency": 50,
    }
    return WaveformGenerator(approximant, **{name: float(value) for name, value in (values | changes).items()})


def spins_of(row):
    heavy, light = (row[name] * lal.MSUN_SI for name in ("mass_1", "mass_2"))
    return bilby_to_lalsimulation_spins(*(row[name] for name in SPIN_COLUMNS), heavy, light, 50.0, row["phase"])


def time_domain_reference(row, approximant="IMRPhenomPv2"):
    """lalsimulation's own time series, resampled (phase shift) so that time 0 falls on sample (duration − pad) rate."""
    heavy, light = (row[name] * lal.MSUN_SI for name in ("mass_1", "mass_2"))
    inclination, *spins = spins_of(row)
    index = getattr(lalsimulation, approximant)
    series = lalsimulation.SimInspiralTD(
        heavy, light, *spins, row["luminosity_distance"] * 1e6 * lal.PC_SI, inclination, row["phase"],
        0.0, 0.0, 0.0, 1 / RATE, 20.0, 50.0, None, index,
    )  # fmt: skip
    aligned = []
    for polarization in series:
        size = 64 * RATE  # longer than any of these
        frequency = np.fft.rfftfreq(size, 1 / RATE)
        start = DURATION - PAD + float(polarization.epoch)
        spectrum = np.fft.rfft(polarization.data.data * SCALE, n=size) * np.exp(-2j * np.pi * frequency * start)
        aligned.append(np.fft.irfft(spectrum, n=size)[: DURATION * RATE])
    return aligned


def overlap(a, b, low=25.0):
    """White-noise overlap above a frequency, with no freedom in time or phase."""
    frequency = np.fft.rfftfreq(a.shape[-1], 1 / RATE)
    a, b = (np.fft.rfft(x)[..., frequency >= low] for x in (a, b))
    return np.real(a * b.conj()).sum(-1) / np.sqrt((abs(a) ** 2).sum(-1) * (abs(b) ** 2).sum(-1))


@pytest.mark.parametrize("approximant", ["IMRPhenomPv2", "IMRPhenomXPHM"])
@pytest.mark.parametrize("population", [demo_bbh, rates_and_populations_bbh])
def test_waveforms_are_lalsimulations(population, approximant):
    number = 30
    columns = draw(population(), number, np.random.default_rng(3))
    plus, cross = make(approximant).generate(columns, workers=1)
    compared = 0
    for i in range(number):
        row = {name: float(column[i]) for name, column in columns.items()}
        time = lalsimulation.SimInspiralChirpTimeBound(
            20.0, row["mass_1"] * lal.MSUN_SI, row["mass_2"] * lal.MSUN_SI, 0.9, 0.9
        )
        low = 25.0 if time < DURATION - 1 else 40.0  # what is longer than the waveform must agree where it lasts
        for mine, reference in zip((plus[i], cross[i]), time_domain_reference(row, approximant), strict=True):
            assert overlap(mine * SCALE, reference, low) > 0.999
            norms = [np.linalg.norm(np.fft.rfft(x)[round(low) * DURATION :]) for x in (mine * SCALE, reference)]
            assert norms[0] == pytest.approx(norms[1], rel=0.02)
            compared += 1
    assert compared == 2 * number


def test_a_time_domain_model_is_lalsimulations():
    row = {"mass_1": 60.0, "mass_2": 45.0, "luminosity_distance": 900.0, "theta_jn": 0.4, "phi_jl": 0.0, "tilt_1": 0.0,
           "tilt_2": 0.0, "phi_12": 0.0, "a_1": 0.3, "a_2": 0.1, "phase": 0.7}  # fmt: skip
    plus, cross = make("IMRPhenomT").generate({name: np.array([value]) for name, value in row.items()}, workers=1)
    for mine, reference in zip((plus[0], cross[0]), time_domain_reference(row, "IMRPhenomT"), strict=True):
        assert overlap(mine * SCALE, reference) > 0.999


def test_coalescence_is_right_pad_before_the_end():
    """A binary is loudest just before LAL's time zero (the model says 18 total masses), wherever the pad puts it."""
    angles = dict.fromkeys((*SPIN_COLUMNS, "phase"), np.zeros(3))
    columns = angles | {"mass_1": np.array([20.0, 36.0, 60.0]), "mass_2": np.array([15.0, 29.0, 50.0]),
                        "luminosity_distance": np.full(3, 400.0)}  # fmt: skip
    for pad in (0.25, 0.5, 1.0):
        plus, cross = make(right_pad=pad).generate(columns, workers=1)
        early = DURATION - pad - np.hypot(plus * SCALE, cross * SCALE).argmax(-1) / RATE
        total_mass = (columns["mass_1"] + columns["mass_2"]) * SOLAR_MASS_SECONDS
        assert ((early > 0) & (early < 25 * total_mass)).all()


@pytest.mark.parametrize("approximant", ["IMRPhenomPv2", "IMRPhenomXPHM"])
def test_nothing_wraps_around(approximant):
    """The end is quiet, the start rises from zero, and a waveform twice as long has the same last half above 25 Hz."""
    columns = draw(demo_bbh(), 64, np.random.default_rng(4))
    short, long = (make(approximant, duration=d).generate(columns, workers=1)[0] * SCALE for d in (8, 16))
    peak = abs(short).max(-1)
    assert (abs(short[:, 0]) == 0).all()
    assert (abs(short[:, -1]) < 5e-3 * peak).all()
    last = slice(RATE, None)  # after the short one's rise
    assert (overlap(short[:, last], long[:, 8 * RATE :][:, last]) > 0.999).all()


def test_splitting_the_spectrum_changes_nothing(monkeypatch):
    columns = draw(demo_bbh(), 100, np.random.default_rng(5))
    split = np.stack(make().generate(columns, workers=1)) * SCALE
    monkeypatch.setattr(polarizations, "SHORT", 2**20)
    whole = np.stack(make().generate(columns, workers=1)) * SCALE
    assert (1 - overlap(split, whole, low=20.0) < 1e-5).all()


def test_bytes_do_not_depend_on_workers():
    columns = draw(demo_bbh(), 100, np.random.default_rng(6))
    alone, together = make().generate(columns, workers=1), make().generate(columns, workers=3)
    assert all(a.dtype == np.float32 and a.tobytes() == b.tobytes() for a, b in zip(alone, together, strict=True))


def test_amplitude_falls_with_distance():
    columns = draw(demo_bbh(), 4, np.random.default_rng(7))
    near = make().generate(columns, workers=1)[0]
    far = make().generate(columns | {"luminosity_distance": 3 * columns["luminosity_distance"]}, workers=1)[0]
    np.testing.assert_allclose(3 * far, near, rtol=1e-4, atol=1e-5 * abs(near).max())


def test_what_lal_refuses_is_nan():
    columns = draw(demo_bbh(), 3, np.random.default_rng(8))
    columns["a_1"][1] = 1.7
    plus, cross = make().generate(columns, workers=2)
    assert np.isnan(plus).all(-1).tolist() == np.isnan(cross).all(-1).tolist() == [False, True, False]


def test_no_binaries_no_waveforms():
    columns = {name: column[:0] for name, column in draw(demo_bbh(), 1, np.random.default_rng(0)).items()}
    assert make().generate(columns)[0].shape == (0, DURATION * RATE)


@pytest.mark.parametrize("name", ["IMRPhenomNonsense", "MSUN_SI", "NumApproximants", "SpinTaylor"])
def test_unknown_approximants_are_named(name):
    with pytest.raises(ConfigurationError, match=name):
        make(name)
