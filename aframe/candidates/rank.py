"""Rank the candidates of a search, and add p_astro, source classes, arrival times and close-ups."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from aframe.candidates.arrival import ARRIVAL_WINDOW, arrival_times
from aframe.candidates.classes import CLASS_COLUMNS, ClassModel
from aframe.candidates.foreground import Populations, astrophysical_foreground, merger_rate_prior
from aframe.candidates.p_astro import Mixture, RatePosterior, mixture, rate_posterior
from aframe.candidates.removal import remove_candidates
from aframe.candidates.table import CandidateTable, candidates, loudest_first
from aframe.candidates.templates import Templates, best_template
from aframe.events.cluster import Clustering
from aframe.events.significance import Background
from aframe.events.spans import SlideSpans
from aframe.inference.closeup import Closeup, closeup, needed_stretch, usual_extent, whitened_background
from aframe.preprocessing import Preprocessing
from aframe.strain.files import parse_background_path
from aframe.tables import EventTable, RecoveredTable
from aframe.train.architectures import MatchedFilterNetwork
from aframe.train.model import Model
from aframe.types import Array

ARRIVAL_MARGIN = 0.1
"""Strain on both sides of the search window for arrival times, s."""


TEMPLATE_COLUMNS = ("template_mass_1", "template_mass_2")
"""Columns of the best template's masses, detector frame, solar masses."""


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
    """Densities of signals and noise in the statistic, the signals' rate and their classes.

    Attributes:
        densities: Densities at the reference rate.
        posterior: Posterior of the rate, in units of the reference rate.
        reference_rate: Merger rate at redshift 0.2, Gpc^-3 yr^-1.
        classes: Source classes of signals above the floor.
    """

    densities: Mixture
    posterior: RatePosterior
    reference_rate: float
    classes: ClassModel

    def p_astro(self, statistic: Float[Array, " events"]) -> Float[Array, " events"]:
        """Probability that each event is a signal."""
        return self.posterior.p_astro(self.densities.log_ratio(statistic))


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
        zero_lag: Events of unshifted data.
        background: Events of time slides.
        recovered: Accepted injections and the events that recovered them.
        populations: Populations of injections and of astrophysical binaries.
        options: Removal and merger rate.
        slides: Background events and live time, to remove loud candidates; None for no removal.

    Returns:
        Candidates, loudest first.
    """
    removal = None
    if slides is not None and options.removal_far_per_year is not None:
        order = loudest_first(zero_lag)
        loudest = zero_lag["detection_statistic"][order], zero_lag["detection_time"][order]
        removal = remove_candidates(loudest, slides.events, slides.spans, slides.window, options.removal_far_per_year)
    table = candidates(zero_lag, background, removal)
    noise = background if removal is None else removal.background
    _add_p_astro(table, noise, recovered, populations, options)
    vetoes = zero_lag.parameters.get("vetoes", np.full(len(table), "", dtype=np.str_))
    table.parameters["vetoes"] = vetoes[loudest_first(zero_lag)]
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


def add_templates(table: CandidateTable, files: Sequence[str], model: Model, templates: Templates, number: int) -> None:
    """Add the masses of the best template of the loudest candidates to the table, detector frame, solar masses.

    Other candidates, candidates whose strain does not fill a window, and networks without templates get NaN.

    Args:
        table: Candidates, loudest first.
        files: Paths of background files.
        model: Model of the search.
        templates: Parameters of the network's templates.
        number: Number of candidates.
    """
    masses, preprocessing = np.full((2, len(table)), np.nan), model.preprocessing
    if isinstance(model.network, MatchedFilterNetwork) and templates.columns:
        for row, time, path in _loudest_with_strain(table, files, number):
            start = time - preprocessing.coalescence_offset
            stretch = whitened_background(path, preprocessing, start, start + preprocessing.kernel_length + 1)
            strain = torch.from_numpy(stretch.streams[:, : preprocessing.kernel_size].copy())
            if strain.shape[-1] == preprocessing.kernel_size:
                best, _ = best_template(model.network, strain)
                masses[:, row] = [templates.parameters(best)[name] for name in ("mass_1", "mass_2")]
    table.parameters |= dict(zip(TEMPLATE_COLUMNS, masses, strict=True))


def add_classes(
    table: CandidateTable, recovered: RecoveredTable, populations: Populations, options: RankingOptions
) -> None:
    """Share out each candidate's p_astro among the source classes, by its best template.

    Args:
        table: Candidates with their p_astro, and the masses of their templates if they are known.
        recovered: Accepted injections and the events that recovered them.
        populations: Populations of injections and of astrophysical binaries.
        options: Merger rate.
    """
    floor, shares = table.attributes.get("statistic_floor"), np.full((len(table), len(CLASS_COLUMNS)), np.nan)
    if floor is not None:
        median, _ = merger_rate_prior(options.merger_rate_density)
        livetime = float(table.attributes["T0"])
        foreground = astrophysical_foreground(recovered, populations, median, options.merger_rate_evolution, livetime)
        unknown = np.full(len(table), np.nan)
        masses = (table.parameters.get(name, unknown) for name in TEMPLATE_COLUMNS)
        shares = ClassModel.of(recovered, foreground, float(floor)).shares(*masses)
    table.parameters |= {name: table["p_astro"] * shares[:, k] for k, name in enumerate(CLASS_COLUMNS)}


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


def signal_model(  # noqa: PLR0917 - the data of the search, and the configuration
    statistic: Float[Array, " events"],
    livetime: float,
    background: Background,
    recovered: RecoveredTable,
    populations: Populations,
    options: RankingOptions,
) -> SignalModel | None:
    """Estimate the densities of signals and noise, the signals' rate and their classes.

    Args:
        statistic: Statistics of the events of unshifted data, shape (events,).
        livetime: Their observing time, s.
        background: Events of time slides.
        recovered: Accepted injections and the events that recovered them.
        populations: Populations of injections and of astrophysical binaries.
        options: Merger rate and its prior.

    Returns:
        The estimate; None if the densities cannot be estimated.
    """
    median, width = merger_rate_prior(options.merger_rate_density)
    foreground = astrophysical_foreground(recovered, populations, median, options.merger_rate_evolution, livetime)
    densities = mixture(foreground, background, livetime)
    if densities is None:
        return None
    above = densities.log_ratio(statistic[statistic >= densities.floor])
    posterior = rate_posterior(above, densities.expected_foreground, options.rate_prior, width)
    classes = ClassModel.of(recovered, foreground, densities.floor)
    return SignalModel(densities, posterior, median, classes)


def _add_p_astro(
    table: CandidateTable,
    background: Background,
    recovered: RecoveredTable,
    populations: Populations,
    options: RankingOptions,
) -> None:
    livetime, statistic = float(table.attributes["T0"]), table["detection_statistic"].astype(np.float64)
    signals = signal_model(statistic, livetime, background, recovered, populations, options)
    table.attributes["rate_prior"] = options.rate_prior
    if signals is None:
        table.parameters["p_astro"] = np.full(len(table), np.nan)
        return
    table.parameters["p_astro"] = signals.p_astro(statistic)
    median, densities = signals.reference_rate, signals.densities
    rates = median * np.array([signals.posterior.quantile(share) for share in (0.05, 0.5, 0.95)])
    table.attributes |= {
        "statistic_floor": densities.floor,
        "expected_signals": densities.expected_foreground * float(rates[1]) / median,
        "merger_rate_gpc3_yr": rates,
    }
