"""Task that trains the network in a separate process."""

from aframe.steps.training import train_model
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
