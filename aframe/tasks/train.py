"""Training, in a process of its own."""

from aframe import steps
from aframe.storage import Parameters
from aframe.tasks.base import AframeTask, Output
from aframe.tasks.data import FetchStrain
from aframe.tasks.waveforms import GenerateTrainingWaveforms, GenerateValidationWaveforms


class Train(AframeTask):
    """Train a network; continues from the last checkpoint."""

    @property
    def made_with(self) -> Parameters:
        """Parameters of the model."""
        return self.artifacts.made_model

    def requires(self) -> dict[str, AframeTask]:
        """Strain and signals."""
        needed: dict[str, AframeTask] = {
            "strain": FetchStrain.req(self, stage="train", branch=-1),
            "validation": GenerateValidationWaveforms.req(self),
        }
        if self.artifacts.stores_training_waveforms:
            needed["training"] = GenerateTrainingWaveforms.req(self)
        return needed

    def output(self) -> dict[str, Output]:
        """The trained model."""
        return {"model": Output(self.artifacts.model)}

    def run(self) -> None:
        """Train."""
        steps.train(self.artifacts, self.gpus)
