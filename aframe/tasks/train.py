"""Training, in a process of its own."""

from aframe.steps.training import train_model
from aframe.tasks.base import AframeTask
from aframe.tasks.data import FetchStrain
from aframe.tasks.waveforms import GenerateTrainingWaveforms, GenerateValidationWaveforms


class Train(AframeTask):
    """Train a network; continues from the last checkpoint."""

    def requires(self) -> dict[str, AframeTask]:
        """Strain and signals."""
        needed: dict[str, AframeTask] = {
            "strain": FetchStrain.req(self, stage="train", branch=-1),
            "validation": GenerateValidationWaveforms.req(self),
        }
        if self.artifacts.stores_training_waveforms:
            needed["training"] = GenerateTrainingWaveforms.req(self)
        return needed

    def run(self) -> None:
        """Train."""
        train_model(self.artifacts, self.gpus)
