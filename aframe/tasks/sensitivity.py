"""The answers: sensitive volume and candidates."""

from aframe import steps
from aframe.storage import Parameters
from aframe.tasks.base import AframeTask, DerivedTask, Output
from aframe.tasks.inference import MergeEvents


class AnswerTask(DerivedTask):
    """A task that depends on all parameters of the run."""

    @property
    def made_with(self) -> Parameters:
        """Parameters of the answers."""
        return self.artifacts.made_answers


class VetoEvents(DerivedTask):
    """All events outside vetoed time."""

    @property
    def made_with(self) -> Parameters:
        """Parameters of the events, and of the vetoes."""
        return self.artifacts.made_clean

    def requires(self) -> dict[str, AframeTask]:
        """All events."""
        return {"events": MergeEvents.req(self)}

    def output(self) -> dict[str, Output]:
        """One table of each kind, the live time that is left, and the unshifted events that are vetoed."""
        kinds = ("background", "foreground", "0lag", "live", "vetoed")
        return {kind: Output(self.artifacts.clean(kind)) for kind in kinds}

    def run(self) -> None:
        """Take the others away."""
        steps.veto_events(self.artifacts)


class SensitiveVolume(AnswerTask):
    """Sensitive volume against false alarm rate, and the candidates."""

    def requires(self) -> dict[str, AframeTask]:
        """All events, or those outside vetoed time."""
        return {"events": (VetoEvents if self.artifacts.config.vetoes.given else MergeEvents).req(self)}

    def output(self) -> dict[str, Output]:
        """Table and figures of the volume, table of the candidates, and what the loudest look like."""
        return {
            "table": Output(self.artifacts.plot("sensitive_volume.h5")),
            "figures": Output(self.artifacts.plot("sensitive_volume.html")),
            "candidates": Output(self.artifacts.result("candidates.hdf5")),
            "closeups": Output(self.artifacts.result("closeups.hdf5")),
        }

    def run(self) -> None:
        """Estimate and rank."""
        steps.estimate_sensitivity(self.artifacts)
