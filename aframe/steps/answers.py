"""Compute the answers of a run: sensitive volumes, candidates and the report."""

import sys
from collections.abc import Iterable

import numpy as np

from aframe import storage
from aframe.candidates.catalogue import EventCatalogue
from aframe.candidates.foreground import Populations
from aframe.candidates.rank import (
    RankingOptions,
    SignalModel,
    Slides,
    add_arrival_times,
    loudest_closeups,
    rank,
    signal_model,
)
from aframe.candidates.removal import REMOVAL_COLUMNS
from aframe.candidates.table import CandidateTable, write_candidates
from aframe.events.significance import Background
from aframe.events.spans import SlideSpans
from aframe.inference.closeup import Closeup
from aframe.inference.closeup_files import write_closeups
from aframe.inference.slides import Grid
from aframe.runs.artifacts import Artifacts
from aframe.sensitivity import volume
from aframe.settings.read import units
from aframe.steps.catalogue import own_catalogue
from aframe.steps.exposure import recovered_injections
from aframe.steps.planning import plan_slides, time_slides
from aframe.steps.release import write_pipelines
from aframe.steps.scoring import clustering, trained_model
from aframe.steps.targets import target_populations, weigh_draws
from aframe.steps.templates import (
    measure_templates,
    with_candidates_templates,
    with_event_templates,
    with_measured_templates,
)
from aframe.steps.vetoes import livetimes
from aframe.strain.files import parse_background_path
from aframe.tables import EventTable, RecoveredTable, Table
from aframe.train.model import load
from aframe.waveforms.loading import load_population
from aframe.waveforms.mixtures import AnyPopulation


def estimate_sensitivity(run: Artifacts) -> None:
    """Write the sensitive volumes, their figures and the candidates."""
    from aframe.report.inputs import rates_to_show
    from aframe.report.page import sensitive_volume_html

    background, zero_lag = Background.read(run.clean("background")), EventTable.read(run.clean("0lag"))
    source, targets = target_populations(run)
    recovered = recovered_injections(run)
    draws = weigh_draws(run, recovered, source, targets)
    rates = volume.default_far_grid(background)
    curves = volume.volume_against_far(draws, background, rates, zero_lag.livetime)
    efficiencies = volume.efficiencies(draws, background, np.array(rates_to_show(rates[0], rates[-1])))
    window = run.config.sensitivity.recovery_window
    by_chance = {name: volume.accidental_volume_gpc3(draws, curve, name, window) for name, curve in curves.items()}
    for remark in volume.remarks(curves):
        print(f"warning: {remark}", file=sys.stderr)
    measure_templates(run, recovered, background)
    ranked = rank_run(run, background, recovered, _populations(run, source))
    ranked.attributes |= livetimes(run)
    write_candidates(ranked, run.directories.results, run.answer_parameters)
    write_closeups(run.result("closeups.hdf5"), _closeups(run, ranked), run.answer_parameters)
    storage.sign(run.plot("sensitive_volume.html"), run.answer_parameters)
    page = sensitive_volume_html(curves, run.config.data.source == "simulated")
    storage.write_text(run.plot("sensitive_volume.html"), page)
    path = run.plot("sensitive_volume.h5")
    if run.config.sensitivity.release is not None:
        write_pipelines(run, rates)
    volume.write_volumes(path, curves, efficiencies, run.answer_parameters, livetimes(run), accidental_gpc3=by_chance)


def _closeups(run: Artifacts, ranked: CandidateTable) -> Iterable[tuple[int, Closeup]]:
    """Strain and scores around the loudest candidates, by rank. Empty if the model no longer exists."""
    number = run.config.candidates.num_shown
    if number == 0 or not storage.exists(run.model):
        return []
    trained = trained_model(run)
    return loudest_closeups(ranked, run.background_files("test"), trained, clustering(run, trained), number)


def build_report(run: Artifacts) -> None:
    """Write the report of the existing results, and its figures for papers in the directory ``figures``."""
    from aframe.report.gather import gather
    from aframe.report.page import build_report as build
    from aframe.report.paper import write_figures

    directories = run.directories
    inputs = gather(
        directories.results, directories.train_run, directories.train_data, directories.test_data,
        bank_file=run.config.bank.bank_file, units=units(),
    )  # fmt: skip
    names = write_figures(inputs, run.result("figures"))
    page = build(inputs, [f"figures/{name}" for name in names])
    storage.sign(run.result("report.html"), run.answer_parameters)
    storage.write_text(run.result("report.html"), page)


def rank_run(
    run: Artifacts, background: Background, recovered: RecoveredTable, populations: Populations
) -> CandidateTable:
    """Rank the candidates of a run, and add rates, p_astro, source classes, known events and arrival times.

    Args:
        run: The run.
        background: The run's events of time slides.
        recovered: The run's accepted injections and the events that recovered them.
        populations: Populations of injections and of astrophysical binaries.

    Returns:
        The candidates in order of rank.
    """
    keys = run.config.candidates
    slides = None if keys.removal_far_per_year is None else _slides(run)
    options = _ranking_options(run)
    zero_lag = with_event_templates(run, EventTable.read(run.clean("0lag")), keys.num_timed)
    table = rank(zero_lag, background, with_measured_templates(run, recovered), populations, options, slides)
    catalogue = own_catalogue(run.config)
    if catalogue is None and run.config.data.source == "simulated":  # simulated noise has no known events
        catalogue = EventCatalogue(np.empty(0, np.str_), np.empty(0))
    elif catalogue is None:
        catalogue = EventCatalogue.gwosc()
    table.parameters["catalogue_event"] = catalogue.coincident(table["detection_time"], keys.catalogue_window)
    add_arrival_times(table, run.background_files("test"), time_slides(run).preprocessing, keys.num_timed)
    return table


def run_signals(run: Artifacts) -> SignalModel | None:
    """Densities of signals and noise of a run that was searched, as the p_astro of its candidates has them.

    Loud candidates stay in the background here. The templates of events are those of the run's candidates.

    Args:
        run: The run.

    Returns:
        None if the run has no such answers yet, or the densities cannot be estimated.
    """
    if not all(storage.exists(run.clean(kind)) for kind in ("background", "0lag", "foreground")):
        return None
    zero_lag, background = EventTable.read(run.clean("0lag")), Background.read(run.clean("background"))
    source = load_population(run.config.waveforms.prior, run.config.resolve)
    recovered, populations = with_measured_templates(run, recovered_injections(run)), _populations(run, source)
    events = with_candidates_templates(run, zero_lag)
    return signal_model(events, background, recovered, populations, _ranking_options(run))


def _populations(run: Artifacts, source: AnyPopulation) -> Populations:
    """Populations of a run's injections and of astrophysical binaries."""
    masses = run.config.candidates.astrophysical_prior
    return Populations(source, load_population(masses, run.config.resolve) if masses else None)


def _ranking_options(run: Artifacts) -> RankingOptions:
    keys = run.config.candidates
    return RankingOptions(
        removal_far_per_year=keys.removal_far_per_year,
        merger_rate_density=keys.merger_rate_density,
        merger_rate_evolution=keys.merger_rate_evolution,
        rate_prior=keys.rate_prior,
    )


def _slides(run: Artifacts) -> Slides:
    """Background events and live time of a run's slides, for the removal of candidates."""
    search, inference = run.config.search, run.config.inference
    if run.config.vetoes.given:
        live = Table.read(run.clean("live"))
        live = live.rows((live["shift"] != 0).any(axis=1))
        spans = SlideSpans(live["start"], live["duration"], live["shift"])
    else:
        starts = [parse_background_path(path)[0] for path in run.background_files("test")]
        spans = Grid(load(run.model).preprocessing, inference.shifts).event_spans(starts, plan_slides(run))
    reach = search.kernel_length + search.whitening.before_length + inference.integration_window_length
    window = run.config.candidates.removal_window or reach + inference.cluster_window_length / 2
    return Slides(EventTable.read(run.clean("background"), list(REMOVAL_COLUMNS)), spans, window)
