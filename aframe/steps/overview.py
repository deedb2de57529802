"""Determine the progress of a run, stage by stage.

The state comes from files of the run, on disk or on S3. Everyone who can read these files can follow the run.
"""

import dataclasses
import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aframe import storage
from aframe.errors import AframeError
from aframe.progress import activity
from aframe.progress.activity import Activity
from aframe.runs.artifacts import Artifacts
from aframe.runs.paths import Stage
from aframe.runs.stages import BY_TASK, RunStage, lasting_outputs, stages_of
from aframe.steps import planning
from aframe.storage import leases
from aframe.strain.segments import read_segments

RUN = "run"
"""Title of a whole run among the titles of tasks."""

RECENT_UNITS = 20
"""Largest number of finished units of work in the estimate of the others' duration."""

Outputs = Sequence[Sequence[str]]


@dataclass(frozen=True)
class StageStatus:
    """Progress of a stage.

    Attributes:
        stage: The stage.
        state: ``done``, ``running``, ``failed``, ``interrupted`` or ``to do``.
        done: Number of finished units.
        total: Number of all units. None if it is not known yet.
        at_work: Activities of running processes.
        troubled: Failed or interrupted activities, the latest last.
        seconds_left: Time left at the present speed, s. None if it cannot be estimated.
        jobs: Number of jobs of a batch system in each state.
        path: First output of the stage. Empty if it is not known yet.
    """

    stage: RunStage
    state: str
    done: int
    total: int | None
    at_work: Sequence[Activity]
    troubled: Sequence[Activity]
    seconds_left: float | None
    jobs: dict[str, int]
    path: str


@dataclass(frozen=True)
class Overview:
    """Progress of a run.

    Attributes:
        state: ``done``, ``running``, ``failed``, ``interrupted`` or ``to do``.
        holder: Who is running it. Empty if nobody is.
        last: Last activity of the whole run. None before the first.
        stages: Status of its stages, in order.
    """

    state: str
    holder: str
    last: Activity | None
    stages: Sequence[StageStatus]


def planned_outputs(run: Artifacts, stage: RunStage) -> Outputs | None:
    """List the output paths of each unit of work of a stage.

    Args:
        run: The run.
        stage: One of its stages.

    Returns:
        Paths of each unit. None if the number of units is not known yet.
    """
    if stage.outputs is not None:
        return [list(stage.outputs(run).values())]
    return PLANS[stage.task](run)


def _strain(stage: Stage, run: Artifacts) -> Outputs | None:
    path = run.segments(stage)
    return [[run.strain_index(stage, s)] for s in read_segments(path)] if storage.exists(path) else None


def _injections(run: Artifacts) -> Outputs | None:
    if not _is_fetched(run):
        return None
    kinds = ("rejected", "accepted")
    return [[run.injection_part(kind, b.segment, b.slide) for kind in kinds] for b in planning.plan_injections(run)]


def _units(run: Artifacts) -> Outputs | None:
    if not _is_fetched(run):
        return None
    return [list(planning.unit_outputs(run, unit).values()) for unit in planning.plan_units(run)]


def _is_fetched(run: Artifacts) -> bool:
    """Whether all testing strain exists. The number of units depends on it."""
    path, exists = run.segments("test"), _Listing()
    return exists(path) and all(exists(run.strain_index("test", segment)) for segment in read_segments(path))


PLANS: Mapping[str, Callable[[Artifacts], Outputs | None]] = {
    "FetchStrain train": functools.partial(_strain, "train"),
    "FetchStrain test": functools.partial(_strain, "test"),
    "GenerateInjections": _injections,
    "ScoreSlides": _units,
}
"""Output paths of the units of work, by task, for stages with several units."""


def look(run: Artifacts) -> Overview:
    """Determine the progress of a run. Only names and small files are read."""
    exists = _Listing()
    activities = activity.read(storage.glob(run.activities, "*.json"))
    by_task: dict[str, list[Activity]] = {}
    for each in activities:
        by_task.setdefault(_without_branch(each.task), []).append(each)
    claimed = (run.directories.results, run.directories.train_run, run.directories.test_data)
    holder = next((who for who in map(leases.at_work, claimed) if who), "")
    statuses = [_status(run, stage, exists, by_task.get(stage.task, [])) for stage in stages_of(run)]
    if lacking(run, statuses):  # the report can exist before the other results
        report = statuses[-1]
        statuses[-1] = dataclasses.replace(report, state="to do" if report.state == "done" else report.state)
    states = [status.state for status in statuses]
    if states[-1] == "done":
        state = "done"
    elif holder or "running" in states:
        state = "running"
    else:
        last = next(iter(by_task.get(RUN, [])), None)
        is_cut_short = last is not None and last.state == "running"
        state = next((s for s in ("failed", "interrupted") if s in states), "interrupted" if is_cut_short else "to do")
    return Overview(state, holder, next(iter(by_task.get(RUN, [])), None), statuses)


def lacking(run: Artifacts, statuses: Sequence[StageStatus]) -> list[str]:
    """Find unfinished stages before the report whose outputs a finished run needs.

    Args:
        run: The run.
        statuses: Status of each of its stages, in order.

    Returns:
        Names of the stages.
    """
    lasting = set(lasting_outputs(run))
    return [status.stage.name for status in statuses[:-1] if status.path in lasting and status.state != "done"]


class _Listing:
    """Existence of files, from one listing of each directory.

    An object store lists a directory as fast as it looks up one file.
    """

    def __init__(self) -> None:
        self.names: dict[str, set[str]] = {}

    def __call__(self, path: str) -> bool:
        directory, _, name = path.rpartition("/")
        if directory not in self.names:
            paths = storage.glob(directory, "*")
            self.names[directory] = {path.rpartition("/")[2] for path in paths}
        return name in self.names[directory]


def _status(run: Artifacts, stage: RunStage, exists: _Listing, activities: Sequence[Activity]) -> StageStatus:
    try:
        outputs = planned_outputs(run, stage)
    except AframeError:  # strain is being replaced, or does not fit the configuration
        outputs = None
    merged = BY_TASK[stage.merged_by].files(run) if stage.merged_by else []
    is_over = bool(merged) and all(map(exists, merged))
    flags = [is_over or all(map(exists, paths)) for paths in outputs or []]
    done, total = sum(flags), None if outputs is None else len(flags)
    first = merged or (outputs[0] if outputs else [])
    path = first[0] if first else ""
    at_work = [each for each in activities if each.is_at_work()]
    troubled = sorted((each for each in activities if not each.is_at_work()), key=lambda each: each.updated)
    jobs = _jobs(run, stage.task)
    if is_over or (outputs is not None and done == total):
        state, at_work, troubled, jobs = "done", [], [], {}
    elif at_work or jobs.get("running"):
        state = "running"
    elif any(each.state == "failed" for each in troubled):
        state = "failed"
    else:
        state = "interrupted" if troubled else "to do"
    left = _seconds_left(run, stage, total - done, at_work) if total is not None else None
    return StageStatus(stage, state, done, total, at_work, troubled, left if state == "running" else None, jobs, path)


def _without_branch(title: str) -> str:
    """Title of a task, without the number of its branch.

    >>> _without_branch("FetchStrain train 3/40")
    'FetchStrain train'
    """
    return " ".join(word for word in title.split() if "/" not in word)


def _seconds_left(run: Artifacts, stage: RunStage, units: int, at_work: Sequence[Activity]) -> float | None:
    """Time left for a number of units, s.

    The estimate uses the progress of running units, or else the duration of finished units.
    """
    if not at_work:
        return None
    speeds = [each.per_second / each.total for each in at_work if each.total and each.per_second > 0]
    if speeds:  # units a second, of all workers
        under_way = sum(each.done / each.total for each in at_work if each.total)
        return max(0.0, units - under_way) / (sum(speeds) / len(speeds) * len(at_work))
    names = ("times", f"{stage.task.replace(' ', '-')}-*.json")
    seconds = []
    for path in storage.glob(run.directories.results, *names)[:RECENT_UNITS]:
        seconds.append(float(json.loads(storage.read_text(path))["seconds"]))
    if not seconds:
        return None
    return math.ceil(units / len(at_work)) * sum(seconds) / len(seconds)


def _jobs(run: Artifacts, task: str) -> dict[str, int]:
    """Number of a task's jobs in each state, from law's record."""
    counts: dict[str, int] = {}
    if storage.is_remote(run.directories.condor):
        return counts
    for path in storage.glob(run.directories.condor, task.replace(" ", "-"), "*_jobs*.json")[-1:]:
        record: dict[str, Any] = json.loads(storage.read_text(path))
        states = [str(job["status"] or "pending") for job in record.get("jobs", {}).values()]
        states += ["unsubmitted"] * len(record.get("unsubmitted_jobs", {}))
        counts = {state: states.count(state) for state in dict.fromkeys(states)}
    return counts
