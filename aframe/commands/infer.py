"""``aframe infer``: apply a model to strain files, or to the time slides of a run."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aframe import storage
from aframe.commands.runs import check_output, locate_model, run_of
from aframe.errors import ConfigurationError
from aframe.progress.lines import Progress
from aframe.runs.artifacts import SCORING_PRECISION
from aframe.settings.read import choices_of

if TYPE_CHECKING:
    from aframe.inference.recorded import Span
    from aframe.tables import EventTable
    from aframe.types import Array

OF_STRAIN = ("model", "channel", "output", "page", "background", "integration_window_length", "cluster_window_length",
             "precision", "top")  # fmt: skip
"""Options that apply only to strain files. For a run, its ``.cfg`` has these settings."""

DEFAULT_TOP = 10
"""Default number of candidates that are printed and shown."""

MAX_PRINTED_SPANS = 20
"""Maximum number of printed stretches, for searched and unsearched stretches each."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--model", type=locate_model, help="model.pt, or the directory of its training or run (required with --strain)"
    )
    parser.add_argument(
        "--strain",
        type=storage.locate,
        nargs="+",
        default=[],
        metavar="PATH",
        help="HDF5 or GWF files, directories of such, or patterns as 'data/*.hdf5', of all detectors of the model "
        "(default: a run is scored)",
    )
    parser.add_argument(
        "--channel",
        action="append",
        default=[],
        metavar="IFO:NAME",
        help="strain of a detector whose files have several, as H1:GDS-CALIB_STRAIN_CLEAN; once for each such detector "
        "(default: what is known as strain)",
    )
    parser.add_argument("--output", type=storage.locate, help="event table to write, .hdf5 (default: none)")
    parser.add_argument(
        "--page",
        type=storage.locate,
        help="page to write, .html, with Q transforms, whitened strain and scores of the loudest --top (default: none)",
    )
    parser.add_argument(
        "--background",
        type=storage.locate,
        help="background.hdf5 of a run, to give each candidate its false alarm rate (default: none is given)",
    )
    parser.add_argument(
        "--cfg",
        type=storage.locate,
        help="without --strain: the .cfg of the run to score (default: what LAW_CONFIG_FILE names)",
    )
    for name, default in (("integration", "1, or a stride of windows for matched filters"), ("cluster", 8)):
        help_text = f"s (default: the background's, else {default})"
        parser.add_argument(f"--{name}-window-length", type=float, help=help_text)
    parser.add_argument(
        "--precision",
        choices=choices_of("inference", "precision"),
        help="in which the network computes; auto: bfloat16 if the device has instructions for it, else float32 "
        "(default: the background's, else auto)",
    )
    parser.add_argument(
        "--top", type=int, default=DEFAULT_TOP, help=f"candidates to print and to show (default: {DEFAULT_TOP})"
    )
    parser.add_argument(
        "--gpus", default="", help="GPUs, as in CUDA_VISIBLE_DEVICES, of which a free one is taken (default: the CPU)"
    )


def run(options: argparse.Namespace) -> None:
    """Apply a model to strain files, or score the time slides of a run."""
    from aframe.steps.devices import use_one_gpu

    _check_kind(options)
    device = use_one_gpu(options.gpus)
    if not options.strain:
        _infer_run(options.cfg, device)
        return
    from aframe.inference.closeup import recorded_closeups
    from aframe.inference.recorded import near_edges, recordings_of
    from aframe.report.recordings_page import recordings_html
    from aframe.steps.strain_search import SearchChoices, StrainSearch
    from aframe.strain.channels import parse_channels
    from aframe.strain.recordings import expand
    from aframe.tables.events import write_searched

    if options.top < 1:
        raise ConfigurationError(f"--top {options.top}: give at least 1")
    _check_outputs(options)
    lengths = (options.integration_window_length, options.cluster_window_length)
    choices = SearchChoices(options.model, options.background or "", *lengths, options.precision or "")
    prepared = StrainSearch.prepare(choices, device)
    paths = expand(options.strain)
    _check_inputs_stay(options, paths)
    preprocessing = prepared.model.preprocessing
    channels = parse_channels(options.channel, "--channel")
    recordings = recordings_of(paths, preprocessing.ifos, channels, _note)
    search, used = prepared.search(recordings, Progress("strain searched", " s"))
    print(f"scored in {used.precision}")
    _print_spans(search.spans)
    edges = near_edges(search.events["detection_time"], search.spans, preprocessing.kernel_length)
    _print_candidates(search.events, options.top, edges)
    if options.output:
        made_with = {"model": str(options.model), "strain": paths, SCORING_PRECISION: used.precision}
        made_with |= {"channel": options.channel} if options.channel else {}
        write_searched(options.output, search.events, search.searched, made_with)
        print(f"events: {options.output}")
    if options.page:
        ranks = range(1, options.top + 1)
        closeups = dict(recorded_closeups(search, recordings, used.model, used.clustering, ranks))
        storage.write_text(options.page, recordings_html(search, closeups, options.model))
        print(f"page: {options.page}")


def _note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)


def _check_kind(options: argparse.Namespace) -> None:
    """Check that the options belong together.

    Raises:
        ConfigurationError: If options for strain files are combined with a run, or ``--strain`` lacks a model.
    """
    if options.strain:
        if not options.model:
            raise ConfigurationError("aframe infer --strain needs --model model.pt")
        if options.cfg:
            raise ConfigurationError(f"--cfg {options.cfg} is of a run, and --strain of files: leave one of them out")
        return
    extra_options = [
        f"--{name.replace('_', '-')}" for name in OF_STRAIN if getattr(options, name) not in (None, [], DEFAULT_TOP)
    ]
    if extra_options:
        raise ConfigurationError(
            f"{', '.join(extra_options)} go with --strain: without it aframe infer scores a run, as its .cfg says"
        )


def _check_outputs(options: argparse.Namespace) -> None:
    """Check, before the search, that the outputs can be written and have suitable names.

    Raises:
        ConfigurationError: If an output cannot be written, or its suffix is wrong.
        StorageError: If an output is to go to a store of another kind than S3, or to one that does not take it.
    """
    for name, suffixes, kind in (("output", (".hdf5", ".h5"), "HDF5 file"), ("page", (".html",), "page")):
        check_output(f"--{name}", getattr(options, name), suffixes, kind)


def _check_inputs_stay(options: argparse.Namespace, strain: Sequence[str]) -> None:
    """Refuse an output that would replace an input.

    Args:
        options: Options of the command.
        strain: Paths of the strain.

    Raises:
        ConfigurationError: If the table or the page is a file of the strain, the model or the background.
    """
    inputs = {os.path.realpath(path) for path in (*strain, options.model, options.background) if path}
    for name in ("output", "page"):
        path = getattr(options, name)
        if path and os.path.realpath(path) in inputs:
            raise ConfigurationError(f"--{name} {path} is an input of this search and would be lost: give another")


def _print_spans(spans: Sequence["Span"]) -> None:
    """Print the first searched and unsearched stretches, and the total length of both kinds."""
    from aframe.strain.times import format_gps

    for name, chosen in (
        ("searched", [span for span in spans if not span.reason]),
        ("not searched", [span for span in spans if span.reason]),
    ):
        if not chosen:
            continue
        length, count = sum(span.stop - span.start for span in chosen), len(chosen)
        print(f"{name}: {length:.0f} s in {count} stretch{'es' if count > 1 else ''} (GPS s)")
        for span in chosen[:MAX_PRINTED_SPANS]:
            details = [f"{span.stop - span.start:.6g} s", *([span.reason] if span.reason else [])]
            print(f"  {format_gps(span.start)} to {format_gps(span.stop)} ({', '.join(details)})")
        if len(chosen) > MAX_PRINTED_SPANS:
            print(f"  and {len(chosen) - MAX_PRINTED_SPANS} more")


def _print_candidates(events: "EventTable", number: int, are_at_edge: "Array") -> None:
    """Print a table of the loudest events.

    Args:
        events: Events, loudest first.
        number: Maximum number of rows.
        are_at_edge: Whether events are in the first or last window of a stretch, shape (events,).
    """
    from aframe.candidates.table import utc

    is_rated = "far_per_year" in events.parameters
    print(f"{len(events)} events; loudest first")
    print(f"{'UTC':25}{'GPS (s)':18}{'statistic':>10}{'  FAR (per year)' if is_rated else ''}")
    for row in range(min(number, len(events))):
        time, statistic = events["detection_time"][row], events["detection_statistic"][row]
        rate = ""
        if is_rated:
            sign = "< " if events["far_is_upper_limit"][row] else ""
            rate = f"{sign + format(events['far_per_year'][row], '.3g'):>16}"
        note = "  at the edge of a stretch: time and statistic may be wrong" if are_at_edge[row] else ""
        print(f"{utc(time):25}{time:<18.3f}{statistic:10.3f}{rate}{note}")
    if is_rated and events["far_is_upper_limit"][:number].any():
        print("<: no background event is as loud, so that the rate is at most one per time of background")


def _infer_run(configuration: str | None, device: str) -> None:
    """Score all units of a run that are not done, and merge the events.

    Args:
        configuration: Path of the ``.cfg``; empty for LAW_CONFIG_FILE.
        device: Type of device.
    """
    from aframe.steps import engines, planning
    from aframe.steps.devices import use_one_thread
    from aframe.steps.scoring import merge_events, score_unit

    use_one_thread()
    run = run_of(configuration)
    units = planning.plan_units(run)
    ledger = planning.ledger(run)
    for number, unit in enumerate(units):
        if not ledger.was_done(number):
            address = engines.server_address(run, os.getpid(), os.environ["CUDA_VISIBLE_DEVICES"])
            score_unit(run, unit, device, address, ledger.job(number, f"unit {number + 1}/{len(units)}"))
    engines.stop_server(run)
    merge_events(run)
    print(run.events("background"))
