"""Tasks for segments and strain of both stages."""

import law
import luigi

from aframe import storage
from aframe.runs.paths import Stage
from aframe.steps.strain import fetch_strain, find_segments, segments_of
from aframe.strain.segments import Segment
from aframe.tasks.base import AframeTask, Output
from aframe.tasks.workflows import Workflow


class StageTask(AframeTask):
    """A task that exists once for training and once for testing."""

    stage: Stage = luigi.ChoiceParameter(  # type: ignore[assignment] # luigi gives the value, not the parameter
        choices=["train", "test"], description="train or test: which interval of time"
    )


class FindSegments(StageTask):
    """List the coincident science segments of a stage."""

    def run(self) -> None:
        """List the segments."""
        find_segments(self.artifacts, self.stage)


class FetchStrain(StageTask, Workflow):
    """Fetch, read or simulate the strain of a stage, with one branch per segment."""

    def workflow_requires(self) -> dict[str, AframeTask]:
        """The list of segments."""
        return {**super().workflow_requires(), "segments": FindSegments.req(self)}

    def requires(self) -> dict[str, AframeTask]:
        """The list of segments."""
        return {"segments": FindSegments.req(self)}

    @law.dynamic_workflow_condition
    def workflow_condition(self) -> bool:
        """Whether the branches are known. They are known when the list of segments exists."""
        return storage.exists(self.artifacts.segments(self.stage))

    @workflow_condition.create_branch_map
    def create_branch_map(self) -> dict[int, Segment]:
        """One branch per segment."""
        return dict(enumerate(segments_of(self.artifacts, self.stage)))

    @workflow_condition.output
    def output(self) -> dict[str, Output]:
        """The list of the segment's background files. It is written after the files."""
        return {"strain": Output(self.artifacts.strain_index(self.stage, self.branch_data))}

    def run(self) -> None:
        """Write the strain of one segment."""
        fetch_strain(self.artifacts, self.stage, self.branch_data)
