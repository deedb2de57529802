from dataclasses import replace

import numpy as np
import pytest
from live_events import live_event
from toy_run import run_with_populations, write_events

from aframe.candidates.class_rates import ClassRates, SourceModel
from aframe.candidates.classes import ChirpMassError
from aframe.candidates.rank import SignalModel
from aframe.online.source_classes import SourceClasses
from aframe.steps.answers import run_signals


@pytest.fixture(scope="module")
def signals(tmp_path_factory: pytest.TempPathFactory) -> SignalModel:
    run = run_with_populations(tmp_path_factory.mktemp("run"), "aframe.waveforms.priors.demo_bbh")
    assert run_signals(run) is None
    write_events(run)
    signals = run_signals(run)
    assert signals is not None
    return signals


def p_astro(signals: SignalModel, statistic: float, far: float, is_upper_limit: bool) -> float:
    """Probability that an event is a signal."""
    event = live_event(statistic=statistic, far_per_year=far, far_is_upper_limit=is_upper_limit)
    return 1 - SourceClasses(signals)(event)["Terrestrial"]


def test_p_astro_is_the_runs_where_the_noise_is(signals: SignalModel) -> None:
    background = signals.densities.background
    statistic = float(background.statistics[-40])
    far = float(background.far_interpolated_per_year(np.array([statistic]))[0])
    expected = float(signals.p_astro(np.array([statistic]))[0])
    assert 0.001 < expected < 0.999
    assert p_astro(signals, statistic, far, False) == pytest.approx(expected, rel=1e-6)
    assert p_astro(signals, statistic, 1e6 * far, True) == pytest.approx(expected, rel=1e-6)
    odds = [p / (1 - p) for p in (p_astro(signals, statistic, f * far, False) for f in (1.0, 10.0))]
    assert odds[0] / odds[1] == pytest.approx(10, rel=0.5)  # the mean over the rate is not linear
    assert p_astro(signals, 50.0, 1.0, False) > 0.99


@pytest.mark.parametrize("template", [{}, {"mass_1": 39.0, "mass_2": 32.0}, {"mass_1": 1.4, "mass_2": 1.4}])
def test_a_population_of_black_holes_has_black_holes_alone(signals: SignalModel, template: dict[str, float]) -> None:
    shares = SourceClasses(signals)(live_event(statistic=50.0, template=template))
    assert shares["BBH"] == 1 - shares["Terrestrial"] > 0.99
    assert list(shares) == ["BNS", "NSBH", "BBH", "Terrestrial"]
    assert sum(shares.values()) == 1


def test_classes_are_those_of_the_runs_candidates(signals: SignalModel) -> None:
    """Half of the injections are neutron stars. The template tells which class an event has."""
    sources = signals.sources
    injected, count = sources.signals, len(sources.signals.source_class)
    is_bns = np.arange(count) % 2 == 0
    chirp_mass = np.where(is_bns, np.log(1.3), injected.log_chirp_mass)
    error = ChirpMassError(np.sort(chirp_mass), np.full(count, 0.005))
    mixed = replace(injected, source_class=np.where(is_bns, 0, 2), log_chirp_mass=chirp_mass, mass_error=error)
    rates = ClassRates(np.array([[2.0, 1.0, 1.0]]), np.ones(1))
    classes = SourceClasses(replace(signals, sources=SourceModel(mixed, rates)))
    star, hole = ({"mass_1": m, "mass_2": m} for m in (1.3 * 2**0.2, 35.0))
    event = live_event(statistic=50.0, template=star)
    expected = replace(signals, sources=SourceModel(mixed, rates)).p_classes(
        np.array([50.0]), np.array([list(star.values())])
    )
    np.testing.assert_allclose([classes(event)[name] for name in ("BNS", "NSBH", "BBH")], expected[0])
    assert classes(event)["BNS"] > 0.99
    assert classes(live_event(statistic=50.0, template=hole))["BBH"] > 0.99
    unknown = classes(live_event(statistic=1.2, template={}))
    assert 0.5 < unknown["BNS"] / (1 - unknown["Terrestrial"]) < 0.8  # twice the rate of half of the injections
    assert sum(unknown.values()) == pytest.approx(1)
