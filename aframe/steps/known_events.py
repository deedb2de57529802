"""Search the strain around known events, one after the other."""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aframe import storage
from aframe.candidates.known_events import KnownEvent, storage_name
from aframe.candidates.verdicts import Verdict, verdict
from aframe.errors import AframeError, DataError
from aframe.inference.closeup import recorded_closeups
from aframe.inference.recorded import Span, recordings_of
from aframe.progress.lines import Progress
from aframe.report.event_pages import event_html
from aframe.runs.artifacts import SCORING_PRECISION
from aframe.settings.sections import Candidates
from aframe.steps.strain_search import SearchChoices, StrainSearch
from aframe.storage.cache import cache_directory
from aframe.strain.availability import lacking
from aframe.strain.channels import Recording
from aframe.strain.fetch import fetch_channel, write_channel
from aframe.strain.gwosc import GwoscServer
from aframe.strain.open_files import open_files
from aframe.strain.recordings import expand
from aframe.strain.segments import Segment, coalesce
from aframe.strain.wanted import Wanted
from aframe.tables import EventTable

CHANNELS = "channels"
"""Directory of fetched channels in the cache."""


@dataclass(frozen=True)
class StrainPlace:
    """Where strain around events comes from.

    Attributes:
        server: GWOSC.
        frames: Directories, files or patterns of the user's own files; empty for open data.
        channels: Chosen channels, by detector.
    """

    server: GwoscServer
    frames: tuple[str, ...]
    channels: Mapping[str, str]


@dataclass(frozen=True)
class EventSearch:
    """A search of the strain around events, and where its pages go.

    Attributes:
        choices: Model and background.
        search: The model, ready to search.
        place: Where strain comes from.
        duration: Length of the strain about an event, s.
        highest_far_per_year: Highest false alarm rate of what counts as found, 1/yr.
        top: Number of the loudest events that a page shows.
        output: Directory of pages and tables.
    """

    choices: SearchChoices
    search: StrainSearch
    place: StrainPlace
    duration: float
    highest_far_per_year: float
    top: int
    output: str

    def page(self, event: KnownEvent) -> str:
        """Path of an event's page."""
        return storage.join(self.output, f"{storage_name(event.name)}.html")

    def table(self, event: KnownEvent) -> str:
        """Path of the table of the search's events around a known one."""
        return storage.join(self.output, f"{storage_name(event.name)}.hdf5")


def judge(chosen: EventSearch, event: KnownEvent) -> Verdict:
    """Search around an event. If it cannot be searched for, the verdict has the reason.

    Args:
        chosen: The search.
        event: The event.
    """
    try:
        return search_event(chosen, event)
    except AframeError as error:
        return Verdict(event, problem=str(error))


def search_event(chosen: EventSearch, event: KnownEvent) -> Verdict:
    """Search around an event, and write its page and then its table. Those of the same search are kept.

    Args:
        chosen: The search.
        event: The event.

    Raises:
        DataError: If a detector has no strain at the time.
        StorageError: If strain is not to be had.
    """
    search = chosen.search
    preprocessing = search.model.preprocessing
    rate = preprocessing.whitening.sample_rate
    wanted = Wanted(preprocessing.ifos, event.gps, chosen.duration, rate, event.catalog and event.name, event.page)
    recordings = strain_around(chosen.place, wanted)
    made_with = _parameters(chosen, event, recordings)
    table, page = chosen.table(event), chosen.page(event)
    window = Candidates.catalogue_window
    if storage.exists(table) and storage.exists(page) and storage.made_with(table) == made_with:
        return verdict(event, EventTable.read(table), window, chosen.highest_far_per_year)
    found, used = search.search(recordings, Progress(f"{event.name}: strain searched", " s"))
    _check_searched(event, found.spans)
    result = verdict(event, found.events, window, chosen.highest_far_per_year)
    ranks = sorted({*range(1, chosen.top + 1), *([result.rank] if result.rank else [])})
    closeups = dict(recorded_closeups(found, recordings, used.model, used.clustering, ranks))
    storage.write_text(page, event_html(result, found, closeups, chosen.choices.model))
    found.events.write(table, made_with)
    return result


def strain_around(place: StrainPlace, wanted: Wanted) -> dict[str, list[Recording]]:
    """Recordings of all detectors in the wanted time.

    Args:
        place: Where strain comes from.
        wanted: The strain.

    Raises:
        DataError: If a detector has none.
        StorageError: If strain is not to be had.
    """
    if place.frames:
        recordings = recordings_of(expand(place.frames), wanted.ifos, place.channels, _note)
    else:
        chosen = [ifo for ifo in wanted.ifos if ifo in place.channels]
        paths = [_channel_file(ifo, place.channels[ifo], wanted) for ifo in chosen]
        others = tuple(ifo for ifo in wanted.ifos if ifo not in chosen)
        paths += open_files(place.server, wanted.of(others)) if others else []
        recordings = recordings_of(paths, wanted.ifos)
    within = {
        ifo: [part for each in parts if (part := each.between(wanted.start, wanted.stop)) is not None]
        for ifo, parts in recordings.items()
    }
    absent = [ifo for ifo, parts in within.items() if not any(r.start <= wanted.time < r.stop for r in parts)]
    if absent:
        covered = {ifo: coalesce(Segment(each.start, each.stop) for each in parts) for ifo, parts in recordings.items()}
        raise DataError(f"{', '.join(place.frames) or 'the files'}: {lacking(absent, wanted, covered, covered)}")
    return within


def _channel_file(ifo: str, channel: str, wanted: Wanted) -> str:
    """Path of a file with a channel, fetched once."""
    directory = storage.join(str(cache_directory()), CHANNELS)
    start = math.floor(wanted.start)
    duration = math.ceil(wanted.stop) - start
    path = storage.join(directory, f"{ifo[0]}-{ifo}_{storage_name(channel)}-{start}-{duration}.hdf5")
    if not storage.exists(path):
        write_channel(path, fetch_channel(ifo, channel, start, start + duration))
    return path


def _parameters(
    chosen: EventSearch, event: KnownEvent, recordings: Mapping[str, Sequence[Recording]]
) -> dict[str, object]:
    """Parameters of an event's table."""
    clustering = chosen.search.clustering
    strain = sorted({part.path for parts in recordings.values() for part in parts})
    return {
        "gps": event.gps,
        "duration": chosen.duration,
        "top": chosen.top,
        "model": chosen.choices.model,
        "model's SHA-256": storage.sha256(chosen.choices.model),
        "background": chosen.choices.background and storage.fingerprint(chosen.choices.background),
        "strain": {path: storage.fingerprint(path) for path in strain},
        "channel": dict(chosen.place.channels),
        "integration_window_length": clustering.integration_window_length,
        "cluster_window_length": clustering.cluster_window_length,
        SCORING_PRECISION: chosen.search.precision,
    }


def _check_searched(event: KnownEvent, spans: Sequence[Span]) -> None:
    """Refuse a time at which no coalescence was searched for.

    Raises:
        DataError: With the reason.
    """
    span = next((each for each in spans if each.start <= event.gps < each.stop), None)
    if span is None or span.reason:
        reason = span.reason if span else "the strain does not have it"
        raise DataError(f"GPS {event.gps:.3f} was not searched ({reason}): give a longer --duration, or another time")


def _note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)
