"""The answers: sensitive volume and candidates."""

from aframe.steps.answers import estimate_sensitivity
from aframe.steps.vetoes import veto_events
from aframe.tasks.base import AframeTask, DerivedTask
from aframe.tasks.inference import MergeEvents


class VetoEvents(DerivedTask):
    """All events outside vetoed time."""

    def requires(self) -> dict[str, AframeTask]:
        """All events."""
        return {"events": MergeEvents.req(self)}

    def run(self) -> None:
        """Take the others away."""
        veto_events(self.artifacts)


class SensitiveVolume(DerivedTask):
    """Sensitive volume against false alarm rate, and the candidates."""

    def requires(self) -> dict[str, AframeTask]:
        """All events, or those outside vetoed time."""
        return {"events": (VetoEvents if self.artifacts.config.vetoes.given else MergeEvents).req(self)}

    def run(self) -> None:
        """Estimate and rank."""
        estimate_sensitivity(self.artifacts)
