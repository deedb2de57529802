"""Segments and strain of both stages."""

import law
import luigi

from aframe import steps, storage
from aframe.artifacts import Stage
from aframe.storage import Parameters
from aframe.strain.segments import Segment
from aframe.tasks.base import AframeTask, Output
from aframe.tasks.workflows import Workflow


class StageTask(AframeTask):
    """A task that exists once for training and once for testing."""

    stage: Stage = luigi.ChoiceParameter(  # type: ignore[assignment] # luigi gives the value, not the parameter
        choices=["train", "test"], description="train or test: which interval of time"
    )

    @property
    def made_with(self) -> Parameters:
        """Parameters of the stage's strain."""
        return self.artifacts.made_strain(self.stage)


class FindSegments(StageTask):
    """List the coincident science segments of a stage."""

    def output(self) -> dict[str, Output]:
        """The segwizard list."""
        return {"segments": Output(self.artifacts.segments(self.stage))}

    def run(self) -> None:
        """List them."""
        steps.find_segments(self.artifacts, self.stage)


class FetchStrain(StageTask, Workflow):
    """Fetch, read or simulate the strain of a stage, a branch per segment."""

    def workflow_requires(self) -> dict[str, AframeTask]:
        """The list of segments."""
        return {**super().workflow_requires(), "segments": FindSegments.req(self)}

    def requires(self) -> dict[str, AframeTask]:
        """The list of segments."""
        return {"segments": FindSegments.req(self)}

    @law.dynamic_workflow_condition
    def workflow_condition(self) -> bool:
        """Branches are known once the segments are."""
        return storage.exists(self.artifacts.segments(self.stage))

    @workflow_condition.create_branch_map
    def create_branch_map(self) -> dict[int, Segment]:
        """A branch per segment."""
        return dict(enumerate(steps.segments_of(self.artifacts, self.stage)))

    @workflow_condition.output
    def output(self) -> dict[str, Output]:
        """The list of the segment's background files, written after them."""
        return {"strain": Output(self.artifacts.strain_index(self.stage, self.branch_data))}

    def run(self) -> None:
        """Write one segment's strain."""
        steps.fetch_strain(self.artifacts, self.stage, self.branch_data)
