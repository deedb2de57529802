"""The whole search, from data to report."""

import atexit
import functools
import multiprocessing
import os
import shlex
import signal
import sys
from datetime import UTC, datetime
from types import TracebackType

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
from aframe.tasks.report import Report


class Sandbox(AframeTask, law.WrapperTask):
    """Make data, train, export, infer, and estimate the sensitive volume.

    Everything but the GPUs stands in the ``.cfg`` that LAW_CONFIG_FILE names; ``aframe init`` writes one, with the unit
    of every key.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        if multiprocessing.parent_process() is None:
            begin(str(self.gpus))

    def requires(self) -> dict[str, AframeTask]:
        """The report, which needs all else."""
        return {"report": Report.req(self)}

    def complete(self) -> bool:
        """Complete when the report is."""
        return Report.req(self).complete()


@functools.cache
def begin(gpus: str) -> None:
    """Refuse what cannot come to a good end, claim the run's directories, and say at the end where the report is."""
    try:
        run = checked_run(configuration_path(), gpus=gpus)
        where = run.directories
        directories = (where.train_data, where.test_data, where.train_run, where.results)
        claim(directories)
        for directory in directories:
            storage.sweep(directory)
        has_finished = is_finished(run)
        precisions = "" if has_finished else settle_precisions(run, gpus)
    except AframeError as error:
        if os.environ.get("AFRAME_DEBUG"):
            raise
        sys.exit(error.told)
    if not os.environ.get("AFRAME_DEBUG"):
        sys.excepthook = _tell_interruption
        signal.signal(signal.SIGINT, functools.partial(interrupt, os.getpid()))
    if not has_finished:  # a complete run does nothing, and leaves no trace
        keep_log(run)
        storage.remove(run.activities)  # what earlier runs failed at, or were at work on
        activity.begin(run.activity(overview.RUN), overview.RUN)
        atexit.register(activity.end, run.activity(overview.RUN), is_kept=True)
        if precisions:
            print(f"Precision: {precisions}", flush=True)
    start_manager()
    atexit.register(_print_report, run)


def keep_log(run: Artifacts) -> None:
    """Have all that this run prints kept in a log of its own, in ``logs`` beside its configuration."""
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


def _tell_interruption(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Ctrl-C in one line, where luigi and law let it through; all else as Python shows it."""
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted: run the same command again to resume", file=sys.stderr, flush=True)
    else:
        sys.__excepthook__(kind, error, traceback)


def _print_report(run: Artifacts) -> None:
    if is_finished(run):
        print(f"report: {run.result('report.html')}", flush=True)
