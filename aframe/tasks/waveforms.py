"""Tasks that generate signals for training, validation and injections."""

import law

from aframe.steps import planning
from aframe.steps.bank import make_bank
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
    """A task with one branch, thus at most one job. All its random numbers come from one sequence."""

    def create_branch_map(self) -> dict[int, None]:
        """The only branch."""
        return {0: None}

    @property
    def title(self) -> str:
        """Title for the user: the name without the branch."""
        return type(self).__name__


class GenerateTrainingWaveforms(SingleTask):
    """Generate polarizations for training."""

    def run(self) -> None:
        """Generate the polarizations."""
        generate_training_waveforms(self.artifacts, self.progress)


class FromTrainingStrain(SingleTask):
    """A task that needs the PSD of the training strain."""

    def workflow_requires(self) -> dict[str, AframeTask]:
        """Training strain."""
        return {**super().workflow_requires(), "strain": FetchStrain.req(self, stage="train", branch=-1)}

    def requires(self) -> dict[str, AframeTask]:
        """Training strain."""
        return {"strain": FetchStrain.req(self, stage="train", branch=-1)}


class GenerateValidationWaveforms(FromTrainingStrain):
    """Generate detector responses for validation, loud enough for the PSD of the training strain."""

    def run(self) -> None:
        """Generate the responses."""
        generate_validation_waveforms(self.artifacts, self.progress)


class TemplateBank(FromTrainingStrain):
    """Make the bank of templates of a network with matched filters. The PSD whitens them."""

    def run(self) -> None:
        """Place the templates."""
        make_bank(self.artifacts, self.progress)


class GenerateInjections(Workflow):
    """Generate injections above the SNR threshold, with one branch per segment and time slide."""

    def workflow_requires(self) -> dict[str, AframeTask]:
        """Testing strain."""
        return {**super().workflow_requires(), "strain": FetchStrain.req(self, stage="test", branch=-1)}

    def requires(self) -> dict[str, AframeTask]:
        """Testing strain."""
        return {"strain": FetchStrain.req(self, stage="test", branch=-1)}

    @law.dynamic_workflow_condition
    def workflow_condition(self) -> bool:
        """Whether the branches are known. They are known when all testing strain exists."""
        return FetchStrain.req(self, stage="test", branch=-1).complete()

    @workflow_condition.create_branch_map
    def create_branch_map(self) -> dict[int, planning.InjectionBatch]:
        """One branch per segment and slide."""
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
        """Draw parameters, accept the loud signals, and place them in time."""
        generate_injections(self.artifacts, self.branch_data, self.progress)


class MergeInjections(AframeTask):
    """Merge all testing injections into one table, and all rejected draws into another."""

    def requires(self) -> dict[str, AframeTask]:
        """Injections of all segments and slides."""
        return {"parts": GenerateInjections.req(self, branch=-1)}

    def run(self) -> None:
        """Merge the parts, then delete them."""
        merge_injections(self.artifacts)
