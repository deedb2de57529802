import numpy as np
import pytest
import torch
from small_networks import matched_filter

from aframe.candidates.classes import ChirpMassError
from aframe.candidates.injection_templates import TemplateFinder, injections_to_measure, with_template_chirp_mass
from aframe.candidates.templates import Templates
from aframe.errors import DataError
from aframe.inference.injected import injected_window
from aframe.inference.run import InjectionIndex
from aframe.preprocessing import Preprocessing, Whitening
from aframe.strain.files import background_path, write_background
from aframe.tables import EventTable, InjectionTable, RecoveredTable, Table
from aframe.train.model import Model
from aframe.types import Array

RATE, START, DURATION = 256.0, 1e9, 40.0
PREPROCESSING = Preprocessing(("H1", "L1"), 1.0, 8.0, (0.25, 0.75), Whitening(RATE, 4.0, 1.0, 1.0, 4.0, 10.0, None))
FREQUENCIES = np.array([0.3, 0.25, 0.15, 0.14, 0.06, 0.05])
"""Of the templates, in cycles a sample, in the network's order."""

MASSES = np.array([1.4, 1.6, 5.0, 10.0, 30.0, 40.0])
SHIFTS, PLANTED = np.array([0.0, 3.0]), np.array([1, 2, 3, 3, 2, 1])


def sine(template: int, amplitude: float) -> Array:
    """A signal like a template, with the coalescence a quarter of a second before its end."""
    size = PREPROCESSING.kernel_size // 2
    return amplitude * np.hanning(size) * np.cos(2 * np.pi * FREQUENCIES[template] * np.arange(size))


@pytest.fixture(scope="module")
def strain(tmp_path_factory: pytest.TempPathFactory) -> str:
    """White noise, with a signal of template 2 in unshifted data, 20 s after the start."""
    rng, path = np.random.default_rng(0), background_path(str(tmp_path_factory.mktemp("strain")), START, DURATION)
    noise = {ifo: 1e-22 * rng.normal(size=round(DURATION * RATE)) for ifo in ("H1", "L1")}
    first = round((20 + 0.25) * RATE) - PREPROCESSING.kernel_size // 2
    for each in noise.values():
        each[first : first + PREPROCESSING.kernel_size // 2] += sine(2, 3e-22)
    write_background(path, noise, START, RATE)
    return path


@pytest.fixture(scope="module")
def injections(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two for each template that looks like no pulse, in a slide that shifts L1."""
    times = START + 8.0 + 4 * np.arange(6)
    columns = {"injection_time": times, "shift": np.tile(SHIFTS, (6, 1)), "snr": np.full(6, 30.0)}
    columns |= {"ifo_snrs": np.full((6, 2), 20.0)}
    responses = np.stack([sine(k, 4e-22) for k in PLANTED]).astype(np.float32)
    attributes = {"sample_rate": RATE, "duration": 0.5, "right_pad": 0.25, "ifos": ["H1", "L1"], "num_injections": 6}
    path = str(tmp_path_factory.mktemp("injections") / "waveforms.hdf5")
    InjectionTable(columns, {"h1": responses, "l1": responses}, attributes).write(path)
    return path


@pytest.fixture(scope="module")
def finder(strain: str) -> TemplateFinder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = matched_filter(2, PREPROCESSING.kernel_size).eval().requires_grad_(False)
    templates = Templates({"mass_1": MASSES, "mass_2": MASSES, "chirp_mass": MASSES * 2**-0.2}, 0.25)
    return TemplateFinder(Model(network, PREPROCESSING), templates, [strain])


def recovered(injections: str, **columns: Array) -> RecoveredTable:
    """All injections, as a search found them."""
    table = InjectionTable.read(injections)
    table.parameters |= {"mass_1": 1.02 * MASSES[PLANTED], "mass_2": 1.02 * MASSES[PLANTED], "redshift": np.zeros(6)}
    table.parameters |= {"detection_time": table["injection_time"], "detection_statistic": np.full(6, 5.0)} | columns
    return RecoveredTable(table.parameters, attributes={"num_injections": 6, "ifos": ["H1", "L1"]})


def test_an_event_has_the_template_of_its_signal(finder: TemplateFinder) -> None:
    time = START + np.array([20.0, 12.0, 20.0, 500.0, 1.0])
    events = {"detection_statistic": np.array([9.0, 1.0, 8.0, 7.0, 6.0]), "detection_time": time}
    events |= {"shift": np.zeros((5, 2)), "vetoes": np.full(5, "")}
    table = finder.with_templates(EventTable(events, attributes={"Tb": 30.0}), 4)
    masses = table["template_mass_1"]
    assert masses[[0, 2]].tolist() == [5.0, 5.0]
    assert np.isnan(masses[[1, 3, 4]]).all()  # too quiet to look at, without strain, without a PSD
    np.testing.assert_array_equal(table["template_mass_2"], masses)
    assert table.livetime == 30.0
    assert "vetoes" in table.parameters


def test_injections_have_the_templates_that_they_were_made_of(finder: TemplateFinder, injections: str) -> None:
    found = recovered(injections)
    found.parameters["injection_time"] = found["injection_time"].copy()
    found.parameters["injection_time"][4] += 0.5  # no such injection
    measured = finder.measure(InjectionIndex(injections), found)
    known = with_template_chirp_mass(found, measured)["template_chirp_mass"]
    np.testing.assert_allclose(known[[0, 1, 2, 3, 5]], MASSES[PLANTED[[0, 1, 2, 3, 5]]] * 2**-0.2)
    assert np.isnan(known[4])
    error = ChirpMassError.of(with_template_chirp_mass(found, measured))
    assert error is not None
    np.testing.assert_allclose(error.error, -np.log(1.02))


def test_without_strain_nothing_is_measured(finder: TemplateFinder, injections: str) -> None:
    nowhere = TemplateFinder(finder.model, finder.templates, [])
    assert len(nowhere.measure(InjectionIndex(injections), recovered(injections))) == 0


def test_an_injection_is_where_its_slide_has_it(strain: str, injections: str) -> None:
    """Its whitened strain less that without it is the signal, at the same slide time in both detectors."""
    signal = InjectionTable.read(injections, rows=slice(1, 2), waveforms=True)
    silent = InjectionTable(signal.parameters, {k: 0 * v for k, v in signal.waveforms.items()}, signal.attributes)
    time = float(signal["injection_time"][0])
    window = (time - 0.75, time + 0.25)
    loud, quiet = (injected_window(strain, PREPROCESSING, each, window) for each in (signal, silent))
    assert loud.shape == (2, 256)
    for difference in loud - quiet:
        power = difference**2
        assert (power * np.arange(256)).sum() / power.sum() / RATE == pytest.approx(0.75, abs=0.01)
    assert np.corrcoef((loud - quiet)[0], (loud - quiet)[1])[0, 1] > 0.95
    with pytest.raises(DataError, match=r"background-1000000000-40\.hdf5 lacks strain around 1000000001"):
        injected_window(strain, PREPROCESSING, signal, (START + 1, START + 2))


def test_injections_to_measure_are_of_all_masses_and_loud() -> None:
    rng = np.random.default_rng(1)
    mass = np.concatenate([np.exp(rng.uniform(3, 4, 5000)), np.exp(rng.uniform(0, 1, 50))])
    columns = {name: np.zeros(5050) for name in ("detection_time", "injection_time", "snr", "redshift")}
    columns |= {"mass_1": mass, "mass_2": mass, "shift": np.zeros((5050, 2))}
    columns |= {"detection_statistic": np.where(np.arange(5050) % 2, rng.normal(size=5050), -np.inf)}
    table = RecoveredTable(columns, attributes={"num_injections": 5050, "ifos": []})
    chosen = injections_to_measure(table, -1.0, rng)
    assert (chosen["detection_statistic"] >= -1.0).all()
    assert 10 < (chosen["mass_1"] < 3).sum() <= 25
    assert len(chosen) < 150
    assert len(injections_to_measure(table, 99.0, rng)) == 0
    assert (
        len(
            with_template_chirp_mass(
                table, Table(dict.fromkeys(("injection_time", "shift", "template_chirp_mass"), np.empty(0)))
            )
        )
        == 5050
    )
