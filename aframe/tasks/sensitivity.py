"""Tasks that estimate the sensitive volume and rank candidates."""

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
        """Remove events in vetoed time."""
        veto_events(self.artifacts)


class SensitiveVolume(DerivedTask):
    """Sensitive volume as a function of false alarm rate, and the candidates."""

    def requires(self) -> dict[str, AframeTask]:
        """All events, or those outside vetoed time."""
        return {"events": (VetoEvents if self.artifacts.config.vetoes.given else MergeEvents).req(self)}

    def run(self) -> None:
        """Estimate the sensitive volume and rank the candidates."""
        estimate_sensitivity(self.artifacts)
