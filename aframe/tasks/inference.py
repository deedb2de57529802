"""Tasks that compute scores and events of zero lag, time slides and injections."""

import functools
import os

import law

from aframe.machine.processes import run_process
from aframe.progress.ledger import Ledger
from aframe.steps import engines, planning
from aframe.steps.scoring import merge_events, score_unit
from aframe.tasks.base import AframeTask, Output, current_run
from aframe.tasks.data import FetchStrain
from aframe.tasks.export import Export
from aframe.tasks.train import training
from aframe.tasks.waveforms import MergeInjections
from aframe.tasks.workflows import Workflow

SERVER = "AFRAME_SERVER_ADDRESS"
"""Environment variable of a batch job with the address of its Triton server."""


@functools.cache
def ledger() -> Ledger:
    """The amount of scored background, shared by all workers."""
    return planning.ledger(current_run())


class ScoreSlides(Workflow):
    """Events of time slides of one segment, with and without injections. Each branch scores a range of slides."""

    def _inputs(self) -> dict[str, AframeTask]:
        return {
            "strain": FetchStrain.req(self, stage="test", branch=-1),
            "injections": MergeInjections.req(self),
            "model": training(self),
            **({"repository": Export.req(self)} if self.artifacts.config.inference.asks_the_repository else {}),
        }

    def workflow_requires(self) -> dict[str, AframeTask]:
        """Strain, injections and model."""
        return {**super().workflow_requires(), **self._inputs()}

    def requires(self) -> dict[str, AframeTask]:
        """Strain, injections and model."""
        return self._inputs()

    @law.dynamic_workflow_condition
    def workflow_condition(self) -> bool:
        """Whether the branches are known. They are known when all testing strain exists."""
        return FetchStrain.req(self, stage="test", branch=-1).complete()

    @workflow_condition.create_branch_map
    def create_branch_map(self) -> dict[int, planning.WorkUnit]:
        """One branch per segment and range of slides."""
        ledger()  # before luigi forks workers, so that they share it
        return dict(enumerate(planning.plan_units(self.artifacts)))

    @workflow_condition.output
    def output(self) -> dict[str, Output]:
        """Events of the slides, and injections with the events that recovered them."""
        return {kind: Output(path) for kind, path in planning.unit_outputs(self.artifacts, self.branch_data).items()}

    def job_variables(self) -> dict[str, str]:
        """Address of the Triton server for jobs and containers. The machine of the run starts the server."""
        address = os.environ.get(SERVER) or engines.server_address(self.artifacts, run_process(), self.gpus)
        return {SERVER: address} if address else {}

    def run(self) -> None:
        """Score one unit."""
        address = os.environ.get(SERVER) or engines.server_address(self.artifacts, run_process(), self.gpus)
        progress = ledger().job(self.branch, self.title)
        score_unit(self.artifacts, self.branch_data, self.device, address, progress)


class MergeEvents(AframeTask):
    """All events: background, recovered injections, and zero lag."""

    def requires(self) -> dict[str, AframeTask]:
        """Events of all units."""
        return {"units": ScoreSlides.req(self, branch=-1)}

    def run(self) -> None:
        """Stop the server, then merge the events."""
        engines.stop_server(self.artifacts)
        merge_events(self.artifacts)
