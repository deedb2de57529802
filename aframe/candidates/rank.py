"""The candidates of a search, with all that is known of them: rates, p_astro, arrival times, close-ups."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from aframe.candidates.arrival import SEARCH, arrival_times
from aframe.candidates.foreground import Populations, astrophysical_foreground, merger_rate_prior
from aframe.candidates.p_astro import mixture, rate_posterior
from aframe.candidates.removal import LiveSpans, remove_candidates
from aframe.candidates.table import CandidateTable, candidates, loudest_first
from aframe.events.cluster import Clustering
from aframe.events.significance import Background
from aframe.inference.closeup import Closeup, closeup, needed_stretch, usual_extent, whitened_background
from aframe.preprocessing import Preprocessing
from aframe.settings.sections import Candidates
from aframe.strain.files import parse_background_path
from aframe.tables import EventTable, RecoveredTable
from aframe.train.model import Model

MARGIN = 0.1
"""Seconds of strain beyond those in which an arrival is looked for."""


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
