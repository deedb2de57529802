"""``aframe event``: search the strain around known events, and compare with their catalogue."""

import argparse
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aframe import storage
from aframe.commands.runs import locate_model, shipped_model
from aframe.errors import ConfigurationError, DataError
from aframe.settings.read import choices_of

if TYPE_CHECKING:
    from aframe.candidates.known_events import KnownEvent
    from aframe.candidates.verdicts import Verdict
    from aframe.strain.gwosc import GwoscServer

DURATION = 32.0
"""Default length of the strain about an event, s: that of GWOSC's short files."""

HIGHEST_FAR_PER_YEAR = 12.0
"""Default of the highest false alarm rate that counts as found, 1/yr: one a month."""

TOP = 3
"""Default number of the loudest events on a page."""

OUTPUT = "events"
"""Default directory of pages and tables."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("name", nargs="*", metavar="NAME", help="name of an event, as GW150914; one or several")
    parser.add_argument(
        "--time",
        nargs="+",
        default=[],
        metavar="TIME",
        help="GPS s or UTC of a coalescence, once or more (default: none)",
    )
    parser.add_argument("--run", metavar="RUN", help="observing run, as O3a: all its events (default: none)")
    parser.add_argument(
        "--model",
        type=locate_model,
        help="model.pt, or the directory of its training or run (default: models/demo of the checkout)",
    )
    parser.add_argument(
        "--background",
        type=storage.locate,
        help="background.hdf5 of the model's run, for false alarm rates (default: none are given)",
    )
    parser.add_argument(
        "--frames",
        type=storage.locate,
        nargs="+",
        default=[],
        metavar="PATH",
        help="strain of your own: HDF5 or GWF files, directories or patterns (default: open data of GWOSC)",
    )
    parser.add_argument(
        "--channel",
        action="append",
        default=[],
        metavar="IFO:NAME",
        help="strain of a detector, as H1:DCS-CALIB_STRAIN_CLEAN_C01; once for each. In files of --frames, else from "
        "datafind or NDS2 (default: what is known as strain; open data)",
    )
    parser.add_argument(
        "--server", metavar="URL", help="server that answers as GWOSC (default: GWOSC_SERVER_URL, else gwosc.org)"
    )
    parser.add_argument(
        "--duration", type=float, default=DURATION, help=f"strain about each event, s (default: {DURATION:.0f})"
    )
    parser.add_argument(
        "--far",
        type=float,
        default=HIGHEST_FAR_PER_YEAR,
        help="with --background: highest false alarm rate of what counts as found, per year "
        f"(default: {HIGHEST_FAR_PER_YEAR:.0f})",
    )
    parser.add_argument(
        "--output",
        type=storage.locate,
        default=OUTPUT,
        help=f"directory of the pages and tables, local or s3 (default: {OUTPUT})",
    )
    parser.add_argument(
        "--top", type=int, default=TOP, help=f"loudest events that a page shows, besides the known (default: {TOP})"
    )
    parser.add_argument(
        "--precision",
        choices=choices_of("inference", "precision"),
        help="in which the network computes (default: the background's, else auto)",
    )
    parser.add_argument(
        "--gpus", default="", help="GPUs, as in CUDA_VISIBLE_DEVICES, of which a free one is taken (default: the CPU)"
    )


def run(options: argparse.Namespace) -> None:
    """Search around events, and print and write what became of each."""
    _check(options)
    from aframe.candidates.verdicts import Verdict, printed, to_csv
    from aframe.inference.recorded import shortest_duration
    from aframe.report.event_pages import verdicts_html
    from aframe.steps.devices import use_one_gpu
    from aframe.steps.known_events import EventSearch, StrainPlace, judge
    from aframe.steps.strain_search import SearchChoices, StrainSearch
    from aframe.strain.channels import parse_channels
    from aframe.strain.gwosc import GwoscServer

    device = use_one_gpu(options.gpus)
    channels = parse_channels(options.channel, "--channel")
    choices = SearchChoices(options.model, options.background or "", precision=options.precision or "")
    search = StrainSearch.prepare(choices, device)
    foreign = [ifo for ifo in channels if ifo not in search.model.preprocessing.ifos]
    if foreign:
        ifos = ", ".join(search.model.preprocessing.ifos)
        raise ConfigurationError(f"--channel {foreign[0]}:{channels[foreign[0]]}: the model searches {ifos} alone")
    shortest = shortest_duration(search.model, search.clustering)
    if options.duration < shortest:
        raise ConfigurationError(f"--duration {options.duration:g}: the model needs {shortest:g} s of strain at least")
    server = GwoscServer(options.server or "")
    place = StrainPlace(server, tuple(options.frames), channels)
    chosen = EventSearch(choices, search, place, options.duration, options.far, options.top, options.output)
    entries = _events(options, None if options.frames else server)
    verdicts = []
    for entry in entries:
        each = entry if isinstance(entry, Verdict) else judge(chosen, entry)
        verdicts.append(each)
        if each.problem and len(entries) == 1:
            raise DataError(f"{each.event.name}: {each.problem}")
        if each.problem:
            print(f"{each.event.name} was not searched: {each.problem}", file=sys.stderr, flush=True)
    print(printed(verdicts))
    if search.background is None:
        print("without --background there are no false alarm rates: found is the loudest event of its strain")
    storage.write_text(storage.join(options.output, "events.csv"), to_csv(verdicts))
    pages = {each.event.name: chosen.page(each.event).rpartition("/")[2] for each in verdicts if not each.problem}
    index = storage.join(options.output, "index.html")
    storage.write_text(index, verdicts_html(verdicts, pages, options.model))
    print(f"page: {chosen.page(verdicts[0].event) if len(verdicts) == 1 else index}")
    if any(each.problem for each in verdicts):
        raise SystemExit(1)


def _check(options: argparse.Namespace) -> None:
    """Check the options, and fill in the model.

    Raises:
        ConfigurationError: If there is no event or no model, or a value is out of range.
        StorageError: If a store does not take the output.
    """
    if not (options.name or options.time or options.run):
        raise ConfigurationError("which event? give a name as GW150914, --time GPS, or --run O3a")
    options.model = options.model or shipped_model()
    if not options.model:
        raise ConfigurationError("--model is missing: give model.pt, or the directory of a run or of its training")
    for name in ("duration", "far"):
        if not 0 < getattr(options, name) < math.inf:
            raise ConfigurationError(f"--{name} {getattr(options, name)} must be positive and finite")
    if options.top < 1:
        raise ConfigurationError(f"--top {options.top}: give at least 1")
    if options.server and "://" not in options.server:
        raise ConfigurationError(f"--server {options.server} is no URL: begin it with https:// or http://")
    if storage.is_remote(options.output):
        storage.try_to_write(storage.join(options.output, "events.csv"))
        return
    if os.path.exists(options.output) and not os.path.isdir(options.output):
        raise ConfigurationError(f"--output {options.output} is a file: give a directory")
    reason = storage.why_not_written(Path(options.output).absolute())
    if reason:
        raise ConfigurationError(f"--output {options.output} cannot be written ({reason}): choose another place")


def _events(options: argparse.Namespace, server: "GwoscServer | None") -> "list[KnownEvent | Verdict]":
    """Events that the options name, each once. Those that do not exist are verdicts that say so.

    Args:
        options: Options of the command.
        server: GWOSC; None to ask nobody.

    Raises:
        ConfigurationError: If a time or the run is wrong, or the run has no known events.
    """
    from aframe.candidates.known_events import KnownEvent, event_of, events_between
    from aframe.candidates.verdicts import Verdict
    from aframe.errors import UnknownNameError
    from aframe.strain.notes import tell_once
    from aframe.strain.observing_runs import observing_run
    from aframe.strain.times import gps_of

    times = {f"{time:.13g}": time for time in map(gps_of, options.time)}
    run = observing_run(options.run, "--run") if options.run else None
    events: dict[str, KnownEvent | Verdict] = {}
    for name in options.name:
        try:
            event = event_of(name, server, tell_once)
            events[event.name] = event
        except UnknownNameError as error:
            events[name] = Verdict(KnownEvent(name, math.nan), problem=str(error).removeprefix(f"{name}: "))
    events |= {name: KnownEvent(name, time) for name, time in times.items()}
    if run is not None:
        found = events_between(run.whole.start, run.whole.stop, server, tell_once)
        if not found:
            raise ConfigurationError(f"--run {run.name} has no known events yet: give names or times")
        events |= {event.name: event for event in found}
    return list(events.values())
