"""``aframe online``: search strain as it arrives, and issue events."""

import argparse
import contextlib
import json
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from aframe import storage
from aframe.commands.runs import add_cfg, locate_model, run_of
from aframe.errors import ConfigurationError

if TYPE_CHECKING:
    from aframe.online.issue import Classes
    from aframe.runs.artifacts import Artifacts

LIVE, REPLAYED = "online", "online-replay"
"""Output directories beside the .cfg, of a search of what arrives and of a replay."""

LARGEST_PORT = 65535
"""Largest number of a TCP port."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("step", nargs="?", choices=("status",), help="status: tell how the search is (default: search)")
    parser.add_argument(
        "place", nargs="?", type=storage.locate, help="of status: the .cfg, or the output directory (default: --cfg)"
    )
    add_cfg(parser)
    parser.add_argument(
        "--model", type=locate_model, help="model.pt, or the directory of its training or run (default: the run's)"
    )
    parser.add_argument(
        "--replay", type=storage.locate, nargs="+", default=[], metavar="PATH",
        help="HDF5 or GWF files, directories or patterns, whose strain is searched as if it arrived now (default: the "
        "source in the .cfg)",
    )  # fmt: skip
    parser.add_argument(
        "--speed", type=float, default=1.0,
        help="of a replay, in s of strain per second; 0: as fast as it is searched (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--background", type=storage.locate,
        help="background.hdf5 that gives false alarm rates until the search has its own (default: the run's, if it is "
        "there)",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=storage.locate, metavar="DIR",
        help="directory of events and state (default: output in the .cfg, else online beside it, online-replay of a "
        "replay)",
    )  # fmt: skip
    parser.add_argument(
        "--metrics-port", type=int, metavar="N",
        help="port of Prometheus metrics on this machine; 0: none (default: metrics_port in the .cfg)",
    )  # fmt: skip
    parser.add_argument(
        "--json", action="store_true", help="with status: print all that is known as JSON (default: a text)"
    )
    parser.add_argument(
        "--gpus", default="", help="GPUs, as in CUDA_VISIBLE_DEVICES, of which a free one is taken (default: the CPU)"
    )


def run(options: argparse.Namespace) -> None:
    """Search until SIGTERM or the end of a replay, or tell how a search is."""
    if options.step == "status":
        _status(options)
        return
    from aframe.online.metrics import MetricsServer
    from aframe.online.page_process import PageWriter, start_page_process
    from aframe.online.rotating_log import start_log, stop_log
    from aframe.settings.read import load_config
    from aframe.steps.devices import use_one_gpu, use_one_thread
    from aframe.steps.online import Order, launch

    _check(options)
    run = None if options.model else run_of(options.cfg, check=False)
    config = load_config(_cfg(options)) if run is None else run.config
    use_one_thread()
    output = _output(options)
    background = options.background or (run.events("background") if run is not None else "")
    bank = run.bank if run is not None else ""
    order = Order(
        config=config,
        model=options.model or (run.model if run is not None else ""),
        background=background if options.background or (background and storage.exists(background)) else "",
        bank=bank if bank and storage.exists(bank) else "",
        output=output,
        replay=tuple(options.replay),
        speed=options.speed,
        device=use_one_gpu(options.gpus),
        classes=_classes(run) if run is not None else None,
        search=config.search if run is not None else None,
    )
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    start_log(output)
    port = config.online.metrics_port if options.metrics_port is None else options.metrics_port
    with contextlib.ExitStack() as stack:
        stack.callback(stop_log)
        service = launch(order)
        watch, clustering = service.parts.watch, service.parts.tracker.clustering
        if port:
            stack.callback(MetricsServer(port, lambda: watch.health).close)
        if config.online.page:
            stack.callback(start_page_process(PageWriter(output, order.model, clustering)).terminate)
        print(f"events: {storage.join(output, 'events')}", flush=True)
        service.run(stopped.is_set)
        if config.online.page and service.parts.source.is_over:
            PageWriter(output, order.model, clustering).write()


def _check(options: argparse.Namespace) -> None:
    """Refuse numbers that mean nothing.

    Raises:
        ConfigurationError: With the option.
    """
    if not 0 <= options.speed < float("inf"):
        raise ConfigurationError(f"--speed {options.speed:g}: give a number from 0 on")
    if options.speed != 1.0 and not options.replay:
        raise ConfigurationError("--speed goes with --replay: strain that arrives has its own speed")
    if options.metrics_port is not None and not 0 <= options.metrics_port <= LARGEST_PORT:
        raise ConfigurationError(f"--metrics-port {options.metrics_port}: give a number from 0 to {LARGEST_PORT}")
    if options.place:
        raise ConfigurationError(f"{options.place} goes with status: aframe online status {options.place}")
    if options.output and storage.is_remote(options.output):
        raise ConfigurationError(f"--output {options.output}: events are kept on a local disk: give a local directory")


def _cfg(options: argparse.Namespace) -> str:
    """Path of the .cfg.

    Raises:
        ConfigurationError: If neither an option nor LAW_CONFIG_FILE names one.
    """
    path = options.cfg or os.environ.get("LAW_CONFIG_FILE")
    if not path:
        raise ConfigurationError("which run? give --cfg FILE, or set LAW_CONFIG_FILE to the run's .cfg")
    return str(Path(path).absolute())


def _output(options: argparse.Namespace) -> str:
    """Output directory of a search."""
    from aframe.settings.read import load_config

    if options.output:
        return str(options.output)
    config = load_config(_cfg(options))
    return config.resolve(REPLAYED if options.replay else config.online.output or LIVE)


def _classes(run: "Artifacts") -> "Classes | None":
    """Probabilities of the classes, if the run has been searched and its candidates have a p_astro."""
    from aframe.online.source_classes import SourceClasses
    from aframe.steps.answers import run_signals

    signals = run_signals(run)
    return None if signals is None else SourceClasses(signals)


def _status(options: argparse.Namespace) -> None:
    """Print how a search is."""
    from aframe.online.status import status

    place = options.place
    if place and os.path.isdir(place):
        options.output = place
    elif place:
        options.cfg = place
    found = status(_output(options))
    print(json.dumps(found.document, indent=1) if options.json else found.text)
