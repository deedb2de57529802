"""The whole search, from data to report."""

import atexit
import functools
import multiprocessing
import os
import sys

import law

from aframe import activity, overview, storage
from aframe.errors import AframeError
from aframe.leases import claim
from aframe.preflight import checked_run
from aframe.tasks.base import AframeTask, configuration_path, start_manager
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
    except AframeError as error:
        if os.environ.get("AFRAME_DEBUG"):
            raise
        sys.exit(error.told)
    activity.begin(run.activity(overview.RUN), overview.RUN)
    atexit.register(activity.end, run.activity(overview.RUN), is_kept=True)
    start_manager()
    atexit.register(_print_report, run.result("report.html"))


def _print_report(path: str) -> None:
    if storage.exists(path):
        print(f"report: {path}", flush=True)
