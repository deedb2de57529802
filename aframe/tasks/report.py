"""The report."""

from aframe import steps
from aframe.tasks.base import AframeTask, Output
from aframe.tasks.export import Export
from aframe.tasks.sensitivity import AnswerTask, SensitiveVolume


class Report(AnswerTask):
    """One HTML page with everything that the run found, and its figures for papers."""

    def requires(self) -> dict[str, AframeTask]:
        """The answers, and the exported model."""
        return {"answers": SensitiveVolume.req(self), "repository": Export.req(self)}

    def output(self) -> dict[str, Output]:
        """The page."""
        return {"report": Output(self.artifacts.result("report.html"))}

    def run(self) -> None:
        """Build it."""
        steps.build_report(self.artifacts)
