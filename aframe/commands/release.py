"""``aframe release``: volumes from released injections, of their pipelines and of a search of their frames."""

import argparse
import math
import os
import sys
from typing import TYPE_CHECKING

from aframe import storage
from aframe.commands.runs import check_output, load_environment, run_of
from aframe.errors import ConfigurationError
from aframe.settings.sections import Sensitivity

if TYPE_CHECKING:
    from jaxtyping import Float

    from aframe.events.significance import Background
    from aframe.runs.artifacts import Artifacts
    from aframe.sensitivity.release import FrameSearch
    from aframe.sensitivity.release_file import Release
    from aframe.sensitivity.weights import Target
    from aframe.tables import EventTable
    from aframe.types import Array


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("release", type=storage.locate, help="injection set that LIGO, Virgo and KAGRA released, .hdf5")
    parser.add_argument(
        "--events", type=storage.locate, metavar="FILE",
        help="events of `aframe infer --strain … --output` in the frames with these injections (default: none)",
    )  # fmt: skip
    parser.add_argument(
        "--background", type=storage.locate, metavar="FILE",
        help="background.hdf5 of a run on strain without injections (default: that of --run)",
    )  # fmt: skip
    parser.add_argument(
        "--run", type=storage.locate, metavar="DIR",
        help="run with the populations, and without --events the search of the frames (default: none)",
    )  # fmt: skip
    parser.add_argument(
        "--pipelines", nargs="+", metavar="NAME", help="pipelines of the release, as gstlal mbta (default: all)"
    )
    parser.add_argument(
        "--masses", nargs="+", type=_masses, metavar="M1-M2",
        help="source-frame mass pairs, solar masses, as 35-35 20-10 (default: the run's, else those of GWTC-3)",
    )  # fmt: skip
    parser.add_argument(
        "--window", type=float,
        help=f"largest time from an injection to its event, s (default: the run's, or {Sensitivity.recovery_window:g})",
    )  # fmt: skip
    parser.add_argument("--output", type=storage.locate, metavar="FILE", help="volumes to write, .h5 (default: none)")
    parser.add_argument("--page", type=storage.locate, metavar="FILE", help="page to write, .html (default: none)")


def run(options: argparse.Namespace) -> None:
    """Compute volumes from released injections."""
    from aframe.report.release_page import printed, release_html
    from aframe.sensitivity.release import (
        frame_volumes,
        pipeline_volumes,
        remarks,
        reported_rates,
        write_release_volumes,
    )
    from aframe.sensitivity.release_file import read_header, read_release
    from aframe.steps.devices import use_one_thread

    use_one_thread()
    _check(options)
    read_header(options.release).chosen(options.pipelines)
    searched = run_of(load_environment(options.run)) if options.run else None
    release = read_release(options.release, options.pipelines)
    targets = _targets(options, searched, release)
    search = _search(options, searched, release)
    if search is None:
        curves, by_chance, notes = pipeline_volumes(release, targets, reported_rates(release)), None, []
    else:
        curves, by_chance = frame_volumes(search, targets)
        release, notes = search.release, list(search.remarks)
    for note in notes:
        print(f"warning: {note}", file=sys.stderr)
    notes = [*remarks(release, curves), *(f"{note[0].upper()}{note[1:]}." for note in notes)]
    print(printed(curves, by_chance))
    print("\n".join(notes))
    if options.output:
        names = ("release", "events", "background", "run", "pipelines", "window")
        made_with = {name: getattr(options, name) for name in names} | {"populations": list(curves)}
        write_release_volumes(options.output, curves, made_with, by_chance, {"remarks": " ".join(notes)})
        print(options.output)
    if options.page:
        storage.write_text(options.page, release_html(curves, notes, by_chance))
        print(options.page)


def _masses(text: str) -> tuple[float, float]:
    from aframe.sensitivity.volume import mass_pair

    pair = mass_pair(text)
    if pair is None or not (0 < pair[1] <= pair[0] < math.inf):
        raise argparse.ArgumentTypeError(f"{text!r} is no pair of masses such as 35-20")
    return pair


def _check(options: argparse.Namespace) -> None:
    """Check that the options belong together, and that outputs can be written.

    Raises:
        ConfigurationError: If not.
        StorageError: If a store does not take an output.
    """
    if options.events and not (options.background or options.run):
        raise ConfigurationError("--events needs --background, background.hdf5 of a run on strain without injections")
    if options.background and not (options.events or options.run):
        raise ConfigurationError("--background goes with --events or --run, a search of frames with injections")
    if options.window is not None and not 0 < options.window < math.inf:
        raise ConfigurationError(f"--window {options.window} s must be positive and finite")
    inputs = {os.path.realpath(path) for path in (options.release, options.events, options.background) if path}
    for name, suffixes, kind in (("output", (".h5", ".hdf5"), "HDF5 file"), ("page", (".html",), "page")):
        path = getattr(options, name)
        if path and os.path.realpath(path) in inputs:
            raise ConfigurationError(f"--{name} {path} is an input and would be lost: give another")
        check_output(f"--{name}", path, suffixes, kind)


def _targets(options: argparse.Namespace, searched: "Artifacts | None", release: "Release") -> "list[Target]":
    """Populations of the options, of the run, or of the published volumes."""
    from aframe.sensitivity import catalog
    from aframe.sensitivity.release import release_targets
    from aframe.sensitivity.volume import mass_pair
    from aframe.steps.release import targets_of_run

    if searched is not None and not options.masses:
        return targets_of_run(searched, release)
    width = Sensitivity.mass_width if searched is None else searched.config.sensitivity.mass_width
    pairs = options.masses or [pair for text in catalog.PAIRS if (pair := mass_pair(text)) is not None]
    return release_targets(release, pairs, width, {})


def _search(options: argparse.Namespace, searched: "Artifacts | None", release: "Release") -> "FrameSearch | None":
    """The search of the frames with the injections; None for the pipelines alone.

    Raises:
        ConfigurationError: If the background is not that of the events.
        DataError: If the strain does not hold the injections.
    """
    from aframe.events.significance import Background
    from aframe.sensitivity.release import search_frames

    if not (options.events or options.run):
        return None
    events, spans = _events(options, searched)
    if options.background is None:
        assert searched is not None, "the options have been checked"
        path = searched.clean("background")
        if not options.events:
            print(
                f"warning: {path} is of the same strain, with its signals, so its events are too loud and the volume "
                "is too small: give --background of a run on strain without injections",
                file=sys.stderr,
            )
    else:
        path = options.background
    background = Background.read(path)
    _check_background(events, background, path)
    window = options.window or (searched.config.sensitivity if searched else Sensitivity).recovery_window
    return search_frames(release, events, spans, background, window)


def _check_background(events: "EventTable", background: "Background", path: str) -> None:
    """Refuse a background that gives other false alarm rates than those that the events have.

    Args:
        events: The events.
        background: The background.
        path: Path of the background.

    Raises:
        ConfigurationError: If a rate differs.
    """
    import numpy as np

    if "far_per_year" not in events.parameters:
        return
    rates = background.far_per_year(events["detection_statistic"])
    if not np.allclose(rates, events["far_per_year"], rtol=1e-6, atol=0.0):
        raise ConfigurationError(
            f"{path} is not the background with which `aframe infer` rated these events: give that one, or search again"
        )


def _events(
    options: argparse.Namespace, searched: "Artifacts | None"
) -> "tuple[EventTable, Float[Array, 'stretches 2']]":
    """Unshifted events in the frames, and the searched time."""
    from aframe.steps.release import searched_time
    from aframe.tables import EventTable
    from aframe.tables.events import read_searched

    if options.events:
        return EventTable.read(options.events), read_searched(options.events)
    assert searched is not None, "the options have been checked"
    return EventTable.read(searched.clean("0lag")), searched_time(searched)
