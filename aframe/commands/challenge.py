"""``aframe challenge``: the machine-learning mock data challenge's data, a search of them, and its score."""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from aframe import storage
from aframe.challenge.data_sets import DATA_SETS, SECONDS_PER_MONTH
from aframe.commands.runs import locate_model
from aframe.constants import AUTO
from aframe.errors import ConfigurationError
from aframe.progress.lines import Progress
from aframe.settings.read import choices_of

HDF5_SUFFIXES = (".hdf", ".hdf5", ".h5")
"""Suffixes of the files that are written. The challenge writes the first."""

START = 1238166018.0
"""GPS time at which data without a list of segments begin, s: that of the observing run O3a."""

VAR = 0.3
"""Time around an event within which its merger must lie, s. It is that of most of the challenge's searches."""

CLUSTER_WINDOW_LENGTH = 8.0
"""Length of the clustering window, s: less than half of the least time between signals."""

SEED = 1
"""Seed of the data, and of the draws of intervals."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the steps and their options."""
    steps = parser.add_subparsers(dest="step", metavar="STEP", required=True, help="generate, search or score")
    for name, text, declare in (
        ("generate", "make a data set: noise, the same noise with signals, and the list of signals", _generate_options),
        ("search", "apply a model to a file of strain, and write its events", _search_options),
        ("score", "compute the sensitive distance of a search at false alarm rates", _score_options),
    ):
        declare(steps.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}."))


def _generate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "directory", type=storage.locate, help="directory of background.hdf, foreground.hdf and injections.hdf"
    )
    parser.add_argument(
        "--data-set", type=int, choices=tuple(DATA_SETS), default=1,
        help="1: design noise, no spins; 2: a measured curve for each detector, aligned spins; 3: one for each "
        "segment, precession and higher modes (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--duration",
        type=float,
        default=SECONDS_PER_MONTH,
        help=f"length of all segments, s (default: {SECONDS_PER_MONTH:.0f}, 30 days)",
    )
    parser.add_argument(
        "--segments", type=storage.locate, metavar="FILE",
        help="list of segments (default: contiguous ones of at most 2 h)",
    )  # fmt: skip
    parser.add_argument(
        "--start",
        type=float,
        default=START,
        help=f"without --segments: start, GPS s (default: {START:.0f}, that of O3a)",
    )
    parser.add_argument(
        "--psds", type=storage.locate, metavar="DIR",
        help="for data sets 2 and 3: measured noise curves, in a folder for each of H1 and L1 (default: none)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=SEED, help=f"seed of noise and signals (default: {SEED})")


def _search_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", type=storage.locate, help="file of strain, as foreground.hdf or background.hdf")
    parser.add_argument("output", type=storage.locate, help="file of events to write, .hdf")
    parser.add_argument(
        "--model", type=locate_model, required=True,
        help="model.pt, or the directory of its training or run (required)",
    )  # fmt: skip
    parser.add_argument(
        "--var", type=float, default=VAR, help=f"time from an event within which its merger lies, s (default: {VAR})"
    )
    for name, default in (("integration", "1, or a stride of windows for matched filters"), ("cluster", "8")):
        parser.add_argument(f"--{name}-window-length", type=float, help=f"s (default: {default})")
    parser.add_argument(
        "--precision", choices=choices_of("inference", "precision"), default=AUTO,
        help="in which the network computes (default: auto: bfloat16 if the device has instructions for it, else "
        "float32)",
    )  # fmt: skip
    parser.add_argument(
        "--gpus", default="", help="GPUs, as in CUDA_VISIBLE_DEVICES, of which a free one is taken (default: the CPU)"
    )


def _score_options(parser: argparse.ArgumentParser) -> None:
    for name, text in (
        ("foreground", "events in the noise with signals"),
        ("background", "events in the noise without signals"),
        ("foreground-strain", "strain with signals: its segments are the time that was searched"),
    ):
        parser.add_argument(
            f"--{name}", type=storage.locate, nargs="+", required=True, metavar="FILE", help=f"{text} (required)"
        )
    parser.add_argument(
        "--injections", type=storage.locate, required=True, metavar="FILE", help="list of the signals (required)"
    )
    parser.add_argument(
        "--output", type=storage.locate, metavar="FILE", help="table to write, .csv or .hdf (default: none)"
    )
    parser.add_argument("--seed", type=int, default=SEED, help=f"seed of the intervals' draws (default: {SEED})")


def run(options: argparse.Namespace) -> None:
    """Make data, search them, or score a search."""
    {"generate": _generate, "search": _search, "score": _score}[options.step](options)


def _generate(options: argparse.Namespace) -> None:
    from aframe.challenge.data_sets import data_set
    from aframe.challenge.generate import FILES, Recipe, generate, noise_curves, plan_segments
    from aframe.steps.devices import use_one_thread

    use_one_thread()
    existing = [name for name in FILES.values() if storage.exists(storage.join(options.directory, name))]
    if existing:
        raise ConfigurationError(f"{options.directory} already has {', '.join(existing)}: give another directory")
    if options.seed < 0:
        raise ConfigurationError(f"--seed {options.seed}: give a whole number from 0 on")
    chosen = data_set(options.data_set)
    segments = plan_segments(options.start, options.duration, options.segments)
    recipe = Recipe(chosen, segments, noise_curves(chosen, options.psds), options.seed)
    storage.sweep(options.directory)
    progress = Progress(f"strain of data set {chosen.number}", " s")
    for path in generate(recipe, options.directory, progress).values():
        print(path)


def _search(options: argparse.Namespace) -> None:
    from aframe.challenge.events import Events, write_events
    from aframe.challenge.search import search_segments
    from aframe.challenge.strain_files import read_segments
    from aframe.events.cluster import Clustering
    from aframe.inference.adaptation import adapted
    from aframe.inference.recorded import recordings_of
    from aframe.inference.scorers import TorchScorer
    from aframe.machine.precision import DTYPES, check_supported, resolve
    from aframe.steps.devices import use_one_gpu
    from aframe.train.model import load

    _check_output(options.output, HDF5_SUFFIXES)
    for name in ("var", "integration_window_length", "cluster_window_length"):
        value = getattr(options, name)
        if value is not None and not 0 < value < math.inf:
            raise ConfigurationError(f"--{name.replace('_', '-')} {value} s must be positive and finite")
    device = use_one_gpu(options.gpus)
    precision = resolve(options.precision, device)
    check_supported("--precision", precision, DTYPES[precision], device)
    segments = read_segments([options.input])
    duration = sum(segment.duration for segment in segments)
    model = load(options.model)
    rate = model.preprocessing.inference_sampling_rate
    lengths = (
        options.integration_window_length or (1 / rate if model.network.is_brief else 1.0),
        options.cluster_window_length or CLUSTER_WINDOW_LENGTH,
    )
    recordings = recordings_of([options.input], model.preprocessing.ifos, tell=_note)
    scorer = TorchScorer(adapted(model, recordings), DTYPES[precision], device)
    clustering = Clustering(rate, *lengths, model.preprocessing.coalescence_offset)
    table = search_segments(scorer, recordings, segments, clustering, Progress("strain searched", " s"))
    time, stat = table["detection_time"], table["detection_statistic"]
    made_with = {
        "model": str(options.model), "strain": options.input, "inference.precision": precision,
        "integration_window_length": lengths[0], "cluster_window_length": lengths[1], "var": options.var,
    }  # fmt: skip
    write_events(options.output, Events(time, stat, 0 * time + options.var, duration), made_with)
    print(f"{len(time)} events in {table.livetime:.0f} s searched of {duration:.0f} s: {options.output}")


def _score(options: argparse.Namespace) -> None:
    import numpy as np

    from aframe.challenge.events import read_events
    from aframe.challenge.injections import read_injections
    from aframe.challenge.results import printed, write_score
    from aframe.challenge.score import rates, score, try_search
    from aframe.challenge.strain_files import read_segments

    if options.seed < 0:
        raise ConfigurationError(f"--seed {options.seed}: give a whole number from 0 on")
    if options.output:
        _check_output(options.output, (".csv", *HDF5_SUFFIXES))
    trial = try_search(
        read_events(options.foreground),
        read_events(options.background),
        read_injections(options.injections),
        read_segments(options.foreground_strain),
        ", ".join(options.foreground_strain),
    )
    result = score(trial, rates(trial), np.random.default_rng(options.seed))
    print(printed(trial, result))
    if options.output:
        names = ("foreground", "background", "foreground_strain", "injections", "seed")
        write_score(options.output, trial, result, {name: getattr(options, name) for name in names})
        print(options.output)


def _check_output(path: str, suffixes: Sequence[str]) -> None:
    """Refuse an output that exists, has another suffix, or cannot be written.

    Args:
        path: Path of the output.
        suffixes: Suffixes that it may have.

    Raises:
        ConfigurationError: With the path.
        StorageError: If a store does not take it.
    """
    if not storage.has_suffix(path, tuple(suffixes)):
        raise ConfigurationError(f"{path}: give a name that ends in {', '.join(suffixes)}")
    if storage.exists(path):
        raise ConfigurationError(f"{path} exists already: give another name, or delete it")
    if storage.is_remote(path):
        storage.try_to_write(path)
        return
    reason = storage.why_not_written(Path(path).absolute().parent)
    if reason:
        raise ConfigurationError(f"{path} cannot be written ({reason}): choose another place")


def _note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)
