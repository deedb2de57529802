"""Tasks that train the network, once or in a study, in a separate process."""

from aframe.steps.training import train_model, tune_model
from aframe.tasks.base import AframeTask
from aframe.tasks.data import FetchStrain
from aframe.tasks.waveforms import GenerateTrainingWaveforms, GenerateValidationWaveforms, TemplateBank


class Train(AframeTask):
    """Train a network. An interrupted training continues from its last checkpoint."""

    def requires(self) -> dict[str, AframeTask]:
        """Strain, signals, and the bank of a network that has one."""
        inputs: dict[str, AframeTask] = {
            "strain": FetchStrain.req(self, stage="train", branch=-1),
            "validation": GenerateValidationWaveforms.req(self),
        }
        if self.artifacts.stores_training_waveforms:
            inputs["training"] = GenerateTrainingWaveforms.req(self)
        if self.artifacts.needs_bank:
            inputs["bank"] = TemplateBank.req(self)
        return inputs

    def run(self) -> None:
        """Train the network."""
        train_model(self.artifacts, self.gpus)


class Tune(Train):
    """Run a study, whose best training makes the model. It stands in for ``Train`` if the ``.cfg`` names a study."""

    def run(self) -> None:
        """Run the study, or continue it."""
        tune_model(self.artifacts, self.gpus)


def training(task: AframeTask) -> AframeTask:
    """The task that makes the model of a run.

    Args:
        task: A task that needs the model.
    """
    made: AframeTask = (Train if task.artifacts.study_yaml is None else Tune).req(task)
    return made
