"""What a search says of its candidates, from all that it measured: background, recovered injections, strain.

The pieces are ``aframe.events`` (significance, removal, p_astro, catalogue) and ``aframe.inference.arrival``; here they
meet the population of sources and the run's configuration.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from aframe.artifacts import Artifacts
from aframe.config import Candidates
from aframe.constants import SECONDS_PER_YEAR
from aframe.errors import ConfigurationError
from aframe.events.candidates import CandidateTable, candidates, loudest_first
from aframe.events.catalogue import EventCatalogue
from aframe.events.cluster import Clustering
from aframe.events.p_astro import Foreground, mixture, rate_posterior
from aframe.events.removal import COLUMNS, LiveSpans, remove_candidates
from aframe.events.significance import Background
from aframe.inference.arrival import SEARCH, arrival_times
from aframe.inference.closeup import Closeup, closeup, needed_stretch, usual_extent, whitened_background
from aframe.inference.slides import Grid, Slide
from aframe.preprocessing import Preprocessing
from aframe.sensitivity.cosmology import source_time_volume_density
from aframe.strain.files import parse_background_path
from aframe.tables import EventTable, RecoveredTable, Table
from aframe.train.model import Model, load
from aframe.types import Array
from aframe.waveforms.priors import Population

RATE_REDSHIFT = 0.2
"""Redshift at which the merger rate density is given, as in arXiv:2111.03634."""

NINETY_PERCENT = 1.6448536
"""Standard deviations on either side of a Gaussian's mean between which 90 % of it lies."""

MARGIN = 0.1
"""Seconds of strain beyond those in which an arrival is looked for."""


@dataclass(frozen=True)
class Populations:
    """What was injected, and what is out there.

    Attributes:
        source: The population from which injections were drawn.
        astrophysical: Of which astrophysical binaries have the masses; None for the source's.
    """

    source: Population
    astrophysical: Population | None


@dataclass(frozen=True)
class Slides:
    """Background events with their times, and the slides' live time: what removal needs.

    Attributes:
        events: Columns ``detection_statistic``, ``detection_time`` and ``shift``.
        spans: Live time.
        window: Seconds about a removed candidate.
    """

    events: EventTable
    spans: LiveSpans
    window: float


def rank_run(  # noqa: PLR0917 - a run and what has been made of it
    run: Artifacts,
    background: Background,
    recovered: RecoveredTable,
    populations: Populations,
    grid: Grid,
    plan_slides: Callable[[Artifacts], Sequence[Slide]],
) -> CandidateTable:
    """The candidates of a run, with all that is known of them.

    Args:
        run: The run.
        background: Its events of time slides.
        recovered: Its accepted injections and the events that recovered them.
        populations: What was injected, and what is out there.
        grid: How windows and slides lie on the testing data.
        plan_slides: Tells the slides that the background is made of; asked only where candidates are to be removed.
    """
    wanted = run.config.candidates
    slides = None if wanted.removal_far_per_year is None else _slides(run, plan_slides(run))
    table = rank(EventTable.read(run.clean("0lag")), background, recovered, populations, wanted, slides)
    known = EventCatalogue(np.empty(0, np.str_), np.empty(0))  # simulated noise holds no known event
    if run.config.data.source != "simulated":
        own = wanted.catalogue
        known = EventCatalogue.gwosc() if own is None else EventCatalogue.read(run.config.resolve(own))
    table.parameters["catalogue_event"] = known.coincident(table["detection_time"], wanted.catalogue_window)
    add_arrival_times(table, run.background_files("test"), grid.preprocessing, wanted.num_timed)
    return table


def _slides(run: Artifacts, slides: Sequence[Slide]) -> Slides:
    """The background's events with their times, and the live time in which events of its slides are dated."""
    search, inference = run.config.search, run.config.inference
    stride = 1 / search.inference_sampling_rate
    first = search.psd_length + load(run.model).preprocessing.coalescence_offset - stride / 2
    starts = [parse_background_path(path)[0] for path in run.background_files("test")]
    start = np.array([starts[slide.segment] + first - min(slide.shifts) for slide in slides])
    stop = start + stride * np.array([slide.windows for slide in slides])
    spans = LiveSpans(start, stop, np.array([slide.shifts for slide in slides]))
    if run.config.vetoes.given:
        live = Table.read(run.clean("live"))
        spans = LiveSpans(live["start"], live["start"] + live["duration"], live["shift"])
    reach = search.kernel_length + search.fduration / 2 + inference.integration_window_length
    window = run.config.candidates.removal_window or reach + inference.cluster_window_length / 2
    return Slides(EventTable.read(run.clean("background"), list(COLUMNS)), spans, window)


def rank(  # noqa: PLR0917 - what was searched, what it was measured with, and what is wanted
    zero_lag: EventTable,
    background: Background,
    recovered: RecoveredTable,
    populations: Populations,
    wanted: Candidates,
    slides: Slides | None,
) -> CandidateTable:
    """Candidates with false alarm rates and p_astro.

    Args:
        zero_lag: Events of unshifted data.
        background: Events of time slides.
        recovered: Accepted injections and the events that recovered them.
        populations: What was injected, and what is out there.
        wanted: The configuration's keys.
        slides: The background's events again, to remove loud candidates from it; None where that is not wanted.
    """
    removal = None
    if slides is not None and wanted.removal_far_per_year is not None:
        order = loudest_first(zero_lag)
        loudest = zero_lag["detection_statistic"][order], zero_lag["detection_time"][order]
        removal = remove_candidates(loudest, slides.events, slides.spans, slides.window, wanted.removal_far_per_year)
    table = candidates(zero_lag, background, removal)
    noise = background if removal is None else removal.background
    _add_p_astro(table, noise, recovered, populations, wanted)
    told = zero_lag.parameters.get("vetoes", np.full(len(table), "", dtype=np.str_))
    table.parameters["vetoes"] = told[loudest_first(zero_lag)]
    return table


def astrophysical_foreground(
    recovered: RecoveredTable, populations: Populations, rate_gpc3_yr: float, evolution: float, livetime: float
) -> Foreground:
    """Recovered injections as astrophysical signals at a merger rate density R (1 + z)^κ / 1.2^κ.

    An injection drawn from p_s(m, z) with N draws in all stands for T R(z) dV_c/dz / (1 + z) p_a(m | z) / (N p_s(m, z))
    signals.

    Args:
        recovered: Accepted injections and the events that recovered them.
        populations: What was injected, p_s, and what is out there, p_a.
        rate_gpc3_yr: R, mergers per Gpc³ and year of source time at redshift 0.2.
        evolution: κ.
        livetime: Seconds of observation, T.

    Raises:
        ConfigurationError: If the astrophysical population does not reach the source's redshifts.
    """
    found = np.isfinite(recovered["detection_statistic"])
    columns = {name: np.asarray(recovered[name][found], np.float64) for name in ("mass_1", "mass_2", "redshift")}
    redshift, source = columns["redshift"], populations.source
    masses = columns["mass_1"] / (1 + redshift), columns["mass_2"] / (1 + redshift)
    highest = source.redshift_range[1]
    log_rate = evolution * np.log((1 + redshift) / (1 + RATE_REDSHIFT))
    log_rate += np.log(rate_gpc3_yr * source.sky_fraction * livetime / SECONDS_PER_YEAR)
    log_weight = log_rate + np.log(source_time_volume_density(redshift, highest)) - _log_redshift(source, redshift)
    target = populations.astrophysical
    if target is not None:
        low, high = target.redshift_range
        if low > source.redshift_range[0] or high < highest:
            raise ConfigurationError(
                f"astrophysical_prior has redshifts {low:g} to {high:g}, injections have {source.redshift_range[0]:g} "
                f"to {highest:g}: give a population whose masses are known wherever injections are"
            )
        for population, sign in ((target, 1), (source, -1)):
            log_weight += sign * (population.log_density(*masses, redshift) - _log_redshift(population, redshift))
    weight = np.exp(log_weight) / int(recovered.attributes["num_injections"])
    return Foreground(np.asarray(recovered["detection_statistic"][found], np.float64), weight)


def merger_rate_prior(interval: Sequence[float]) -> tuple[float, float]:
    """Median and standard deviation of the logarithm of the log-normal distribution with a central 90 % interval.

    >>> median, width = merger_rate_prior((17.9, 44.0))
    >>> round(median, 1), round(width, 2)
    (28.1, 0.27)
    """
    low, high = interval
    return math.sqrt(low * high), math.log(high / low) / (2 * NINETY_PERCENT)


def add_arrival_times(table: CandidateTable, files: Sequence[str], preprocessing: Preprocessing, number: int) -> None:
    """Measure when the loudest candidates reached each detector; NaN for the others and where there is no strain.

    Args:
        table: Candidates, loudest first.
        files: Background files.
        preprocessing: Of the search.
        number: How many.
    """
    ifos = preprocessing.ifos
    arrivals = np.full((len(table), len(ifos)), np.nan)
    reach = SEARCH + MARGIN
    for row, time, path in _loudest_with_strain(table, files, number):
        stretch = whitened_background(path, preprocessing, time - reach, time + reach)
        arrivals[row] = arrival_times(stretch.streams, stretch.sample_rate, stretch.start, ifos, time)
    table.parameters["detector_time"] = arrivals
    table.attributes["ifos"] = list(ifos)


def loudest_closeups(
    table: CandidateTable, files: Sequence[str], model: Model, clustering: Clustering, number: int
) -> Iterator[tuple[int, Closeup]]:
    """Ranks of the loudest candidates, from 1, and what they look like; without those of which there is no strain.

    Args:
        table: Candidates, loudest first.
        files: Background files.
        model: Of the search.
        clustering: How its scores become events.
        number: How many.
    """
    extent = usual_extent(clustering)
    for row, time, path in _loudest_with_strain(table, files, number):
        wanted = needed_stretch(time, extent, model, clustering)
        stretch = whitened_background(path, model.preprocessing, *wanted)
        yield row + 1, closeup(model, stretch, clustering, time, extent)


def _loudest_with_strain(table: CandidateTable, files: Sequence[str], number: int) -> Iterator[tuple[int, float, str]]:
    """Rows and times of the loudest candidates, and the background file in which each lies."""
    spans = [(*parse_background_path(path), path) for path in files]
    for row, time in enumerate(table["detection_time"][:number].tolist()):
        path = next((path for start, duration, path in spans if start <= time < start + duration), None)
        if path is not None:
            yield row, time, path


def _add_p_astro(
    table: CandidateTable,
    background: Background,
    recovered: RecoveredTable,
    populations: Populations,
    wanted: Candidates,
) -> None:
    livetime, statistic = float(table.attributes["T0"]), table["detection_statistic"].astype(np.float64)
    median, width = merger_rate_prior(wanted.merger_rate_density)
    foreground = astrophysical_foreground(recovered, populations, median, wanted.merger_rate_evolution, livetime)
    densities = mixture(foreground, background, livetime)
    table.attributes["rate_prior"] = wanted.rate_prior
    if densities is None:
        table.parameters["p_astro"] = np.full(len(table), np.nan)
        return
    ratio = densities.log_ratio(statistic)
    posterior = rate_posterior(
        ratio[statistic >= densities.floor], densities.expected_foreground, wanted.rate_prior, width
    )
    table.parameters["p_astro"] = posterior.p_astro(ratio)
    rates = median * np.array([posterior.quantile(share) for share in (0.05, 0.5, 0.95)])
    table.attributes |= {
        "statistic_floor": densities.floor,
        "expected_signals": densities.expected_foreground * float(rates[1]) / median,
        "merger_rate_gpc3_yr": rates,
    }


def _log_redshift(population: Population, redshift: Float[Array, " n"]) -> Float[Array, " n"]:
    return np.asarray(population.prior["redshift"].ln_prob(redshift))
