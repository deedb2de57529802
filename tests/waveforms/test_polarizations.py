import contextlib
import math
import os
import signal

import lal
import lalsimulation
import numpy as np
import pytest
from bilby.gw.conversion import bilby_to_lalsimulation_spins

from aframe.constants import SOLAR_MASS_SECONDS
from aframe.errors import ConfigurationError, DataError
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


def aligned(columns):
    """The same binaries with spins along the orbital axis, with the same signs."""
    return columns | {name: np.where(columns[name] < np.pi / 2, 0.0, np.pi) for name in ("tilt_1", "tilt_2")}


def nonspinning(columns):
    return columns | {name: np.zeros_like(columns[name]) for name in ("a_1", "a_2")}


def row_of(columns, i):
    return {name: float(column[i]) for name, column in columns.items()}


def lal_binary(row, reference_frequency=50.0):
    heavy, light = (row[name] * lal.MSUN_SI for name in ("mass_1", "mass_2"))
    angles = (row[name] for name in SPIN_COLUMNS)
    inclination, *spins = bilby_to_lalsimulation_spins(*angles, heavy, light, reference_frequency, row["phase"])
    distance = row["luminosity_distance"] * 1e6 * lal.PC_SI
    return heavy, light, *spins, distance, inclination, row["phase"], 0.0, 0.0, 0.0


def time_domain_reference(row, approximant, rate=RATE, reference_frequency=50.0):
    """``SimInspiralTD``, shifted in phase so that its time 0 falls on sample (duration − pad) rate."""
    series = lalsimulation.SimInspiralTD(
        *lal_binary(row, reference_frequency), 1 / rate, 20.0, 50.0, None, getattr(lalsimulation, approximant)
    )
    placed = []
    for polarization in series:
        size = 2 ** math.ceil(math.log2(len(polarization.data.data) + 2 * DURATION * rate))
        frequency = np.fft.rfftfreq(size, 1 / rate)
        start = DURATION - PAD + float(polarization.epoch)
        spectrum = np.fft.rfft(polarization.data.data * SCALE, n=size) * np.exp(-2j * np.pi * frequency * start)
        placed.append(np.fft.irfft(spectrum[: size * RATE // rate // 2 + 1], n=size * RATE // rate) * RATE / rate)
    return np.array(placed)[:, : DURATION * RATE]


def frequency_domain_reference(row, approximant):
    """``SimInspiralFD``, with LAL's own taper and length, and an inverse transform."""
    series = lalsimulation.SimInspiralFD(
        *lal_binary(row), 0.0, 20.0, RATE / 2, 50.0, None, getattr(lalsimulation, approximant)
    )
    placed = np.zeros((2, DURATION * RATE))
    for out, polarization in zip(placed, series, strict=True):
        frequency = np.arange(polarization.data.length) * polarization.deltaF
        spectrum = polarization.data.data * SCALE * np.exp(-2j * np.pi * frequency * float(polarization.epoch))
        wave = np.fft.irfft(spectrum) * RATE
        after, before = round(PAD * RATE), min(len(wave), len(out)) - round(PAD * RATE)
        out[-after:], out[-after - before : -after] = wave[:after], wave[-before:]
    return placed


def overlap(a, b, low=25.0):
    """White-noise overlap above a frequency, with no freedom in time or phase."""
    frequency = np.fft.rfftfreq(a.shape[-1], 1 / RATE)
    a, b = (np.fft.rfft(x)[..., frequency >= low] for x in (a, b))
    return np.real(a * b.conj()).sum(-1) / np.sqrt((abs(a) ** 2).sum(-1) * (abs(b) ** 2).sum(-1))


def band_start(row):
    """Hz: 25, or what the last 7.25 s of the signal lie above, with 15 per cent for the start's rise."""
    heavy, light = (row[name] * lal.MSUN_SI for name in ("mass_1", "mass_2"))
    seconds = lalsimulation.SimInspiralChirpTimeBound(20.0, heavy, light, 0.0, 0.0)
    return max(25.0, 1.15 * 20.0 * (seconds / 7.25) ** (3 / 8))


def agreement(mine, reference, row):
    """Smaller overlap of the two polarizations, and larger relative difference of their norms."""
    low = band_start(row)
    norms = [np.linalg.norm(np.fft.rfft(x)[:, math.ceil(low * DURATION) :], axis=-1) for x in (mine, reference)]
    return overlap(mine, reference, low).min(), abs(norms[0] / norms[1] - 1).max()


@pytest.mark.parametrize(
    ("approximant", "population", "number"),
    [("IMRPhenomPv2", rates_and_populations_bbh, 60), ("IMRPhenomPv2", demo_bbh, 60),
     ("IMRPhenomXPHM", rates_and_populations_bbh, 40), ("IMRPhenomXP", demo_bbh, 20), ("IMRPhenomXO4a", demo_bbh, 4),
     ("IMRPhenomXPNR", demo_bbh, 4), ("IMRPhenomXP_NRTidalv3", demo_bbh, 10)],
)  # fmt: skip
def test_precessing_models_are_lalsimulations(approximant, population, number):
    """Of 5000 draws of the default population the least is 0.9993 with IMRPhenomPv2, of 600 0.9994 with XPHM."""
    columns = draw(population(), number, np.random.default_rng(3))
    waves = np.stack(make(approximant).generate(columns, workers=1), axis=1) * SCALE
    for i in range(number):
        row = row_of(columns, i)
        match, difference = agreement(waves[i], time_domain_reference(row, approximant), row)
        assert match > 0.999
        assert difference < 5e-3


@pytest.mark.parametrize("approximant", ["IMRPhenomD", "IMRPhenomXAS", "IMRPhenomHM", "IMRPhenomXHM"])
def test_aligned_models_are_lalsimulations(approximant):
    """Time zero and phase are those of LAL's spectra; ``SimInspiralTD`` has its loudest sample at zero instead, a whole
    number of samples away.

    Of 300 draws of the default population the least is 0.9995 with either IMRPhenomD or XAS.
    """
    number = 40 if approximant in ("IMRPhenomD", "IMRPhenomXAS") else 8
    columns = aligned(draw(rates_and_populations_bbh(), number, np.random.default_rng(3)))
    waves = np.stack(make(approximant).generate(columns, workers=1), axis=1) * SCALE
    for i in range(number):
        row = row_of(columns, i)
        match, difference = agreement(waves[i], frequency_domain_reference(row, approximant), row)
        assert match > 0.999
        assert difference < 5e-3
        reference = time_domain_reference(row, approximant)
        both = np.fft.rfft(waves[i]).conj() * np.fft.rfft(reference)
        samples = np.fft.irfft(both).sum(axis=0).argmax()
        assert agreement(np.roll(waves[i], samples, axis=-1), reference, row)[0] > 0.999


@pytest.mark.parametrize("approximant", ["TaylorF2", "SEOBNRv4_ROM"])
def test_models_that_have_no_time_domain_of_their_own_are_lalsimulations(approximant):
    """Of binaries whose innermost stable orbit radiates at 50 Hz or more: TaylorF2 ends there."""
    columns = aligned(draw(rates_and_populations_bbh(), 60, np.random.default_rng(3)))
    columns = {name: column[columns["mass_1"] + columns["mass_2"] < 88] for name, column in columns.items()}
    try:
        generator = make(approximant)
    except ConfigurationError as error:
        pytest.skip(str(error))
    waves = np.stack(generator.generate(columns, workers=1), axis=1) * SCALE
    assert len(waves) >= 40
    for i in range(len(waves)):
        row = row_of(columns, i)
        match, difference = agreement(waves[i], time_domain_reference(row, approximant), row)
        assert match > 0.999
        assert difference < 2e-2


@pytest.mark.parametrize(
    ("approximant", "restrict"),
    [("IMRPhenomT", aligned), ("IMRPhenomTPHM", dict), ("TaylorT4", nonspinning), ("SEOBNRv4_opt", aligned),
     ("EOBNRv2HM", nonspinning)],
)  # fmt: skip
def test_time_domain_models_are_lalsimulations(approximant, restrict):
    """Also where a mode rings above 1024 Hz, so that LAL refuses that sample rate and takes a higher one."""
    columns = restrict(draw(rates_and_populations_bbh(), 4, np.random.default_rng(5)))
    waves = np.stack(make(approximant).generate(columns, workers=1), axis=1) * SCALE
    for i in range(4):
        row, references = row_of(columns, i), []
        for rate in (RATE, 2 * RATE, 4 * RATE):
            with contextlib.suppress(RuntimeError):
                references.append(time_domain_reference(row, approximant, rate))
                break
        match, difference = agreement(waves[i], references[0], row)
        assert match > 0.999
        assert difference < 5e-3


def test_spins_at_the_start_are_those_given():
    """SEOBNRv3_opt defines spins at the start, 20 Hz, for any reference frequency."""
    columns = draw(demo_bbh(), 1, np.random.default_rng(3)) | {"mass_1": np.array([40.0]), "mass_2": np.array([30.0])}
    wave = np.concatenate(make("SEOBNRv3_opt").generate(columns, workers=1)) * SCALE
    reference = time_domain_reference(row_of(columns, 0), "SEOBNRv3_opt", reference_frequency=20.0)
    assert agreement(wave, reference, row_of(columns, 0))[0] > 0.999


@pytest.mark.parametrize(
    ("heaviest", "reference"), [(2.5, time_domain_reference), (12.0, frequency_domain_reference)], ids=["BNS", "NSBH"]
)
def test_neutron_stars_are_lalsimulations_where_the_waveform_lasts(heaviest, reference):
    """The last 8 s of up to 300 s, above 45 to 100 Hz; beyond mass ratio 8, ``SimInspiralTD`` cuts mergers off."""
    rng = np.random.default_rng(6)
    masses = {"mass_1": rng.uniform(2.5 if heaviest > 2.5 else 1.5, heaviest, 6), "mass_2": rng.uniform(1.0, 1.5, 6)}
    columns = draw(rates_and_populations_bbh(), 6, rng) | masses
    waves = np.stack(make().generate(columns, workers=1), axis=1) * SCALE
    for i in range(6):
        row = row_of(columns, i)
        assert 40 < band_start(row) < 110
        match, difference = agreement(waves[i], reference(row, "IMRPhenomPv2"), row)
        assert match > 0.999
        assert difference < 5e-3


def test_an_inspiral_ends_at_coalescence():
    columns = aligned(draw(demo_bbh(), 4, np.random.default_rng(3)))
    plus, _ = make("TaylorF2").generate(columns, workers=1)
    end = round((DURATION - PAD) * RATE)
    assert (plus[:, end:] == 0).all()
    assert (abs(plus[:, end - 1]) < 1e-3 * abs(plus).max(-1)).all()


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


@pytest.mark.parametrize(
    ("approximant", "number"),
    [("IMRPhenomPv2", 100), ("IMRPhenomXPHM", 40), ("IMRPhenomXO4a", 6), ("IMRPhenomTPHM", 6)],
)
def test_what_lal_refuses_is_nan_and_can_be_predicted(approximant, number, capfd):
    """Spins above 1, a negative mass and, in one model, thousands of solar masses."""
    columns = draw(demo_bbh(), number, np.random.default_rng(8))
    columns["a_1"][1::3], columns["mass_2"][2] = 1.7, -3.0
    columns["mass_1"][::5] = 4000.0
    generator = make(approximant)
    for workers in (1, 2):
        plus, cross = generator.generate(columns, workers)
        refused = generator.refuses(columns, workers)
        np.testing.assert_array_equal(np.isnan(plus).all(-1), refused)
        np.testing.assert_array_equal(np.isnan(cross).any(-1), refused)
    assert refused[[1, 2]].all()
    assert not refused[3]
    assert capfd.readouterr().err == ""


def test_spins_that_a_model_cannot_have_are_refused_at_once():
    columns = draw(demo_bbh(), 10, np.random.default_rng(8))
    for call in (make("IMRPhenomD").generate, make("IMRPhenomD").refuses, make("IMRPhenomD").check_spins):
        with pytest.raises(ConfigurationError, match=r"IMRPhenomD does not precess, and 10 of 10 .*aligned_spin_bbh"):
            call(columns)
    make("IMRPhenomPv2").check_spins(columns)
    make("IMRPhenomD").check_spins(aligned(columns))
    with pytest.raises(ConfigurationError, match="TaylorT4 has no spins, and 10 of 10"):
        make("TaylorT4").check_spins(aligned(columns))
    make("TaylorT4").check_spins(nonspinning(columns))


def test_a_crash_of_lal_is_an_error_with_the_models_name(monkeypatch):
    monkeypatch.setattr(lalsimulation, "SimInspiralChooseFDWaveform", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(DataError, match=r"LAL crashed .*IMRPhenomPv2"):
        make().generate(draw(demo_bbh(), 100, np.random.default_rng(8)), workers=2)


def test_no_binaries_no_waveforms():
    columns = {name: column[:0] for name, column in draw(demo_bbh(), 1, np.random.default_rng(0)).items()}
    assert make().generate(columns)[0].shape == (0, DURATION * RATE)
