"""Rank the candidates of a search, and add p_astro, arrival times and close-ups."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from aframe.candidates.arrival import ARRIVAL_WINDOW, arrival_times
from aframe.candidates.class_rates import SourceModel, source_model
from aframe.candidates.classes import (
    CLASS_COLUMNS,
    CLASSES,
    TEMPLATE_CHIRP_MASS,
    TEMPLATE_COLUMNS,
    ClassModel,
    log_chirp_mass,
    template_masses,
)
from aframe.candidates.foreground import Populations, astrophysical_foreground, merger_rate_prior
from aframe.candidates.p_astro import Mixture, RatePosterior, mixture, rate_posterior
from aframe.candidates.removal import remove_candidates
from aframe.candidates.table import CandidateTable, candidates, loudest_first
from aframe.events.cluster import Clustering
from aframe.events.significance import Background
from aframe.events.spans import SlideSpans
from aframe.inference.closeup import Closeup, closeup, needed_stretch, usual_extent, whitened_background
from aframe.preprocessing import Preprocessing
from aframe.strain.files import parse_background_path
from aframe.tables import EventTable, RecoveredTable
from aframe.train.model import Model
from aframe.types import Array

ARRIVAL_MARGIN = 0.1
"""Strain on both sides of the search window for arrival times, s."""


@dataclass(frozen=True, kw_only=True)
class RankingOptions:
    """How candidates are removed from the background, and which merger rate their p_astro assumes.

    Attributes:
        removal_far_per_year: Largest false alarm rate of a removed candidate, events per Julian year; None for no
            removal.
        merger_rate_density: Ends of the central 90 % interval of the merger rate at redshift 0.2, Gpc^-3 yr^-1.
        merger_rate_evolution: Exponent κ of the merger rate (1 + z)^κ.
        rate_prior: Prior of the rate: ``lognormal`` with that interval, or ``jeffreys``.
    """

    removal_far_per_year: float | None
    merger_rate_density: tuple[float, ...]
    merger_rate_evolution: float
    rate_prior: str


@dataclass(frozen=True)
class Slides:
    """Background events and live time of the slides, for the removal of candidates.

    Attributes:
        events: Background events with columns ``detection_statistic``, ``detection_time`` and ``shift``.
        spans: Live time of the slides.
        window: Time to remove on either side of a candidate, s.
    """

    events: EventTable
    spans: SlideSpans
    window: float


@dataclass(frozen=True)
class SignalModel:
    """Densities of signals and noise in the statistic, and the signals' rate.

    Attributes:
        densities: Densities at the reference rate.
        posterior: Posterior of the rate, in units of the reference rate.
        reference_rate: Merger rate at redshift 0.2, Gpc^-3 yr^-1.
        sources: Gives signals their class.
    """

    densities: Mixture
    posterior: RatePosterior
    reference_rate: float
    sources: SourceModel

    def p_astro(self, statistic: Float[Array, " events"]) -> Float[Array, " events"]:
        """Probability that each event is a signal."""
        return self.posterior.p_astro(self.densities.log_ratio(statistic))

    def p_classes(
        self, statistic: Float[Array, " events"], templates: Float[Array, "events 2"]
    ) -> Float[Array, "events classes"]:
        """Probability that each event is a signal of each class. The sum over the classes is ``p_astro``.

        Args:
            statistic: Statistic of each event, shape (events,).
            templates: Masses of its best template, detector frame, solar masses; NaN if they are not known.
        """
        log_ratio = self.densities.log_ratio(statistic)
        return self.posterior.p_astro(log_ratio)[:, None] * self.sources.split(log_ratio, statistic, templates)


def rank(  # noqa: PLR0917 - the data of the search, its measurements, and the configuration
    zero_lag: EventTable,
    background: Background,
    recovered: RecoveredTable,
    populations: Populations,
    options: RankingOptions,
    slides: Slides | None,
) -> CandidateTable:
    """Rank candidates, and compute their false alarm rates and p_astro.

    Args:
        zero_lag: Events of unshifted data, with the columns ``TEMPLATE_COLUMNS`` or without.
        background: Events of time slides.
        recovered: Accepted injections and the events that recovered them, with the column ``TEMPLATE_CHIRP_MASS`` or
            without.
        populations: Populations of injections and of astrophysical binaries.
        options: Removal and merger rate.
        slides: Background events and live time, to remove loud candidates; None for no removal.

    Returns:
        Candidates, loudest first.
    """
    removal, order = None, loudest_first(zero_lag)
    if slides is not None and options.removal_far_per_year is not None:
        loudest = zero_lag["detection_statistic"][order], zero_lag["detection_time"][order]
        removal = remove_candidates(loudest, slides.events, slides.spans, slides.window, options.removal_far_per_year)
    table = candidates(zero_lag, background, removal)
    noise = background if removal is None else removal.background
    events = zero_lag.rows(order)
    signals = signal_model(events, noise, recovered, populations, options)
    _add_p_astro(table, signals, template_masses(events), options)
    table.parameters["vetoes"] = events.parameters.get("vetoes", np.full(len(table), "", dtype=np.str_))
    return table


def add_arrival_times(table: CandidateTable, files: Sequence[str], preprocessing: Preprocessing, number: int) -> None:
    """Add the arrival times of the loudest candidates in each detector to the table.

    Other candidates, and candidates without strain, get NaN.

    Args:
        table: Candidates, loudest first.
        files: Paths of background files.
        preprocessing: Preprocessing of the search.
        number: Number of candidates.
    """
    ifos = preprocessing.ifos
    arrivals = np.full((len(table), len(ifos)), np.nan)
    reach = ARRIVAL_WINDOW + ARRIVAL_MARGIN
    for row, time, path in _loudest_with_strain(table, files, number):
        stretch = whitened_background(path, preprocessing, time - reach, time + reach)
        arrivals[row] = arrival_times(stretch.streams, stretch.sample_rate, stretch.start, ifos, time)
    table.parameters["detector_time"] = arrivals
    table.attributes["ifos"] = list(ifos)


def loudest_closeups(
    table: CandidateTable, files: Sequence[str], model: Model, clustering: Clustering, number: int
) -> Iterator[tuple[int, Closeup]]:
    """Compute close-ups of the loudest candidates. Candidates without strain are left out.

    Args:
        table: Candidates, loudest first.
        files: Paths of background files.
        model: Model of the search.
        clustering: Settings of the clustering of its scores.
        number: Number of candidates.

    Yields:
        Rank of a candidate, from 1, and its close-up.
    """
    extent = usual_extent(clustering)
    for row, time, path in _loudest_with_strain(table, files, number):
        limits = needed_stretch(time, extent, model, clustering)
        stretch = whitened_background(path, model.preprocessing, *limits)
        yield row + 1, closeup(model, stretch, clustering, time, extent)


def _loudest_with_strain(table: CandidateTable, files: Sequence[str], number: int) -> Iterator[tuple[int, float, str]]:
    """Row, time and background file of each of the loudest candidates."""
    spans = [(*parse_background_path(path), path) for path in files]
    for row, time in enumerate(table["detection_time"][:number].tolist()):
        path = next((path for start, duration, path in spans if start <= time < start + duration), None)
        if path is not None:
            yield row, time, path


def signal_model(
    events: EventTable,
    background: Background,
    recovered: RecoveredTable,
    populations: Populations,
    options: RankingOptions,
) -> SignalModel | None:
    """Estimate the densities of signals and noise, and the signals' rates.

    Args:
        events: Events of unshifted data, with the columns ``TEMPLATE_COLUMNS`` or without.
        background: Events of time slides.
        recovered: Accepted injections and the events that recovered them, with the column ``TEMPLATE_CHIRP_MASS`` or
            without.
        populations: Populations of injections and of astrophysical binaries.
        options: Merger rate and its prior.

    Returns:
        The estimate; None if the densities cannot be estimated.
    """
    median, width = merger_rate_prior(options.merger_rate_density)
    evolution, livetime = options.merger_rate_evolution, events.livetime
    foreground = astrophysical_foreground(recovered, populations, median, evolution, livetime)
    densities = mixture(foreground, background, livetime)
    if densities is None:
        return None
    statistic = events["detection_statistic"].astype(np.float64)
    above = densities.log_ratio(statistic[statistic >= densities.floor])
    posterior = rate_posterior(above, densities.expected_foreground, options.rate_prior, width)
    signals = ClassModel.of(recovered, foreground, densities.floor)
    sources = source_model(signals, densities, events, options.rate_prior, width)
    return SignalModel(densities, posterior, median, sources)


def _add_p_astro(table: CandidateTable, signals: SignalModel | None, templates: Array, options: RankingOptions) -> None:
    """Add p_astro, its share of each class, and the templates, if there are any."""
    table.attributes["rate_prior"] = options.rate_prior
    if np.isfinite(templates).any():
        columns = (*templates.T, np.exp(log_chirp_mass(*templates.T)))
        table.parameters |= dict(zip((*TEMPLATE_COLUMNS, TEMPLATE_CHIRP_MASS), columns, strict=True))
    if signals is None:
        table.parameters |= {name: np.full(len(table), np.nan) for name in ("p_astro", *CLASS_COLUMNS)}
        return
    statistic = table["detection_statistic"].astype(np.float64)
    table.parameters["p_astro"] = signals.p_astro(statistic)
    table.parameters |= dict(zip(CLASS_COLUMNS, signals.p_classes(statistic, templates).T, strict=True))
    median, densities = signals.reference_rate, signals.densities
    rates = median * np.array([signals.posterior.quantile(share) for share in (0.05, 0.5, 0.95)])
    expected = signals.sources.signals.expected * signals.sources.rates.mean
    table.attributes |= {
        "statistic_floor": densities.floor,
        "expected_signals": densities.expected_foreground * float(rates[1]) / median,
        "merger_rate_gpc3_yr": rates,
        "source_classes": list(CLASSES),
        "expected_of_classes": expected,
    }
