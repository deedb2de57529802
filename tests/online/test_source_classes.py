
import numpy as np
import pytest
from live_events import live_event
from toy_run import run_with_populations, write_events

from aframe.candidates.rank import SignalModel
from aframe.online.source_classes import SourceClasses, class_of, class_probabilities, live_p_astro
from aframe.steps.answers import run_signals


@pytest.mark.parametrize(
    ("masses", "expected"),
    [((1.4, 1.4), "BNS"), ((3.0, 3.0), "BNS"), ((3.1, 1.4), "NSBH"), ((1.4, 30.0), "NSBH"), ((3.1, 3.1), "BBH")],
)
def test_three_solar_masses_part_the_classes(masses: tuple[float, float], expected: str) -> None:
    assert class_of(*masses) == expected
    shares = class_probabilities(0.75, {"mass_1": masses[0], "mass_2": masses[1], "chi_eff": 0.0})
    assert shares[expected] == 0.75
    assert shares["Terrestrial"] == 0.25
    assert sum(shares.values()) == 1


def test_without_masses_there_are_no_classes() -> None:
    assert class_probabilities(0.75, {}) == {}


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


def test_an_event_has_the_class_of_its_template(signals: SignalModel) -> None:
    event = live_event(statistic=50.0)
    shares = SourceClasses(signals)(event)
    assert shares["BBH"] == live_p_astro(signals, 50.0, event.far_per_year, True) > 0.99
    assert sum(shares.values()) == pytest.approx(1)
    assert SourceClasses(signals)(live_event(template={})) == {}
