"""Task that builds the report."""

from aframe.steps.answers import build_report
from aframe.tasks.base import AframeTask, DerivedTask
from aframe.tasks.export import Export
from aframe.tasks.sensitivity import SensitiveVolume


class Report(DerivedTask):
    """One HTML page with all results of the run, and figures for papers."""

    def requires(self) -> dict[str, AframeTask]:
        """Sensitive volume and candidates, and the exported model if there is to be one."""
        exported = {"repository": Export.req(self)} if self.artifacts.config.export.served else {}
        return {"answers": SensitiveVolume.req(self), **exported}

    def run(self) -> None:
        """Build the report."""
        build_report(self.artifacts)
