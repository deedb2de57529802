"""Export a run's model."""

from aframe import storage
from aframe.runs.artifacts import Artifacts


def export_model(run: Artifacts) -> None:
    """Export the trained model to the run's Triton model repository."""
    from aframe.export.repository import publish
    from aframe.steps.engines import serving_options
    from aframe.train import model

    options = serving_options(run.config.export)
    publish(model.load(run.model), storage.sha256(run.model), run.repository, options, run.repository_parameters)
