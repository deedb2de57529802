import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import law
import pytest
from terminal import aframe_here, environment_of, write_run

from aframe import storage
from aframe.commands import status
from aframe.machine.processes import this_machine
from aframe.progress import activity
from aframe.runs.artifacts import Artifacts
from aframe.runs.directories import Directories
from aframe.runs.stages import BY_TASK, lasting_outputs, stages_of
from aframe.settings.read import load_config
from aframe.steps import overview
from aframe.steps.strain import find_segments, segments_of
from aframe.tasks import base, data, export, inference, report, sensitivity, train, waveforms

TASKS = {
    name: task
    for module in (data, waveforms, train, export, inference, sensitivity, report)
    for name, task in vars(module).items()
    if isinstance(task, type) and issubclass(task, base.AframeTask)
}

VETOED = ("vetoes.known_events=1262304400", "vetoes.known_event_window=8")


@pytest.fixture
def run(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Artifacts]:
    """A run without outputs."""
    directory = write_run(tmp_path / "run", *getattr(request, "param", ()))
    for name, value in environment_of(directory).items():
        monkeypatch.setenv(name, value)
    base.current_run.cache_clear()
    load_config.cache_clear()
    monkeypatch.setattr(activity, "_activities", {})
    artifacts = Artifacts(load_config(str(directory / "sandbox.cfg")), Directories.from_environment())
    yield artifacts
    base.current_run.cache_clear()


def fetch(run: Artifacts, *stages: str) -> None:
    """Write segments, and empty files with the names of their strain."""
    for stage in stages:
        find_segments(run, stage)
        for segment in segments_of(run, stage):
            name = f"background-{segment.start:.0f}-{segment.duration:.0f}.hdf5"
            storage.write_text(f"{run.data_directory(stage)}/background/{name}", "")
            storage.sign(run.strain_index(stage, segment), run.strain_parameters(stage))
            storage.write_text(run.strain_index(stage, segment), f"{name}\n")


def paths_of(task: base.AframeTask) -> list[str]:
    return sorted(target.path for target in law.util.flatten(task.output()))


@pytest.mark.parametrize("network", ["FactorisedNetwork", "MatchedFilterNetwork"])
@pytest.mark.parametrize("run", [(), VETOED], ids=["", "vetoed"], indirect=True)
def test_stages_are_the_tasks_of_law_with_the_same_outputs(run: Artifacts, network: str) -> None:
    path = Path(run.training_yaml)
    path.write_text(path.read_text().replace("class_path: FactorisedNetwork", f"class_path: {network}"))
    fetch(run, "train", "test")
    stages = {stage.task: stage for stage in stages_of(run)}
    with_run = {name for name, task in TASKS.items() if "run" in vars(task)}
    skipped = set() if run.config.vetoes.given else {"VetoEvents"}
    skipped |= set() if network == "MatchedFilterNetwork" else {"TemplateBank"}
    skipped |= {"Tune" if run.study_yaml is None else "Train"}
    assert {name.partition(" ")[0] for name in stages} == with_run - skipped
    for title, run_stage in stages.items():
        name, _, stage = title.partition(" ")
        task = TASKS[name](**({"stage": stage} if stage else {}))
        units = [task] if not isinstance(task, law.BaseWorkflow) else task.get_branch_tasks().values()
        planned = overview.planned_outputs(run, run_stage) or []
        assert [sorted(outputs) for outputs in planned] == [paths_of(unit) for unit in units], title


def test_a_fresh_run_is_all_to_do(run: Artifacts) -> None:
    seen = overview.look(run)
    assert seen.state == "to do"
    assert {each.state for each in seen.stages} == {"to do"}
    assert [each.total for each in seen.stages if each.stage.task in ("FetchStrain train", "ScoreSlides")] == [
        None,
        None,
    ]


def one(run: Artifacts, task: str) -> overview.StageStatus:
    return next(each for each in overview.look(run).stages if each.stage.task == task)


def test_units_are_counted_with_those_at_work_and_the_time_left(run: Artifacts, monkeypatch) -> None:
    fetch(run, "train", "test")
    assert one(run, "FetchStrain test").state == "done"
    outputs = overview.planned_outputs(run, BY_TASK["ScoreSlides"])
    assert outputs is not None
    for path in outputs[0]:
        storage.write_text(path, "")
    activity.begin(run.activity("ScoreSlides 2/5"), "ScoreSlides 2/5")
    monkeypatch.setattr(activity, "UPDATE_INTERVAL", 0.0)
    activity.note("ScoreSlides 2/5", 0, 800, " s of background")
    path = Path(run.activity("ScoreSlides 2/5"))
    content = json.loads(path.read_text()) | {"since": "2026-01-01T00:00:00Z", "updated": "2026-01-01T00:00:10Z"}
    path.write_text(json.dumps(content | {"done": 400.0}))  # half of a unit in 10 s
    progress = one(run, "ScoreSlides")
    assert (progress.state, progress.done, progress.total, len(progress.at_work)) == ("running", 1, len(outputs), 1)
    assert progress.seconds_left == pytest.approx(20 * (len(outputs) - 1.5))
    assert f"1/{len(outputs)} units, 1 running, 400 of 800 s of background (50 %)" in status.detail(progress)


def test_the_time_left_of_units_without_progress_comes_from_finished_units(run: Artifacts) -> None:
    fetch(run, "train", "test")
    for number, seconds in ((1, 30.0), (2, 50.0)):
        storage.write_text(run.run_time(f"GenerateInjections {number}/2"), json.dumps({"seconds": seconds}))
    activity.begin(run.activity("GenerateInjections 1/2"), "GenerateInjections 1/2")
    assert one(run, "GenerateInjections").seconds_left == pytest.approx(80.0)


def test_parts_that_were_merged_away_are_done(run: Artifacts) -> None:
    fetch(run, "train", "test")
    assert one(run, "GenerateInjections").state == "to do"
    for path in (run.rejected, run.injections):
        storage.write_text(path, "")
    assert {one(run, name).state for name in ("GenerateInjections", "MergeInjections")} == {"done"}


def dead_process() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_failed_and_killed_tasks_are_shown_with_error_and_log(run: Artifacts, monkeypatch) -> None:
    monkeypatch.setenv(activity.LOG, "/logs/now.log")
    activity.begin(run.activity("Train"), "Train")
    path = Path(run.activity("Train"))
    path.write_text(path.read_text().replace(f'"process": {activity.os.getpid()}', f'"process": {dead_process()}'))
    assert one(run, "Train").state == "interrupted"
    assert overview.look(run).state == "interrupted"
    activity.fail(run.activity("Export"), "Export", "the model is too large: take a smaller one")
    seen = overview.look(run)
    assert seen.state == "failed"
    text = "\n".join(status.lines(seen, "run"))
    assert "Train: interrupted after 20" in text
    assert "Export: the model is too large: take a smaller one" in text
    assert "log: /logs/now.log" in text
    assert this_machine() not in text


def test_equal_failures_are_shown_once(run: Artifacts) -> None:
    fetch(run, "train", "test")
    for number in range(1, 6):
        title = f"ScoreSlides {number}/5"
        activity.fail(run.activity(title), title, "no GPU" if number < 5 else "no memory", "/log")
    troubles = list(status.troubles(one(run, "ScoreSlides")))
    assert troubles == ["ScoreSlides 4/5 and 3 more: no GPU", "log: /log", "ScoreSlides 5/5: no memory", "log: /log"]


def test_jobs_of_a_batch_system_are_counted_by_state(run: Artifacts) -> None:
    record = {
        "jobs": {str(k): {"status": state} for k, state in enumerate(["finished", "running", "running", None])},
        "unsubmitted_jobs": {"4": [4], "5": [5]},
    }
    storage.write_text(f"{run.directories.condor}/ScoreSlides/slurm_jobs_abc.json", json.dumps(record))
    progress = one(run, "ScoreSlides")
    assert progress.state == "running"
    assert progress.jobs == {"finished": 1, "running": 2, "pending": 1, "unsubmitted": 2}
    assert status.detail(progress) == "jobs: 1 finished, 2 running, 1 pending, 2 unsubmitted"


@pytest.mark.parametrize("run", [(), VETOED], ids=["", "vetoed"], indirect=True)
def test_lasting_outputs_are_those_that_law_checks_to_call_a_run_done(run: Artifacts) -> None:
    def looked_at(task: base.AframeTask) -> set[str]:
        further = task.requires().values() if isinstance(task, base.DerivedTask) else ()
        return set(paths_of(task)).union(*map(looked_at, further))

    assert looked_at(report.Report()) == set(lasting_outputs(run))


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.s3)])
def remote(request: pytest.FixtureRequest, run: Artifacts) -> Artifacts:
    """The run, with all directories but that of its submit files on a store."""
    prefix = str(request.getfixturevalue("bucket")) if request.param == "s3" else f"memory://{id(run)}"
    names = ("train_data", "test_data", "train_run", "results")
    return Artifacts(run.config, Directories(condor=run.directories.condor, **{n: f"{prefix}/{n}" for n in names}))


def test_a_run_on_a_store_is_seen_alike(remote: Artifacts) -> None:
    fetch(remote, "train", "test")
    activity.begin(remote.activity("Train"), "Train")
    seen = overview.look(remote)
    assert [each.state for each in seen.stages[:4]] == ["done"] * 4
    assert one(remote, "Train").state == seen.state == "running"
    storage.write_text(remote.result("report.html"), "")
    assert overview.look(remote).state == "running"
    assert one(remote, "Report").state == "to do"  # the report exists before the other results
    for path in lasting_outputs(remote):
        storage.write_text(path, "")
    assert overview.look(remote).state == "done"


def test_the_command_prints_lines_json_and_a_tree(tmp_path: Path, run: Artifacts) -> None:
    directory = str(run.config.path.parent)
    plain = aframe_here("status", directory)
    assert plain.returncode == 4
    assert plain.stdout.splitlines()[0] == f"{directory}: to do"
    assert all(line.startswith("to do ") for line in plain.stdout.splitlines()[1:])
    as_json = aframe_here("status", directory, "--json")
    assert as_json.returncode == 4
    assert {step["state"] for step in json.loads(as_json.stdout)["steps"]} == {"to do"}
    drawn: Callable[[], object] = lambda: status.tree(overview.look(run), directory)  # noqa: E731
    assert [str(child.label) for child in drawn().children][:2] == ["[bold]data[/]", "[bold]waveforms[/]"]
    for path in lasting_outputs(run):
        storage.write_text(path, "")
    assert aframe_here("status", directory).returncode == 0
