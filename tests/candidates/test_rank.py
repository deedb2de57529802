from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from aframe.candidates.foreground import Populations, astrophysical_foreground, merger_rate_prior
from aframe.candidates.rank import (
    RankingOptions,
    Slides,
    add_arrival_times,
    loudest_closeups,
    rank,
)
from aframe.candidates.table import CandidateTable, candidates
from aframe.constants import SECONDS_PER_YEAR
from aframe.errors import ConfigurationError
from aframe.events.cluster import Clustering
from aframe.events.significance import Background
from aframe.events.spans import SlideSpans
from aframe.inference.run import Searcher, Unit, score_unit
from aframe.inference.scorers import TorchScorer
from aframe.inference.slides import Grid
from aframe.preprocessing import Preprocessing, Whitening
from aframe.sensitivity.cosmology import source_time_volume_density
from aframe.strain.files import background_path, write_background
from aframe.tables import EventTable, RecoveredTable
from aframe.train.architectures import FactorisedNetwork
from aframe.train.model import Model
from aframe.waveforms.priors import Population, demo_bbh, draw, log_normal_bbh, rates_and_populations_bbh

LIVETIME = 0.25 * SECONDS_PER_YEAR
DRAWS = 100_000


def injections(population: Population, horizon: float, seed: int = 0) -> RecoveredTable:
    """The search recovers all draws within a redshift; nearer draws have larger statistics, from 0 up."""
    columns = draw(population, DRAWS, np.random.default_rng(seed))
    accepted = columns["redshift"] < 1.2 * horizon
    table = {name: columns[name][accepted] for name in ("mass_1", "mass_2", "redshift")}
    statistic = 5 * np.log(horizon / table["redshift"])
    count = len(statistic)
    table |= {"detection_statistic": np.where(table["redshift"] < horizon, statistic, -np.inf)}
    table |= {"detection_time": np.zeros(count), "injection_time": np.zeros(count), "snr": np.zeros(count)}
    return RecoveredTable({**table, "shift": np.zeros((count, 2))}, attributes={"num_injections": DRAWS, "ifos": []})


@pytest.mark.parametrize("evolution", [0.0, 2.9])
def test_expected_signals_are_rate_times_volume_times_time(evolution: float) -> None:
    source = demo_bbh()
    foreground = astrophysical_foreground(injections(source, 0.5), Populations(source, None), 28.0, evolution, LIVETIME)

    def per_redshift(z: float) -> float:
        density = float(source_time_volume_density(np.array([z]), 1.0)[0])
        return 28.0 * ((1 + z) / 1.2) ** evolution * density * LIVETIME / SECONDS_PER_YEAR

    expected = quad(per_redshift, 0, 0.5)[0]
    error = float((foreground.expected**2).sum()) ** 0.5
    assert foreground.expected.sum() == pytest.approx(expected, abs=4 * error, rel=2e-3)
    near = foreground.expected[foreground.statistic >= 5 * np.log(2)]
    assert near.sum() == pytest.approx(quad(per_redshift, 0, 0.25)[0], abs=4 * error)
    assert np.isfinite(foreground.statistic).all()


def test_masses_can_be_anothers_populations() -> None:
    """If a search recovers heavy primaries only, a population with fewer heavy primaries has fewer expected signals."""
    source, target = demo_bbh(), rates_and_populations_bbh()
    table = injections(source, 0.5)
    light = table["mass_1"] / (1 + table["redshift"]) < 30
    everything = astrophysical_foreground(table, Populations(source, target), 28.0, 0.0, LIVETIME)
    table.parameters["detection_statistic"] = np.where(light, -np.inf, table["detection_statistic"])
    heavy = astrophysical_foreground(table, Populations(source, target), 28.0, 0.0, LIVETIME)
    share = (30**-1.35 - 100**-1.35) / (5**-1.35 - 100**-1.35)  # m1 goes with the power −2.35 from 5 to 100
    assert heavy.expected.sum() / everything.expected.sum() == pytest.approx(share, rel=0.05)
    same = astrophysical_foreground(injections(source, 0.5), Populations(source, None), 28.0, 0.0, LIVETIME)
    assert everything.expected.sum() == pytest.approx(same.expected.sum(), rel=0.03)


def test_a_population_that_ends_before_the_injections_is_refused() -> None:
    source = demo_bbh()
    populations = Populations(source, log_normal_bbh(30.0, 30.0, 0.1, 0.5))
    with pytest.raises(
        ConfigurationError, match=r"astrophysical_prior has redshifts 0 to 0\.5, injections have 0 to 1"
    ):
        astrophysical_foreground(injections(source, 0.5), populations, 28.0, 0.0, LIVETIME)


def test_rate_prior_has_the_interval_that_it_is_given() -> None:
    median, width = merger_rate_prior((17.9, 44.0))
    assert median * np.exp(1.645 * width) == pytest.approx(44.0, rel=1e-3)
    assert median * np.exp(-1.645 * width) == pytest.approx(17.9, rel=1e-3)
    assert merger_rate_prior((28.0, 28.0)) == (28.0, 0.0)


@pytest.fixture(scope="module")
def search() -> tuple[EventTable, EventTable, RecoveredTable, Populations]:
    """Zero lag with a loud event, slides that contain its signal, and injections."""
    rng, source = np.random.default_rng(1), demo_bbh()
    statistic = np.concatenate([rng.exponential(size=900) - 6, [9.0, 3.0]])
    time = np.concatenate([1e9 + np.sort(rng.uniform(0, LIVETIME, 900)), [1e9 + 5e6, 1e9 + 2e6]])
    zero_lag = EventTable(
        {"detection_statistic": statistic, "detection_time": time, "shift": np.zeros((902, 2))},
        attributes={"Tb": LIVETIME},
    )
    slide = rng.integers(1, 9, size=8000).astype(float)
    times = 1e9 + rng.uniform(0, LIVETIME, 8000)
    loudness = rng.exponential(size=8000) - 6
    slide[:8], times[:8], loudness[:8] = np.arange(1, 9), 1e9 + 5e6, 5.0
    background = EventTable(
        {"detection_statistic": loudness, "detection_time": times, "shift": np.stack([0 * slide, slide], axis=1)},
        attributes={"Tb": 8 * LIVETIME},
    )
    return zero_lag, background, injections(source, 0.4), Populations(source, None)


OPTIONS = RankingOptions(
    removal_far_per_year=None, merger_rate_density=(17.9, 44.0), merger_rate_evolution=2.9, rate_prior="lognormal"
)


def ranked(search: tuple, options: RankingOptions, slides: Slides | None = None) -> CandidateTable:
    zero_lag, events, recovered, populations = search
    background = Background(events["detection_statistic"], events.livetime)
    return rank(zero_lag, background, recovered, populations, options, slides)


def test_a_signal_is_distinguished_from_noise(search: tuple) -> None:
    table = ranked(search, OPTIONS)
    probability = table["p_astro"]
    assert probability[0] > 0.9  # the signal's own events in the slides make the noise's tail heavy
    assert probability[200:].max() < 0.05
    assert (np.diff(probability[:50]) <= 1e-9).all()
    assert table["vetoes"].tolist() == [""] * len(table)
    assert table.attributes["rate_prior"] == "lognormal"
    low, middle, high = table.attributes["merger_rate_gpc3_yr"]
    assert 1 < low < middle < high < 44  # fewer signals are seen than that rate makes


def test_a_population_of_one_class_has_all_of_p_astro(search: tuple) -> None:
    table = ranked(search, OPTIONS)
    assert table["p_astro"].max() > 0.9
    np.testing.assert_array_equal(table["p_bbh"], table["p_astro"])
    assert not table["p_bns"].any()
    assert not table["p_nsbh"].any()
    assert table.attributes["expected_of_classes"][:2].tolist() == [0, 0]
    assert "template_mass_1" not in table.parameters


@pytest.mark.parametrize("prior", ["lognormal", "jeffreys"])
def test_classes_share_p_astro_by_the_template(search: tuple, prior: str) -> None:
    """A third of the binaries become neutron stars here, of the same loudness. Templates tell them from black holes."""
    zero_lag, events, recovered, populations = search
    mixed = RecoveredTable(dict(recovered.parameters), attributes=recovered.attributes)
    is_bns = np.arange(len(mixed)) % 3 == 0
    for name in ("mass_1", "mass_2"):
        mixed.parameters[name] = np.where(is_bns, 1.4 * (1 + mixed["redshift"]), mixed[name])
    chirp_mass = (mixed["mass_1"] * mixed["mass_2"]) ** 0.6 / (mixed["mass_1"] + mixed["mass_2"]) ** 0.2
    mixed.parameters["template_chirp_mass"] = np.where(np.arange(len(mixed)) % 20 == 1, 1.001 * chirp_mass, np.nan)
    mixed.parameters["template_chirp_mass"][:300] = 1.001 * chirp_mass[:300]
    masses = np.full((len(zero_lag), 2), np.nan)
    masses[-2:] = [[1.7, 1.6], [40.0, 30.0]]
    seen = dict(zip(("template_mass_1", "template_mass_2"), masses.T, strict=True))
    templates = EventTable(zero_lag.parameters | seen, attributes=zero_lag.attributes)
    options = replace(OPTIONS, rate_prior=prior)
    table = ranked((templates, events, mixed, populations), options)
    plain = ranked((zero_lag, events, mixed, populations), options)
    np.testing.assert_array_equal(table["p_astro"], plain["p_astro"])
    np.testing.assert_allclose(table["p_bns"] + table["p_nsbh"] + table["p_bbh"], table["p_astro"], rtol=1e-9)
    assert table["template_mass_1"][0] == 1.7
    assert table["p_bns"][0] > 0.99 * table["p_astro"][0]
    assert table["p_bbh"][1] > 0.99 * table["p_astro"][1]
    doubtful = plain["p_bns"][0] / plain["p_astro"][0]
    assert 0.02 < doubtful < 0.9
    assert np.isfinite(table["template_chirp_mass"]).sum() == 2


def test_removal_restores_the_next_candidate(search: tuple) -> None:
    starts = np.full(8, 1e9)
    spans = SlideSpans(starts, np.full(len(starts), LIVETIME), np.stack([np.zeros(8), np.arange(1.0, 9.0)], axis=1))
    table = ranked(search, replace(OPTIONS, removal_far_per_year=10.0), Slides(search[1], spans, 4.0))
    assert table["is_removed"][0]
    assert table["far_per_year"][1] == pytest.approx(8 / 2)  # eight slides with half of the loud event in them
    assert table["far_cleaned_per_year"][1] == pytest.approx(1 / 2, rel=1e-4)
    assert table["far_cleaned_is_upper_limit"][1]
    assert table["p_astro"][0] > 0.99
    assert table["p_astro"][1] > ranked(search, OPTIONS)["p_astro"][1]


def test_too_little_to_tell_is_no_probability(search: tuple) -> None:
    zero_lag, events, recovered, populations = search
    table = ranked((zero_lag, events.rows(slice(20)), recovered, populations), OPTIONS)
    for name in ("p_astro", "p_bns", "p_nsbh", "p_bbh"):
        assert np.isnan(table[name]).all()


RATE, START, DURATION = 1024.0, 1e9 + 5e6 - 20, 40.0
WHITENING = Whitening(RATE, 8.0, 1.0, 1.0, 8.0, 20.0, None)


@pytest.fixture
def strain_with_a_pulse(tmp_path: Path) -> str:
    """A background file with a pulse of 80 Hz, 20.1 s from its start and 6 ms later in L1."""
    t = START + np.arange(round(DURATION * RATE)) / RATE
    rng = np.random.default_rng(2)
    strain = {
        ifo: 1e-22 * (rng.normal(size=len(t)) + 9 * np.exp(-(((t - time) / 0.02) ** 2)) * np.cos(500 * (t - time)))
        for ifo, time in (("H1", START + 20.1), ("L1", START + 20.106))
    }
    path = background_path(str(tmp_path), START, DURATION)
    write_background(path, strain, START, RATE)
    return path


def test_arrivals_are_measured_where_there_is_strain(strain_with_a_pulse: str, search: tuple) -> None:
    table = ranked(search, OPTIONS)
    preprocessing = Preprocessing(("H1", "L1"), 1.0, 4.0, (0.25, 0.75), WHITENING)
    add_arrival_times(table, [strain_with_a_pulse], preprocessing, 3)
    arrivals = table["detector_time"]
    np.testing.assert_allclose(arrivals[0] - START, [20.1, 20.106], atol=0.0015)
    assert np.isnan(arrivals[1:]).all()
    assert table.attributes["ifos"] == ["H1", "L1"]


def test_the_loudest_look_as_the_search_saw_them(strain_with_a_pulse: str) -> None:
    preprocessing = Preprocessing(("H1", "L1"), 1.0, 8.0, (0.25, 0.75), WHITENING)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = FactorisedNetwork(2, preprocessing.kernel_size, (4, 6), (1, 1), (3, 3), embedding_size=4, head_size=4)
    model = Model(network.eval().requires_grad_(False), preprocessing)
    clustering, grid = Clustering(8.0, 0.5, 4.0, preprocessing.coalescence_offset), Grid(preprocessing, (0.0, 1.0))
    searcher = Searcher(TorchScorer(model), grid, clustering, 1.0)
    unit = Unit(strain_with_a_pulse, (grid.slide(0, DURATION, 0),), None)
    table = candidates(score_unit(searcher, unit)[0], Background(np.linspace(-1, 1, 100), 1e6))
    assert len(table) > 4
    planted = int(np.abs(table["detection_time"] - START - 20.1).argmin())
    lost = int(planted == 0)
    table.parameters["detection_time"][lost] -= 1e4  # where there is no strain
    seen = dict(loudest_closeups(table, [strain_with_a_pulse], model, clustering, len(table)))
    assert list(seen) == [place for place in range(1, len(table) + 1) if place != lost + 1]
    for place, shown in seen.items():
        time, statistic = table["detection_time"][place - 1], table["detection_statistic"][place - 1]
        near = np.abs(shown.statistic_time - time) <= 2.0
        assert shown.statistic[near].max() == pytest.approx(statistic, abs=1e-3)
    transforms = seen[planted + 1].q_transforms
    for ifo, time in (("H1", START + 20.1), ("L1", START + 20.106)):
        row, column = np.unravel_index(transforms[ifo].energy.argmax(), transforms[ifo].energy.shape)
        assert transforms[ifo].time[column] == pytest.approx(time, abs=0.01)
        assert transforms[ifo].frequency[row] == pytest.approx(500 / (2 * np.pi), rel=0.15)
    two = loudest_closeups(table, [strain_with_a_pulse], model, clustering, 2)
    assert [place for place, _ in two] == [2 - lost]
