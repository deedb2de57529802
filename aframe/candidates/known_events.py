"""Known events by name: from GWOSC's server, else from the list in this package."""

import csv
import difflib
import functools
import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from aframe import storage
from aframe.candidates.catalogue import GWOSC, gwosc_page
from aframe.errors import ServerError, UnknownNameError
from aframe.storage.cache import alone, cache_directory
from aframe.strain.gwosc import GwoscServer

MOST_NAMES = 3
"""Largest number of similar names in an error."""

ANSWERS = "events"
"""Directory of the server's answers about events, in the cache of its files."""


@dataclass(frozen=True)
class KnownEvent:
    """An event to search for.

    Attributes:
        name: Its name, or its time as text.
        gps: GPS s.
        version: Version in its catalogue; 0 without a catalogue.
        catalog: Catalogue of that version; empty without one.
        snr: Network SNR in the catalogue; NaN if it is not known.
        far_per_year: False alarm rate in the catalogue; NaN if it is not known.
    """

    name: str
    gps: float
    version: int = 0
    catalog: str = ""
    snr: float = math.nan
    far_per_year: float = math.nan

    @property
    def page(self) -> str:
        """Address of its page at GWOSC; empty if this package does not know it."""
        return gwosc_page(self.name)


@functools.cache
def listed() -> Mapping[str, KnownEvent]:
    """Events of the list in this package, by name."""
    text = (resources.files("aframe.candidates") / GWOSC).read_text(encoding="utf-8")
    return {
        row["name"]: KnownEvent(
            row["name"], float(row["gps"]), int(row["version"]), row["catalog"],
            _number(row["snr"]), _number(row["far_per_year"]),
        )
        for row in csv.DictReader(text.splitlines())
    }  # fmt: skip


def event_of(name: str, server: GwoscServer | None, tell: Callable[[str], object]) -> KnownEvent:
    """Find an event by its name.

    Args:
        name: Its name, in any letters; its beginning is enough if only one event has it.
        server: GWOSC; None to ask nobody.
        tell: Called with a sentence if the server does not answer.

    Raises:
        UnknownNameError: If there is no such event. The message has the most similar names.
    """
    here = _in_list(name)
    if server is None:
        if here is None:
            raise _unknown(name, listed(), "the list in this package has no such event")
        return here
    cache = cache_directory() / server.name / ANSWERS
    path = str(cache / f"{storage_name(name)}.json")
    try:
        answer = server.event(here.name if here else name) or server.event(name.upper())
    except ServerError as error:
        if storage.exists(path):
            return _from_answer(json.loads(storage.read_text(path)))
        if here is None:
            raise _unknown(name, listed(), f"the list in this package has no such event, and {error}") from error
        tell(f"the times of events are those of the list in this package: {error}")
        return here
    if answer is not None and "gps" in answer:
        with alone(cache):
            storage.write_text(path, json.dumps(answer))
        return _from_answer(answer)
    if here is not None:
        return here
    names = {str(event["name"]) for event in _events_of(server)} | listed().keys()
    longer = [each for each in names if each.casefold().startswith(f"{name.casefold()}_")]
    if len(longer) == 1:
        return event_of(longer[0], server, tell)
    raise _unknown(name, names, "GWOSC and the list in this package have no such event")


def events_between(
    start: float, stop: float, server: GwoscServer | None, tell: Callable[[str], object]
) -> list[KnownEvent]:
    """All known events of a stretch of time, in order of time, each in its latest version.

    Args:
        start: GPS s.
        stop: GPS s.
        server: GWOSC; None to ask nobody.
        tell: Called with a sentence if the server does not answer.
    """
    events = dict(listed())
    if server is not None:
        try:
            for answer in sorted(server.events((start, stop)), key=lambda each: int(each.get("version", 0))):
                events[str(answer["name"])] = _from_answer(answer)
        except ServerError as error:
            tell(f"the events are those of the list in this package: {error}")
    return sorted((each for each in events.values() if start <= each.gps < stop), key=lambda each: each.gps)


def storage_name(name: str) -> str:
    """A name as a file may have it."""
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name)


def _in_list(name: str) -> KnownEvent | None:
    """Event of this package's list with a name, or with the only name that begins so."""
    plain = name.partition("-v")[0].casefold()
    exact = [event for each, event in listed().items() if each.casefold() == plain]
    begun = [event for each, event in listed().items() if each.casefold().startswith(f"{plain}_")]
    chosen = exact or begun
    return chosen[0] if len(chosen) == 1 else None


def _events_of(server: GwoscServer) -> list[dict[str, Any]]:
    try:
        return server.events()
    except ServerError:
        return []


def _from_answer(answer: Mapping[str, Any]) -> KnownEvent:
    """Event of a server's answer. What the answer lacks is that of this package's list."""
    name = str(answer["name"])
    here = listed().get(name)
    best = {str(each.get("name")): each.get("best") for each in answer.get("default_parameters") or ()}
    snr, far = best.get("network_matched_filter_snr"), best.get("far")
    return KnownEvent(
        name, float(answer["gps"]), int(answer.get("version") or 0), str(answer.get("catalog") or ""),
        here.snr if snr is None and here else _number(snr), here.far_per_year if far is None and here else _number(far),
    )  # fmt: skip


def _number(value: Any) -> float:
    """A number, NaN for none."""
    return float(value) if value not in (None, "") else math.nan


def _unknown(name: str, names: Collection[str], reason: str) -> UnknownNameError:
    plain = {each.casefold(): each for each in names}
    begun = sorted(each for each in names if each.casefold().startswith(name.casefold()))
    near = [plain[each] for each in difflib.get_close_matches(name.casefold(), sorted(plain), MOST_NAMES)]
    similar = list(dict.fromkeys([*begun, *near]))[:MOST_NAMES]
    hint = f"the nearest names are {', '.join(similar)}" if similar else "give another name, or its time with --time"
    return UnknownNameError(f"{name}: {reason}: {hint}")
