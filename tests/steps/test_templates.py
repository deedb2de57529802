from pathlib import Path

import numpy as np
import pytest
import torch
from small_networks import matched_filter
from toy_run import run_with_populations

from aframe import storage
from aframe.bank.template_bank import TemplateBank
from aframe.candidates.classes import ChirpMassError, log_chirp_mass
from aframe.events.significance import Background
from aframe.runs.artifacts import Artifacts
from aframe.steps.planning import time_slides
from aframe.steps.templates import FILE, measure_templates, with_event_templates, with_measured_templates
from aframe.strain.files import background_path, write_background
from aframe.strain.segments import Segment
from aframe.tables import EventTable, InjectionTable, RecoveredTable
from aframe.train.model import Model, save
from aframe.types import Array

START, DURATION, RATE = 1262312192.0, 200.0, 1024.0
TIMES = START + np.array([80.0, 100.0, 120.0, 140.0])
MASSES = np.array([8.0, 12.0, 16.0, 20.0, 30.0, 40.0])
PLANTED = np.array([1, 2, 3, 2])


def sine(template: int) -> Array:
    """What a template of the small network looks like, with the coalescence in its middle."""
    frequencies, size = (0.3, 0.25, 0.15, 0.14, 0.06, 0.05), 1920
    return 2e-22 * np.hanning(size) * np.cos(2 * np.pi * frequencies[template] * np.arange(size))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    """A run with a network of six templates, their bank, strain, and four injections."""
    directory = tmp_path_factory.mktemp("run")
    run, rng = run_with_populations(directory, "aframe.waveforms.priors.demo_bbh"), np.random.default_rng(0)
    strain = {ifo: 1e-22 * rng.normal(size=round(DURATION * RATE)) for ifo in ("H1", "L1")}
    path = background_path(str(directory / "test_data"), START, DURATION)
    Path(path).parent.mkdir(parents=True)
    write_background(path, strain, START, RATE)
    storage.write_text(run.strain_index("test", Segment(START, START + DURATION)), Path(path).name)
    preprocessing = time_slides(run).preprocessing
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = matched_filter(2, preprocessing.kernel_size).eval().requires_grad_(False)
    save(Model(network, preprocessing), run.model, {})
    series, columns = torch.zeros(6, 64, dtype=torch.complex64), {"chi_1": np.zeros(6), "chi_2": np.zeros(6)}
    columns |= {"mass_1": MASSES, "mass_2": MASSES}
    bank = TemplateBank(
        series, columns, MASSES * 2**-0.2, RATE, 0.25, np.ones(3), np.ones(3), np.ones((2, 9)), series[:1], series[:1]
    )
    bank.write(run.bank, {})
    responses = np.stack([sine(k) for k in PLANTED]).astype(np.float32)
    shift = np.tile([0.0, 1.0], (4, 1))
    injections = {"injection_time": TIMES, "shift": shift, "snr": np.full(4, 20.0), "ifo_snrs": np.full((4, 2), 14.0)}
    attributes = {"sample_rate": RATE, "duration": 1.875, "right_pad": 0.9375, "ifos": ["H1", "L1"]}
    table = InjectionTable(injections, {"h1": responses, "l1": responses}, attributes | {"num_injections": 4})
    table.write(run.injections, run.injection_parameters)
    return run


def recovered() -> RecoveredTable:
    """The search finds all but the last."""
    columns = {"injection_time": TIMES, "detection_time": TIMES, "shift": np.tile([0.0, 1.0], (4, 1))}
    columns |= {"snr": np.full(4, 20.0), "redshift": np.zeros(4), "mass_1": MASSES[PLANTED], "mass_2": MASSES[PLANTED]}
    columns |= {"detection_statistic": np.array([9.0, 9.0, 9.0, -5.0])}
    return RecoveredTable(columns, attributes={"num_injections": 4, "ifos": ["H1", "L1"]})


def test_a_run_measures_the_templates_of_its_loud_injections(run: Artifacts) -> None:
    assert "template_chirp_mass" not in with_measured_templates(run, recovered()).parameters
    measure_templates(run, recovered(), Background(np.linspace(-1, 1, 100), 3e4))
    assert Path(run.result(FILE)).exists()
    known = with_measured_templates(run, recovered())
    expected = np.exp(log_chirp_mass(MASSES[PLANTED], MASSES[PLANTED]))
    np.testing.assert_allclose(known["template_chirp_mass"][:3], expected[:3])
    assert np.isnan(known["template_chirp_mass"][3])  # quieter than noise once an hour
    error = ChirpMassError.of(known)
    assert error is not None
    np.testing.assert_allclose(error.error, 0, atol=1e-12)


def test_events_have_templates_of_the_bank(run: Artifacts) -> None:
    events = {"detection_statistic": np.array([1.0, 2.0, 3.0]), "detection_time": TIMES[:3], "shift": np.zeros((3, 2))}
    table = with_event_templates(run, EventTable(events, attributes={"Tb": 100.0}), 2)
    assert np.isnan(table["template_mass_1"]).tolist() == [True, False, False]
    assert np.isin(table["template_mass_1"][1:], MASSES).all()


def test_without_a_bank_nothing_is_measured(run: Artifacts, tmp_path: Path) -> None:
    bare = run_with_populations(tmp_path, "aframe.waveforms.priors.demo_bbh")
    measure_templates(bare, recovered(), Background(np.linspace(-1, 1, 100), 3e4))
    assert not Path(bare.result(FILE)).exists()
    events = EventTable(
        {"detection_statistic": np.zeros(1), "detection_time": TIMES[:1], "shift": np.zeros((1, 2))},
        attributes={"Tb": 100.0},
    )
    assert with_event_templates(bare, events, 5) is events
