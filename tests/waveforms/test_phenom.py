import sys
import tomllib
from pathlib import Path

import lal
import lalsimulation
import numpy as np
import pytest
import torch
from bilby.gw.conversion import bilby_to_lalsimulation_spins

from aframe.errors import ConfigurationError
from aframe.waveforms import phenom
from aframe.waveforms.phenom import Phenom
from aframe.waveforms.polarizations import SPIN_COLUMNS, WAVEFORM_COLUMNS
from aframe.waveforms.priors import demo_bbh, draw, rates_and_populations_bbh

REFERENCE, STEP, LOW, HIGH = 50.0, 0.25, 20.0, 1024.0  # Hz


def binaries(kind, number=24):
    """Columns of some binaries of a kind."""
    population = rates_and_populations_bbh if kind == "rates_and_populations_bbh" else demo_bbh
    columns = draw(population(), number, np.random.default_rng(3))
    if kind in ("aligned", "aligned, face on"):
        for i in (1, 2):
            columns[f"tilt_{i}"] = np.where(columns[f"tilt_{i}"] > np.pi / 2, np.pi, 0.0)
    if kind == "aligned, face on":
        columns["theta_jn"] = np.where(columns["theta_jn"] > np.pi / 2, np.pi, 0.0)
    if kind == "without spins":
        columns["a_1"] = columns["a_2"] = np.zeros(number)
    if kind == "equal masses":
        columns["mass_2"] = columns["mass_1"].copy()
    if kind.startswith("unequal masses"):
        columns["mass_2"] = columns["mass_1"] / np.linspace(8, 20, number)
    if kind == "unequal masses, rapid spins":  # final spins up to 0.99, so that the ringdown is narrow
        columns["a_1"] = np.linspace(0.97, 0.998, number)
        columns["tilt_1"] = np.where(np.arange(number) % 2, np.linspace(0.3, 0.8, number), columns["tilt_1"])
    if kind == "unequal masses, spins against the orbit":  # up to a total angular momentum that points down
        columns["tilt_1"], columns["a_1"] = np.full(number, np.pi), np.linspace(0.5, 0.998, number)
        columns["a_2"] = np.zeros(number)
    if kind == "neutron stars":
        columns["mass_1"] = np.linspace(1.2, 3.0, number)
        columns["mass_2"] = 0.8 * columns["mass_1"]
    return columns


def rows(columns):
    return [{name: float(columns[name][i]) for name in WAVEFORM_COLUMNS} for i in range(len(columns["mass_1"]))]


def spins_of(row):
    heavy, light = (row[name] * lal.MSUN_SI for name in ("mass_1", "mass_2"))
    return bilby_to_lalsimulation_spins(*(row[name] for name in SPIN_COLUMNS), heavy, light, REFERENCE, row["phase"])


def of_lal(row, approximant):
    """Plus and cross from LOW to HIGH."""
    heavy, light = (row[name] * lal.MSUN_SI for name in ("mass_1", "mass_2"))
    inclination, *spins = spins_of(row)
    pair = lalsimulation.SimInspiralChooseFDWaveform(
        heavy, light, *spins, row["luminosity_distance"] * 1e6 * lal.PC_SI, inclination, row["phase"],
        0.0, 0.0, 0.0, STEP, LOW, HIGH, REFERENCE, None, getattr(lalsimulation, approximant),
    )  # fmt: skip
    result = np.zeros((2, round(HIGH / STEP) + 1), dtype=complex)  # LAL ends a spectrum where it is zero from there on
    for values, series in zip(result, pair, strict=True):
        values[: len(series.data.data)] = series.data.data
    return result[:, round(LOW / STEP) :]


def of_phenom(columns, approximant):
    model = Phenom(approximant)
    arguments, valid = model.arguments({name: torch.tensor(columns[name]) for name in WAVEFORM_COLUMNS}, REFERENCE)
    assert valid.all()
    frequency = torch.arange(round(LOW / STEP), round(HIGH / STEP) + 1, dtype=torch.float64) * STEP
    return model.spectra(frequency, arguments, REFERENCE).numpy()


@pytest.mark.parametrize(
    ("approximant", "kind"),
    [
        ("IMRPhenomD", "aligned"),
        ("IMRPhenomD", "without spins"),
        ("IMRPhenomPv2", "rates_and_populations_bbh"),
        ("IMRPhenomPv2", "demo_bbh"),
        ("IMRPhenomPv2", "aligned"),
        ("IMRPhenomPv2", "aligned, face on"),
        ("IMRPhenomPv2", "without spins"),
        ("IMRPhenomPv2", "equal masses"),
        ("IMRPhenomPv2", "unequal masses, rapid spins"),
        ("IMRPhenomPv2", "unequal masses, spins against the orbit"),
        ("IMRPhenomPv2", "neutron stars"),
    ],
)
@pytest.mark.usefixtures("ml4gw")
def test_spectra_are_lalsimulations(approximant, kind):
    """Overlap without freedom in time or phase, and amplitude, of plus and of cross: white noise from 20 Hz."""
    columns = binaries(kind)
    mine = of_phenom(columns, approximant)
    expected = np.stack([of_lal(row, approximant) for row in rows(columns)])
    norms = [np.sqrt((abs(x) ** 2).sum(-1)) for x in (mine, expected)]
    overlap = np.real(mine * expected.conj()).sum(-1) / (norms[0] * norms[1])
    assert overlap.shape == (len(columns["mass_1"]), 2)
    assert (overlap > 0.9998).all()
    assert (abs(norms[0] - norms[1]) < 1e-3 * norms[1].max(-1, keepdims=True)).all()
    ends = (mine != 0).sum(-1) - (expected != 0).sum(-1)  # of a band, LAL leaves the last bin out
    assert np.isin(ends, (0, 1)).all()


@pytest.mark.usefixtures("ml4gw")
def test_spins_are_lalsimulations():
    columns = binaries("rates_and_populations_bbh", 300)
    arguments, _ = Phenom("IMRPhenomPv2").arguments({n: torch.tensor(columns[n]) for n in WAVEFORM_COLUMNS}, REFERENCE)
    names = ("inclination", "s1x", "s1y", "s1z", "s2x", "s2y", "s2z")
    expected = [spins_of(row) for row in rows(columns)]
    np.testing.assert_allclose(torch.stack([arguments[name] for name in names], 1), expected, atol=1e-9)


@pytest.mark.usefixtures("ml4gw")
def test_what_a_model_cannot_make_is_known():
    columns = {
        name: torch.tensor(column) for name, column in binaries("aligned", 7).items() if name in WAVEFORM_COLUMNS
    }
    columns["a_1"][1] = 1.2
    columns["tilt_1"][2] = 1.0
    columns["mass_1"][3], columns["mass_2"][3] = 10.0, 12.0
    columns["phase"][4] = torch.nan
    columns["mass_2"][5] = 0.0
    for approximant, expected in (("IMRPhenomPv2", [0, 2, 6]), ("IMRPhenomD", [0, 6])):
        model = Phenom(approximant)
        arguments, valid = model.arguments(columns, REFERENCE)
        assert valid.nonzero()[:, 0].tolist() == expected
        assert model.spectra(torch.tensor([30.0, 90.0]).double(), arguments, REFERENCE).isfinite().all()


@pytest.mark.usefixtures("ml4gw")
def test_ml4gws_top_level_stays_as_it_was():
    before = sys.modules.get("ml4gw")
    phenom._ml4gw.cache_clear()
    Phenom("IMRPhenomD")
    assert sys.modules.get("ml4gw") is before


def test_other_approximants_are_refused():
    with pytest.raises(ConfigurationError, match=r"IMRPhenomXPHM cannot be made .* IMRPhenomD and IMRPhenomPv2 can"):
        Phenom("IMRPhenomXPHM")


def test_a_missing_ml4gw_is_named(monkeypatch):
    phenom._ml4gw.cache_clear()
    monkeypatch.setitem(sys.modules, "ml4gw", None)
    with pytest.raises(ConfigurationError, match=r"none is installed\): pip install --no-deps ml4gw==0\.8\.5"):
        Phenom("IMRPhenomD")


@pytest.mark.usefixtures("ml4gw")
def test_another_ml4gw_is_refused(monkeypatch):
    phenom._ml4gw.cache_clear()
    monkeypatch.setattr(phenom, "VERSION", "0.7.0")
    with pytest.raises(ConfigurationError, match=r"needs ml4gw 0\.7\.0 \(0\.8\.5 is installed\)"):
        Phenom("IMRPhenomD")


def test_all_requirements_name_the_same_version():
    root = Path(__file__).parents[2]
    requirement = f"ml4gw=={phenom.VERSION}"
    extras = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert extras["ml4gw"] == [requirement]
    assert requirement in (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
