"""Task that exports the model for a Triton server."""

from aframe.steps.export import export_model
from aframe.tasks.base import AframeTask, DerivedTask
from aframe.tasks.train import training


class Export(DerivedTask):
    """Export the trained model to a Triton model repository."""

    def requires(self) -> dict[str, AframeTask]:
        """The trained model."""
        return {"model": training(self)}

    def run(self) -> None:
        """Export the model and check it."""
        export_model(self.artifacts)
