"""How far a run has come, stage by stage, from what it leaves on disk or on S3: whoever can read that can look on."""

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
"""Title under which a whole run says what it is at work on."""

RECENT = 20
"""Units of work whose duration is looked at, to guess how long others take."""

Outputs = Sequence[Sequence[str]]


@dataclass(frozen=True)
class StageStatus:
    """How far a stage has come.

    Attributes:
        stage: Which.
        state: ``done``, ``running``, ``failed``, ``interrupted`` or ``to do``.
        done: Units that are done.
        total: Of how many; None as long as nobody knows.
        at_work: What processes are at work on.
        troubled: What failed or was interrupted, the latest last.
        seconds_left: Time left at the present speed; None where nobody can know.
        jobs: How many jobs of a batch system are in which state.
        path: First of what it writes; empty as long as nobody knows.
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
    """How far a run has come.

    Attributes:
        state: ``done``, ``running``, ``failed``, ``interrupted`` or ``to do``.
        holder: Who is at work; empty where nobody is.
        last: What the last run said of itself; None before the first.
        stages: Its stages, in order.
    """

    state: str
    holder: str
    last: Activity | None
    stages: Sequence[StageStatus]


def planned_outputs(run: Artifacts, stage: RunStage) -> Outputs | None:
    """Paths that each unit of work of a stage writes; None as long as nobody knows how many there will be."""
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
    """Whether all testing strain is there, on which it depends how much work there is."""
    path, exists = run.segments("test"), _Listing()
    return exists(path) and all(exists(run.strain_index("test", segment)) for segment in read_segments(path))


PLANS: Mapping[str, Callable[[Artifacts], Outputs | None]] = {
    "FetchStrain train": functools.partial(_strain, "train"),
    "FetchStrain test": functools.partial(_strain, "test"),
    "GenerateInjections": _injections,
    "ScoreSlides": _units,
}
"""Outputs of the units of work of stages that have many, by task."""


def look(run: Artifacts) -> Overview:
    """Look how far a run has come; reads names, small files and nothing else."""
    exists = _Listing()
    said = activity.read(storage.glob(storage.join(run.activities, "*.json")))
    told: dict[str, list[Activity]] = {}
    for each in said:
        told.setdefault(_without_branch(each.task), []).append(each)
    claimed = (run.directories.results, run.directories.train_run, run.directories.test_data)
    holder = next((who for who in map(leases.at_work, claimed) if who), "")
    found = [_status(run, stage, exists, told.get(stage.task, [])) for stage in stages_of(run)]
    if lacking(run, found):  # a page of what there is may have been built
        found[-1] = dataclasses.replace(found[-1], state="to do" if found[-1].state == "done" else found[-1].state)
    states = [status.state for status in found]
    if states[-1] == "done":
        state = "done"
    elif holder or "running" in states:
        state = "running"
    else:
        last = next(iter(told.get(RUN, [])), None)
        is_cut_short = last is not None and last.state == "running"
        state = next((s for s in ("failed", "interrupted") if s in states), "interrupted" if is_cut_short else "to do")
    return Overview(state, holder, next(iter(told.get(RUN, [])), None), found)


def lacking(run: Artifacts, statuses: Sequence[StageStatus]) -> list[str]:
    """Names of the stages before the report of which something that lasts is not there."""
    lasting = set(lasting_outputs(run))
    return [status.stage.name for status in statuses[:-1] if status.path in lasting and status.state != "done"]


class _Listing:
    """Which files exist, by one look at each directory: a store of objects answers that as fast as after one file."""

    def __init__(self) -> None:
        self.known: dict[str, set[str]] = {}

    def __call__(self, path: str) -> bool:
        directory, _, name = path.rpartition("/")
        if directory not in self.known:
            found = storage.glob(storage.join(directory, "*"))
            self.known[directory] = {each.rpartition("/")[2] for each in found}
        return name in self.known[directory]


def _status(run: Artifacts, stage: RunStage, exists: _Listing, told: Sequence[Activity]) -> StageStatus:
    try:
        outputs = planned_outputs(run, stage)
    except AframeError:  # strain is being replaced, or the configuration no longer fits it
        outputs = None
    merged = BY_TASK[stage.merged_by].files(run) if stage.merged_by else []
    is_over = bool(merged) and all(map(exists, merged))
    flags = [is_over or all(map(exists, paths)) for paths in outputs or []]
    done, total = sum(flags), None if outputs is None else len(flags)
    first = merged or (outputs[0] if outputs else [])
    path = first[0] if first else ""
    at_work = [each for each in told if each.is_at_work()]
    troubled = sorted((each for each in told if not each.is_at_work()), key=lambda each: each.updated)
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
    """The title of a task, without the number of its branch.

    >>> _without_branch("FetchStrain train 3/40")
    'FetchStrain train'
    """
    return " ".join(word for word in title.split() if "/" not in word)


def _seconds_left(run: Artifacts, stage: RunStage, units: int, at_work: Sequence[Activity]) -> float | None:
    """Time left for some units: from what those at work say of their progress, else from how long others took."""
    if not at_work:
        return None
    speeds = [each.per_second / each.total for each in at_work if each.total and each.per_second > 0]
    if speeds:  # units a second, of all workers
        under_way = sum(each.done / each.total for each in at_work if each.total)
        return max(0.0, units - under_way) / (sum(speeds) / len(speeds) * len(at_work))
    pattern = storage.join(run.directories.results, "times", f"{stage.task.replace(' ', '-')}-*.json")
    seconds = []
    for path in storage.glob(pattern)[:RECENT]:
        seconds.append(float(json.loads(storage.read_text(path))["seconds"]))
    if not seconds:
        return None
    return math.ceil(units / len(at_work)) * sum(seconds) / len(seconds)


def _jobs(run: Artifacts, task: str) -> dict[str, int]:
    """How many of a task's jobs are in which state, by law's record of them."""
    counts: dict[str, int] = {}
    if storage.is_remote(run.directories.condor):
        return counts
    pattern = storage.join(run.directories.condor, task.replace(" ", "-"), "*_jobs*.json")
    for path in storage.glob(pattern)[-1:]:
        record: dict[str, Any] = json.loads(storage.read_text(path))
        states = [str(job["status"] or "pending") for job in record.get("jobs", {}).values()]
        states += ["unsubmitted"] * len(record.get("unsubmitted_jobs", {}))
        counts = {state: states.count(state) for state in dict.fromkeys(states)}
    return counts
