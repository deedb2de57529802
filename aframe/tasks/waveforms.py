"""Signals to train with, to validate with, and to inject."""

import law

from aframe import planning, steps
from aframe.storage import Parameters
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

    @property
    def made_with(self) -> Parameters:
        """Parameters of the training polarizations."""
        return self.artifacts.made_training_waveforms

    def output(self) -> dict[str, Output]:
        """The table."""
        return {"waveforms": Output(self.artifacts.training_waveforms)}

    def run(self) -> None:
        """Generate them."""
        steps.generate_training_waveforms(self.artifacts, self.progress)


class GenerateValidationWaveforms(SingleTask):
    """Detector responses to validate with."""

    @property
    def made_with(self) -> Parameters:
        """Parameters of the validation responses."""
        return self.artifacts.made_validation_waveforms

    def workflow_requires(self) -> dict[str, AframeTask]:
        """Training strain."""
        return {**super().workflow_requires(), "strain": FetchStrain.req(self, stage="train", branch=-1)}

    def requires(self) -> dict[str, AframeTask]:
        """Training strain, whose PSD decides which signals are loud enough."""
        return {"strain": FetchStrain.req(self, stage="train", branch=-1)}

    def output(self) -> dict[str, Output]:
        """The table."""
        return {"waveforms": Output(self.artifacts.validation_waveforms)}

    def run(self) -> None:
        """Generate them."""
        steps.generate_validation_waveforms(self.artifacts, self.progress)


class InjectionTask(AframeTask):
    """A task that makes testing injections."""

    @property
    def made_with(self) -> Parameters:
        """Parameters of the injections."""
        return self.artifacts.made_injections


class GenerateInjections(InjectionTask, Workflow):
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
        steps.generate_injections(self.artifacts, self.branch_data, self.progress)


class MergeInjections(InjectionTask):
    """All testing injections in one table, and all rejected draws in another."""

    def requires(self) -> dict[str, AframeTask]:
        """The parts."""
        return {"parts": GenerateInjections.req(self, branch=-1)}

    def output(self) -> dict[str, Output]:
        """The tables."""
        return {"rejected": Output(self.artifacts.rejected), "injections": Output(self.artifacts.injections)}

    def run(self) -> None:
        """Merge, then delete the parts."""
        steps.merge_injections(self.artifacts)
