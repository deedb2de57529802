"""The whole search, from data to report."""

import sys

import law

from aframe.errors import AframeError
from aframe.tasks.base import AframeTask, current_run
from aframe.tasks.report import Report


class Sandbox(AframeTask, law.WrapperTask):
    """Make data, train, export, infer, and estimate the sensitive volume.

    Everything but the GPUs stands in the ``.cfg`` that LAW_CONFIG_FILE names; ``aframe init`` writes one, with the unit
    of every key.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        try:
            current_run().check()
        except AframeError as error:
            sys.exit(f"error: {error}")

    def requires(self) -> dict[str, AframeTask]:
        """The report, which needs all else."""
        return {"report": Report.req(self)}

    def complete(self) -> bool:
        """Complete when the report is."""
        return Report.req(self).complete()
