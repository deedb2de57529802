"""What each ``aframe`` command does with its parsed options."""

import argparse
import json
import os
import re
import sys
from dataclasses import asdict, fields
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from aframe import config, storage
from aframe.cli import run_of
from aframe.errors import AframeError, ConfigurationError
from aframe.processes import cores
from aframe.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aframe.inference.recorded import Span
    from aframe.tables import EventTable

CONFIGURATIONS = {"demo": ("demo.cfg", "demo.yaml"), "bbh": ("sandbox.cfg", "bbh.yaml")}

SPANS_TOLD = 20
"""Stretches that are printed of those searched, and of those not searched."""

RUN_SCRIPT = """#!/usr/bin/env bash
# Runs the whole pipeline, and resumes it where it was interrupted. Options go to law: --gpus 0,1 --workers 5
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
set -a
. "$here/.env"
set +a
export LAW_CONFIG_FILE="$here/sandbox.cfg"
exec law run aframe.pipelines.sandbox.Sandbox "$@"
"""


def init(options: argparse.Namespace) -> None:
    """Write a run's four files into a directory that has none of them yet."""
    if storage.is_remote(options.directory):
        raise ConfigurationError(
            f"{options.directory}: a run's configuration lies in a local directory; its data and results go to s3:// "
            "where the .env file there says so"
        )
    directory = Path(options.directory).absolute()
    configuration, training = CONFIGURATIONS[options.config]
    package = resources.files("aframe") / "pipelines" / "sandbox"
    environment = "".join(
        f'AFRAME_{name.upper()}_DIR="{directory / name}"\n'
        for name in ("train_data", "test_data", "train_run", "condor", "results")
    )
    texts = {
        "sandbox.cfg": (package / configuration).read_text(encoding="utf-8"),
        "train.yaml": (package / training).read_text(encoding="utf-8"),
        ".env": f"# Each may be a local directory or s3://bucket/prefix\n{environment}"
        f'LAW_HOME="{directory / ".law"}"\n',
        "run.sh": RUN_SCRIPT,
    }
    there = [name for name in texts if (directory / name).exists()]
    if there:
        raise ConfigurationError(f"{directory} already has {', '.join(there)}: choose another directory, or edit these")
    for change in options.changes:
        _change(texts, change)
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8")
    (directory / "run.sh").chmod(0o755)
    print(f"wrote {', '.join(texts)} in {directory}; next: aframe run {options.directory}")


def _change(texts: dict[str, str], change: str) -> None:
    """Set the value of one key in the texts; a key of the .cfg that they leave out is added."""
    key, equals, value = change.partition("=")
    section, dot, name = key.partition(".")
    if not (equals and dot):
        raise ConfigurationError(f"--set {change}: give SECTION.KEY=VALUE, as in inference.Tb=86400")
    if section == "train":
        file, separator = "train.yaml", ":"
        name = name.rpartition(".")[2]
        pattern = rf"^(\s*){re.escape(name)}:\s*[^#\n]*?(\s*(#.*)?)$"
        head, body, tail = "", texts[file], ""
    else:
        file, separator = "sandbox.cfg", " ="
        problem = config.unknown(section, name)
        if problem:
            raise ConfigurationError(f"--set {change}: {problem}")
        heading = f"[luigi_{section}]\n"
        if heading not in texts[file]:
            texts[file] += f"\n{heading}"
        head, _, rest = texts[file].partition(heading)
        body, following, tail = rest.partition("\n[")
        head, tail = head + heading, following + tail
        pattern = rf"^(){re.escape(name)}\s*=[^#\n]*?(\s*(#.*)?)$"
        if not re.search(pattern, body, flags=re.MULTILINE):
            body = f"{name} = {value}\n{body}"
    body, count = re.subn(pattern, lambda m: f"{m[1]}{name}{separator} {value}{m[2]}", body, flags=re.MULTILINE)
    if count != 1:
        raise ConfigurationError(f"--set {change}: {file} has no key {name!r} there; see the keys it has")
    texts[file] = head + body + tail


def run(options: argparse.Namespace) -> None:
    """Start the run's ``run.sh``."""
    script = Path(options.directory).absolute() / "run.sh"
    if not script.exists():
        raise ConfigurationError(
            f"{script} does not exist: write the run's files with `aframe init {options.directory}`"
        )
    config.load(str(script.parent / "sandbox.cfg"))
    binaries = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}"}
    if options.debug:
        environment["AFRAME_DEBUG"] = "1"
    sys.stdout.flush()
    workers = options.workers or cores()
    command = ["bash", str(script), "--gpus", options.gpus, "--workers", str(workers)]
    os.execvpe(command[0], command, environment)  # so that whoever kills this process kills the run


def _load_environment(directory: str) -> str:
    """Set what the run's ``.env`` sets; path of its configuration."""
    path = Path(directory).absolute()
    for line in storage.read_text(str(path / ".env")).splitlines():
        name, equals, value = line.partition("=")
        if equals and not name.startswith("#"):
            os.environ[name.strip()] = value.strip().strip('"')
    return str(path / "sandbox.cfg")


def status(options: argparse.Namespace) -> None:
    """Print which artifacts of a run exist."""
    run = run_of(_load_environment(options.directory), check=False)
    parts = {
        "training strain": run.segments("train"),
        "training waveforms": run.training_waveforms,
        "validation waveforms": run.validation_waveforms,
        "testing strain": run.segments("test"),
        "testing injections": run.injections,
        "trained model": run.model,
        "exported model": run.served_model,
        "background events": run.events("background"),
        "recovered injections": run.events("foreground"),
        "zero-lag events": run.events("0lag"),
        "sensitive volume": run.plot("sensitive_volume.h5"),
        "report": run.result("report.html"),
    }
    for name, path in parts.items():
        print(f"{'done ' if storage.exists(path) else 'to do'}  {name:22} {path}")


def data(options: argparse.Namespace) -> None:
    """Find segments and make strain."""
    from aframe import steps

    steps.use_one_thread()
    run = run_of(options.cfg)
    for stage in options.stage or ["train", "test"]:
        steps.find_segments(run, stage)
        segments = steps.segments_of(run, stage)
        progress = Progress(f"{stage}ing strain, segments")
        for number, segment in enumerate(segments, start=1):
            steps.fetch_strain(run, stage, segment)
            progress(number, len(segments))
        print(f"{len(segments)} segments in {run.data_directory(stage)}")


def waveforms(options: argparse.Namespace) -> None:
    """Make signals."""
    from aframe import planning, steps

    steps.use_one_thread()
    run = run_of(options.cfg)
    for stage in options.stage or ["train", "validation", "test"]:
        if stage == "train":
            steps.generate_training_waveforms(run, Progress("training waveforms"))
            print(run.training_waveforms)
        elif stage == "validation":
            steps.generate_validation_waveforms(run, Progress("validation waveforms"))
            print(run.validation_waveforms)
        else:
            for batch in planning.plan_injections(run):
                steps.generate_injections(run, batch, Progress(f"injections of segment {batch.segment}"))
            steps.merge_injections(run)
            print(run.injections)


def train(options: "Sequence[str]") -> None:
    """Run a training command of Lightning's, and draw what came of it."""
    from aframe.train.cli import main

    main(options)
    directory, is_first = os.environ.get("AFRAME_TRAIN_RUN_DIR"), os.environ.get("LOCAL_RANK", "0") == "0"
    if "fit" in options and directory and is_first:
        from aframe.report.training import draw_training

        print(f"Train: curves and examples: {', '.join(draw_training(directory))}", flush=True)


def export(options: argparse.Namespace) -> None:
    """Export a model."""
    from aframe.export.configuration import CONFIGURATION_KEYS, ServingOptions
    from aframe.export.repository import publish
    from aframe.train.model import load

    serving = ServingOptions(**{field.name: getattr(options, field.name) for field in fields(ServingOptions)})
    model = load(options.model)
    own = {f"export.{CONFIGURATION_KEYS.get(name, name)}": value for name, value in asdict(serving).items()}
    made_with = (storage.made_with(options.model) or {}) | own
    for path in publish(model, storage.sha256(options.model), options.repository, serving, made_with).values():
        print(path)


def serve(options: argparse.Namespace) -> None:
    """Run a Triton server."""
    from aframe.processes import is_alive
    from aframe.serving.launch import IMAGE, Endpoint, Launch
    from aframe.serving.server import serve as run_server

    if not storage.exists(options.repository):
        raise ConfigurationError(f"{options.repository} does not exist: `aframe export` makes a repository")
    endpoint = Endpoint(options.host, options.grpc_port, options.http_port, options.metrics_port)
    launcher = getattr(options, "with")
    launch = Launch(options.repository, launcher, options.image or IMAGE, options.gpus, options.engine_cache, endpoint)
    record = Path(options.record) if options.record else None

    def tell(text: str) -> None:
        if text != endpoint.address:
            print(text, file=sys.stderr, flush=True)
            return
        print(f"ready: {options.repository} is served at {text}", flush=True)
        if record is not None:
            content = {"address": text, "pid": os.getpid(), "owner": options.owner}
            storage.write_text(str(record), json.dumps(content))

    beside = "." if storage.is_remote(options.repository) else Path(options.repository).absolute().parent
    log = options.log or f"{beside}/tritonserver.log"
    try:
        run_server(launch, log, options.patience, tell, lambda: bool(options.owner) and not is_alive(options.owner))
    finally:
        if record is not None:
            record.unlink(missing_ok=True)


def infer(options: argparse.Namespace) -> None:
    """Apply a model to files, or score a run's slides."""
    from aframe import steps

    device = steps.use_one_gpu(options.gpus)
    if not options.strain:
        _infer_run(options.cfg, device)
        return
    from aframe.events.cluster import Clustering
    from aframe.events.significance import Background
    from aframe.inference.recorded import expand, search_recorded
    from aframe.train.model import load

    if not options.model:
        raise ConfigurationError("aframe infer --strain needs --model model.pt")
    if options.output and not options.output.endswith((".hdf5", ".h5")):
        raise ConfigurationError(f"--output {options.output} is no HDF5 file: give a name that ends in .hdf5")
    model, paths = load(options.model), expand(options.strain)
    background = Background.read(options.background) if options.background else None
    preprocessing = model.preprocessing
    clustering = Clustering(
        preprocessing.inference_sampling_rate, *_window_lengths(options), preprocessing.coalescence_offset
    )
    found = search_recorded(model, paths, clustering, device, Progress("strain searched", " s"))
    if background is not None:
        found.events.parameters["far_per_year"] = background.far_per_year(found.events["detection_statistic"])
        is_limit = background.is_upper_limit(found.events["detection_statistic"])
        found.events.parameters["far_is_upper_limit"] = is_limit
    _print_spans(found.spans)
    _print_candidates(found.events, options.top)
    if options.output:
        found.events.write(options.output, {"model": str(options.model), "strain": paths})
        print(f"events: {options.output}")


def _window_lengths(options: argparse.Namespace) -> tuple[float, float]:
    """Integration and cluster windows, which must be those of the background that events are compared with.

    Raises:
        ConfigurationError: If the background is another model's, or was made with other windows.
    """
    made = storage.made_with(options.background) or {} if options.background else {}
    trained = storage.made_with(options.model) or {} if made else {}
    for key, value in trained.items():
        if key in made and made[key] != value:
            raise ConfigurationError(
                f"{options.background} was made by another model ({key} = {made[key]!r}, this one has {value!r}): "
                "give the background of this model's run"
            )
    lengths = []
    for name, default in (("integration_window_length", 1.0), ("cluster_window_length", 8.0)):
        known, asked = made.get(f"inference.{name}"), getattr(options, name)
        if known is not None and asked not in (None, known):
            raise ConfigurationError(f"{options.background} was made with {name} = {known} s: leave {asked} out")
        lengths.append(asked or known or default)
        if lengths[-1] <= 0:
            raise ConfigurationError(f"{name} = {lengths[-1]} s must be positive")
    return lengths[0], lengths[1]


def _print_spans(spans: "Sequence[Span]") -> None:
    """Which stretches were searched and which not, as many as can be read."""
    from aframe.strain.recordings import format_gps

    for name, chosen in (
        ("searched", [span for span in spans if not span.reason]),
        ("not searched", [span for span in spans if span.reason]),
    ):
        if not chosen:
            continue
        length, count = sum(span.stop - span.start for span in chosen), len(chosen)
        print(f"{name}: {length:.0f} s in {count} stretch{'es' if count > 1 else ''} (GPS s)")
        for span in chosen[:SPANS_TOLD]:
            told = [f"{span.stop - span.start:.6g} s", *([span.reason] if span.reason else [])]
            print(f"  {format_gps(span.start)} to {format_gps(span.stop)} ({', '.join(told)})")
        if len(chosen) > SPANS_TOLD:
            print(f"  and {len(chosen) - SPANS_TOLD} more")


def _print_candidates(events: "EventTable", number: int) -> None:
    from aframe.events.candidates import utc

    is_rated = "far_per_year" in events.parameters
    print(f"{len(events)} events; loudest first")
    print(f"{'UTC':25}{'GPS (s)':18}{'statistic':>10}{'  FAR (per year)' if is_rated else ''}")
    for row in range(min(number, len(events))):
        time, statistic = events["detection_time"][row], events["detection_statistic"][row]
        rate = ""
        if is_rated:
            sign = "< " if events["far_is_upper_limit"][row] else ""
            rate = f"{sign + format(events['far_per_year'][row], '.3g'):>16}"
        print(f"{utc(time):25}{time:<18.3f}{statistic:10.3f}{rate}")
    if is_rated and events["far_is_upper_limit"][:number].any():
        print("<: no background event is as loud, so that the rate is at most one per time of background")


def _infer_run(configuration: str, device: str) -> None:
    from aframe import engines, planning, steps

    steps.use_one_thread()
    run = run_of(configuration)
    units = planning.plan_units(run)
    ledger = planning.ledger(run)
    for number, unit in enumerate(units):
        if not ledger.was_done(number):
            address = engines.server_address(run, os.getpid(), os.environ["CUDA_VISIBLE_DEVICES"])
            steps.score_unit(run, unit, device, address, ledger.job(number, f"unit {number + 1}/{len(units)}"))
    engines.stop_server(run)
    steps.merge_events(run)
    print(run.events("background"))


def plot(options: argparse.Namespace) -> None:
    """Write a page of one stretch of a run's data."""
    from aframe import steps
    from aframe.report.stretch_page import stretch_html

    if options.duration <= 0 or options.slide < 0:
        raise ConfigurationError(f"--duration {options.duration} must be positive, --slide {options.slide} from 0 on")
    run = run_of(_load_environment(options.directory))
    span = options.time - options.duration / 2, options.time + options.duration / 2
    shown = steps.look_at(run, options.slide, span, options.injections)
    title = f"Slide {options.slide} at GPS {options.time:.3f}"
    storage.write_text(options.output, stretch_html(shown, title))
    print(f"{title}: {options.output}")


def sensitivity(options: argparse.Namespace) -> None:
    """Rank candidates and estimate the sensitive volume."""
    from aframe import steps

    steps.use_one_thread()
    run = run_of(options.cfg)
    if run.config.vetoes.given:
        steps.veto_events(run)
    steps.estimate_sensitivity(run)
    print(run.plot("sensitive_volume.html"))


def report(options: argparse.Namespace) -> None:
    """Build a run's report anew."""
    from aframe import steps

    run = run_of(_load_environment(options.directory))
    if not Path(options.directory).is_dir():
        raise AframeError(f"{options.directory} is no directory: give a run's directory")
    steps.build_report(run)
    print(f"report: {run.result('report.html')}")
