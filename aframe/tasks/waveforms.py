"""Signals to train with, to validate with, and to inject."""

import law

from aframe.steps import planning
from aframe.steps.waveforms import (
    generate_injections,
    generate_training_waveforms,
    generate_validation_waveforms,
    merge_injections,
)
from aframe.tasks.base import AframeTask, Output
from aframe.tasks.data import FetchStrain
from aframe.tasks.workflows import Workflow


class SingleTask(Workflow):
    """A task of one branch, as its random numbers are one sequence: at most one job."""

    def create_branch_map(self) -> dict[int, None]:
        """The branch."""
        return {0: None}

    @property
    def title(self) -> str:
        """Its name alone."""
        return type(self).__name__


class GenerateTrainingWaveforms(SingleTask):
    """Polarizations to train with."""

    def run(self) -> None:
        """Generate them."""
        generate_training_waveforms(self.artifacts, self.progress)


class GenerateValidationWaveforms(SingleTask):
    """Detector responses to validate with."""

    def workflow_requires(self) -> dict[str, AframeTask]:
        """Training strain."""
        return {**super().workflow_requires(), "strain": FetchStrain.req(self, stage="train", branch=-1)}

    def requires(self) -> dict[str, AframeTask]:
        """Training strain, whose PSD decides which signals are loud enough."""
        return {"strain": FetchStrain.req(self, stage="train", branch=-1)}

    def run(self) -> None:
        """Generate them."""
        generate_validation_waveforms(self.artifacts, self.progress)


class GenerateInjections(Workflow):
    """Injections above the SNR threshold, a branch per segment and time slide."""

    def workflow_requires(self) -> dict[str, AframeTask]:
        """Testing strain."""
        return {**super().workflow_requires(), "strain": FetchStrain.req(self, stage="test", branch=-1)}

    def requires(self) -> dict[str, AframeTask]:
        """Testing strain."""
        return {"strain": FetchStrain.req(self, stage="test", branch=-1)}

    @law.dynamic_workflow_condition
    def workflow_condition(self) -> bool:
        """Branches are known once all strain is there."""
        return FetchStrain.req(self, stage="test", branch=-1).complete()

    @workflow_condition.create_branch_map
    def create_branch_map(self) -> dict[int, planning.InjectionBatch]:
        """A branch per segment and slide."""
        return dict(enumerate(planning.plan_injections(self.artifacts)))

    @workflow_condition.output
    def output(self) -> dict[str, Output]:
        """Accepted and rejected draws."""
        batch = self.branch_data
        return {
            kind: Output(self.artifacts.injection_part(kind, batch.segment, batch.slide))
            for kind in ("rejected", "accepted")
        }

    def run(self) -> None:
        """Draw, accept and place."""
        generate_injections(self.artifacts, self.branch_data, self.progress)


class MergeInjections(AframeTask):
    """All testing injections in one table, and all rejected draws in another."""

    def requires(self) -> dict[str, AframeTask]:
        """The parts."""
        return {"parts": GenerateInjections.req(self, branch=-1)}

    def run(self) -> None:
        """Merge, then delete the parts."""
        merge_injections(self.artifacts)
