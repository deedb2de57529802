"""The model for a Triton server."""

from aframe import steps
from aframe.storage import Parameters
from aframe.tasks.base import AframeTask, DerivedTask, Output
from aframe.tasks.train import Train


class Export(DerivedTask):
    """Export the trained model to a Triton model repository."""

    @property
    def made_with(self) -> Parameters:
        """Parameters of the exported model."""
        return self.artifacts.made_repository

    def requires(self) -> dict[str, AframeTask]:
        """The trained model."""
        return {"model": Train.req(self)}

    def output(self) -> dict[str, Output]:
        """The model's configuration in the repository, written after the model."""
        return {"configuration": Output(self.artifacts.served_model)}

    def run(self) -> None:
        """Export and check."""
        steps.export(self.artifacts)
