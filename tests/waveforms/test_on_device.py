import lal
import lalsimulation
import numpy as np
import pytest
import torch

from aframe.waveforms import on_device
from aframe.waveforms.on_device import OnDeviceGenerator, _chirp_time_bound
from aframe.waveforms.polarizations import WAVEFORM_COLUMNS, WaveformGenerator
from aframe.waveforms.priors import demo_bbh, draw, rates_and_populations_bbh

pytestmark = pytest.mark.usefixtures("ml4gw")

SCALE = 1e22  # strain near one, so that squares stay within single precision


def make(approximant="IMRPhenomPv2", sample_rate=2048.0, duration=8.0, right_pad=0.5):
    return OnDeviceGenerator(WaveformGenerator(approximant, sample_rate, duration, right_pad, 20.0, 50.0))


def tensors(columns):
    return {name: torch.tensor(columns[name]) for name in WAVEFORM_COLUMNS}


def aligned(columns):
    tilts = {name: np.where(columns[name] > np.pi / 2, np.pi, 0.0) for name in ("tilt_1", "tilt_2")}
    return columns | tilts


def generate(generator, columns):
    """Plus and cross, shape (2, n, time), near one."""
    return np.stack([wave.numpy() for wave in generator.generate(tensors(columns))]).astype(float) * SCALE


@pytest.mark.parametrize("population", [demo_bbh, rates_and_populations_bbh])
@pytest.mark.parametrize(
    ("approximant", "geometry"),
    [
        ("IMRPhenomPv2", (2048.0, 8.0, 0.5)),
        ("IMRPhenomPv2", (2048.0, 8.0, 2.0)),
        ("IMRPhenomPv2", (1024.0, 4.0, 1.0)),
        ("IMRPhenomPv2", (512.0, 2.0, 1.0)),
        ("IMRPhenomD", (2048.0, 8.0, 0.5)),
    ],
)
def test_samples_are_those_made_with_lal(population, approximant, geometry):
    """White-noise overlap of the whole waveforms, as they are: no freedom in time, phase or band."""
    columns = draw(population(), 16, np.random.default_rng(3))
    columns = aligned(columns) if approximant == "IMRPhenomD" else columns
    generator = make(approximant, *geometry)
    mine = generate(generator, columns)
    expected = np.stack(generator.conventions.generate(columns, workers=1)).astype(float) * SCALE
    norms = [np.linalg.norm(x, axis=-1) for x in (mine, expected)]
    assert ((mine * expected).sum(-1) > 0.9995 * norms[0] * norms[1]).all()
    np.testing.assert_allclose(norms[0], norms[1], rtol=1e-3)


def test_long_signals_are_those_made_with_lal():
    columns = draw(demo_bbh(), 6, np.random.default_rng(4)) | {
        "mass_1": np.linspace(1.4, 4.0, 6), "mass_2": np.linspace(1.3, 1.5, 6)}  # fmt: skip
    mine = generate(make(), columns)
    expected = np.stack(make().conventions.generate(columns, workers=1)).astype(float) * SCALE
    norms = [np.linalg.norm(x, axis=-1) for x in (mine, expected)]
    assert ((mine * expected).sum(-1) > 0.9995 * norms[0] * norms[1]).all()


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no GPU"))])  # fmt: skip
def test_a_binary_does_not_depend_on_its_batch(device, monkeypatch):
    """Light and heavy binaries need different grids; results do not depend on the batch."""
    monkeypatch.setattr(on_device, "MOST_AT_ONCE", 5)
    columns = draw(rates_and_populations_bbh(), 12, np.random.default_rng(5))
    parameters = {name: column.to(device) for name, column in tensors(columns).items()}
    together = torch.stack(make().generate(parameters), 1).cpu() * SCALE
    assert together.dtype == torch.float32
    assert together.shape == (12, 2, 8 * 2048)
    for i in (0, 5, 11):
        alone = torch.stack(make().generate({n: c[i : i + 1] for n, c in parameters.items()}), 1).cpu() * SCALE
        assert (alone[0] - together[i]).abs().max() < 1e-5 * together[i].abs().max()


def test_waveforms_rise_from_nothing_and_end_in_nothing():
    waves = generate(make(), draw(demo_bbh(), 32, np.random.default_rng(6)))
    assert (waves[..., 0] == 0).all()
    assert (abs(waves[..., -1]) < 1e-2 * np.hypot(*waves).max(-1)).all()


def test_amplitude_falls_with_distance():
    columns = draw(demo_bbh(), 4, np.random.default_rng(7))
    near = generate(make(), columns)
    far = generate(make(), columns | {"luminosity_distance": 3 * columns["luminosity_distance"]})
    np.testing.assert_allclose(3 * far, near, rtol=1e-4, atol=1e-5 * abs(near).max())


def test_what_cannot_be_made_is_nan_and_spoils_nothing():
    columns = draw(demo_bbh(), 4, np.random.default_rng(8))
    whole = generate(make(), columns)
    columns["a_1"][1] = 1.7
    waves = generate(make(), columns)
    assert np.isnan(waves).all((0, 2)).tolist() == [False, True, False, False]
    np.testing.assert_allclose(np.delete(waves, 1, 1), np.delete(whole, 1, 1), atol=1e-5 * abs(whole).max())
    precessing = make("IMRPhenomD").generate(tensors(columns))
    assert torch.stack(precessing).isnan().all()


def test_no_binaries_no_waveforms():
    columns = {name: column[:0] for name, column in draw(demo_bbh(), 1, np.random.default_rng(0)).items()}
    assert make().generate(tensors(columns))[1].shape == (0, 8 * 2048)


def test_the_bound_on_a_chirps_length_is_lalsimulations():
    columns = draw(rates_and_populations_bbh(), 30, np.random.default_rng(9))
    arguments, _ = make().model.arguments(tensors(columns), 50.0)
    masses = np.stack([columns["mass_1"], columns["mass_2"]], 1) * lal.MSUN_SI
    spins = torch.stack([arguments["s1z"], arguments["s2z"]], 1).numpy()
    expected = [
        lalsimulation.SimInspiralChirpTimeBound(20.0, *m, *s)
        for m, s in zip(masses.tolist(), spins.tolist(), strict=True)
    ]
    frequency = torch.full((30,), 20.0, dtype=torch.float64)
    np.testing.assert_allclose(_chirp_time_bound(frequency, arguments), expected, rtol=1e-6)
