"""Pipeline of the whole search, from data to report."""

import atexit
import functools
import multiprocessing
import os
import shlex
import signal
import sys
from datetime import UTC, datetime

import law

from aframe import __version__, storage
from aframe.checks.run import checked_run
from aframe.errors import AframeError
from aframe.machine import console
from aframe.machine.processes import this_machine
from aframe.progress import activity
from aframe.runs.artifacts import Artifacts
from aframe.runs.stages import is_finished
from aframe.steps import overview
from aframe.steps.engines import settle_precisions
from aframe.storage.leases import claim
from aframe.tasks.base import AframeTask, configuration_path
from aframe.tasks.law_internals import interrupt, start_manager
from aframe.tasks.law_start import tell_interruption
from aframe.tasks.report import Report


class Sandbox(AframeTask, law.WrapperTask):
    """Prepare data, train, export, infer, and estimate the sensitive volume.

    The ``.cfg`` in LAW_CONFIG_FILE has all settings except the GPUs. ``aframe init`` writes such a file, with the unit
    of every key.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        if multiprocessing.parent_process() is None:
            begin(str(self.gpus))

    def requires(self) -> dict[str, AframeTask]:
        """The report. It requires all other tasks."""
        return {"report": Report.req(self)}

    def complete(self) -> bool:
        """Whether the report is complete."""
        return Report.req(self).complete()


@functools.cache
def begin(gpus: str) -> None:
    """Start a run: check it, claim its directories, start its log, and print the path of the report at the end.

    If the run has a mistake, this process exits.

    Args:
        gpus: GPUs, as in CUDA_VISIBLE_DEVICES; empty for the CPU.
    """
    try:
        run = checked_run(configuration_path(), gpus=gpus)
        paths = run.directories
        directories = (paths.train_data, paths.test_data, paths.train_run, paths.results)
        claim(directories)
        for directory in directories:
            storage.sweep(directory)
        has_finished = is_finished(run)
        precisions = "" if has_finished else settle_precisions(run, gpus)
    except AframeError as error:
        if os.environ.get("AFRAME_DEBUG"):
            raise
        sys.exit(error.description)
    if not os.environ.get("AFRAME_DEBUG"):
        sys.excepthook = tell_interruption
        signal.signal(signal.SIGINT, functools.partial(interrupt, os.getpid()))
    if not has_finished:  # a complete run does nothing and writes nothing
        keep_log(run)
        storage.remove(run.activities)  # activities of earlier runs
        activity.begin(run.activity(overview.RUN), overview.RUN)
        atexit.register(activity.end, run.activity(overview.RUN), is_kept=True)
        if precisions:
            print(f"Precision: {precisions}", flush=True)
    start_manager()
    atexit.register(_print_report, run)


def keep_log(run: Artifacts) -> None:
    """Write all output of this run to a new log in ``logs``, beside its configuration."""
    path = run.config.path.parent / "logs" / f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}.log"
    try:
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8") as log:
            log.write(f"aframe {__version__} on {this_machine().split()[0]}: law {shlex.join(sys.argv[1:])}\n")
    except OSError as error:
        print(f"note: this run keeps no log: {path} cannot be written ({error.strerror})", file=sys.stderr)
        return
    os.environ[activity.LOG] = str(path)
    console.start(str(path))
    atexit.register(console.stop)


def _print_report(run: Artifacts) -> None:
    """Print the path of the report if the run is complete."""
    if is_finished(run):
        print(f"report: {run.result('report.html')}", flush=True)
