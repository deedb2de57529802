"""The report."""

from aframe.steps.answers import build_report
from aframe.tasks.base import AframeTask, DerivedTask
from aframe.tasks.export import Export
from aframe.tasks.sensitivity import SensitiveVolume


class Report(DerivedTask):
    """One HTML page with everything that the run found, and its figures for papers."""

    def requires(self) -> dict[str, AframeTask]:
        """The answers, and the exported model."""
        return {"answers": SensitiveVolume.req(self), "repository": Export.req(self)}

    def run(self) -> None:
        """Build it."""
        build_report(self.artifacts)
