import numpy as np
import pytest
from live_events import live_event
from toy_run import run_with_populations, write_events

from aframe.candidates.classes import ClassModel, chirp_mass_of
from aframe.candidates.rank import SignalModel
from aframe.online.source_classes import SourceClasses, class_probabilities, live_p_astro
from aframe.steps.answers import run_signals


def test_p_astro_is_shared_out_to_all_classes() -> None:
    mass = np.array([1.4, 5.0, 5.0])
    chirp_masses = np.log(chirp_mass_of(mass, np.full(3, 1.4)))
    classes = ClassModel(chirp_masses, np.array([0, 1, 2]), np.array([1.0, 3.0, 1.0]))
    shares = class_probabilities(0.8, {"mass_1": 5.0, "mass_2": 1.4, "chi_eff": 0.0}, classes)
    assert shares == pytest.approx({"BNS": 0.0, "NSBH": 0.6, "BBH": 0.2, "Terrestrial": 0.2}, abs=1e-6)
    without = class_probabilities(0.5, {}, classes)
    assert without == pytest.approx({"BNS": 0.1, "NSBH": 0.3, "BBH": 0.1, "Terrestrial": 0.5})


@pytest.fixture(scope="module")
def signals(tmp_path_factory: pytest.TempPathFactory) -> SignalModel:
    run = run_with_populations(tmp_path_factory.mktemp("run"), "aframe.waveforms.priors.demo_bbh")
    assert run_signals(run) is None
    write_events(run)
    signals = run_signals(run)
    assert signals is not None
    return signals


def test_p_astro_is_the_runs_where_the_noise_is(signals: SignalModel) -> None:
    background = signals.densities.background
    statistic = float(background.statistics[-40])
    far = float(background.far_interpolated_per_year(np.array([statistic]))[0])
    expected = float(signals.p_astro(np.array([statistic]))[0])
    assert 0.001 < expected < 0.999
    assert live_p_astro(signals, statistic, far, False) == pytest.approx(expected, rel=1e-6)
    assert live_p_astro(signals, statistic, 1e6 * far, True) == pytest.approx(expected, rel=1e-6)
    odds = [p / (1 - p) for p in (live_p_astro(signals, statistic, f * far, False) for f in (1.0, 10.0))]
    assert odds[0] / odds[1] == pytest.approx(10, rel=0.5)  # the mean over the rate is not linear
    assert live_p_astro(signals, 50.0, 1.0, False) > 0.99


def test_a_run_of_black_holes_gives_them_all(signals: SignalModel) -> None:
    event = live_event(statistic=50.0)
    shares = SourceClasses(signals)(event)
    assert shares["BBH"] == live_p_astro(signals, 50.0, event.far_per_year, True) > 0.99
    assert sum(shares.values()) == pytest.approx(1)
    assert SourceClasses(signals)(live_event(statistic=50.0, template={})) == shares
