import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from aframe import storage
from aframe.errors import DataError
from aframe.machine.processes import this_machine
from aframe.progress import activity
from aframe.progress.activity import Activity
from aframe.progress.lines import Progress


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where this process, which is at work on nothing else, tells what it does."""
    monkeypatch.setattr(activity, "_activities", {})
    return str(tmp_path / "activity" / "Task-1-of-2.json")


def test_a_task_tells_that_it_has_begun_how_far_it_is_and_that_it_is_done(path: str, monkeypatch) -> None:
    monkeypatch.setenv(activity.LOG, "/run.log")
    activity.begin(path, "Task 1/2")
    [begun] = activity.read([path])
    assert (begun.task, begun.state, begun.process, begun.log) == ("Task 1/2", "running", os.getpid(), "/run.log")
    assert begun.is_at_work()
    Progress("signals", " kinds")(2, 10)
    [on] = activity.read([path])
    assert (on.doing, on.first, on.done, on.total, on.unit) == ("signals", 2.0, 2.0, 10.0, " kinds")
    activity.note("signals", 5, 10)
    assert activity.read([path])[0].done == 2.0  # it has just said so
    activity.end(path)
    assert not storage.exists(path)
    activity.note("signals", 7, 10)
    assert activity.read([path]) == []


def test_within_a_run_the_innermost_task_tells_progress(path: str, tmp_path: Path) -> None:
    outer = str(tmp_path / "run.json")
    activity.begin(outer, "run")
    activity.begin(path, "Task")
    activity.note("steps", 1, 2)
    activity.end(path)
    activity.end(outer, is_kept=True)
    [run] = activity.read([outer, path])
    assert (run.task, run.state, run.total) == ("run", "ended", 0.0)


def test_who_fails_leaves_the_error_and_its_log(path: str) -> None:
    activity.begin(path, "Task")
    activity.fail(path, "Task", "too few signals: give more", "/jobs/3.log")
    [failed] = activity.read([path])
    assert (failed.state, failed.error, failed.log) == ("failed", "too few signals: give more", "/jobs/3.log")
    assert not failed.is_at_work()


def test_a_subprocess_of_a_stage_tells_how_far_it_is_and_why_it_fails(path: str, monkeypatch) -> None:
    with activity.of_stage("Tune"):
        activity.note("tuning", 1, 3)
    assert not storage.exists(path)  # no run began this process
    monkeypatch.setenv(activity.FILE, path)

    def fails() -> None:
        with activity.of_stage("Tune"):
            activity.note("tuning", 1, 3, " trials")
            assert activity.read([path])[0].done == 1.0
            raise DataError("no data: make some")

    with pytest.raises(DataError):
        fails()
    [failed] = activity.read([path])
    assert (failed.task, failed.state, failed.error) == ("Tune", "failed", "no data: make some")


def test_a_killed_process_is_not_at_work() -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    now = time.time()
    here = Activity("Task", "running", now, now, now, this_machine(), dead.pid)
    assert not here.is_at_work()
    remote = replace(here, machine="elsewhere boot")
    assert remote.is_at_work()
    assert not replace(remote, updated=now - 2 * activity.MAX_SILENCE).is_at_work()


def test_time_left_is_that_of_what_is_left_at_the_speed_since_it_went_on() -> None:
    resumed = Activity("Train", "running", 0.0, 100.0, 160.0, "here", 1, "training", " steps", 400.0, 700.0, 1000.0)
    assert resumed.per_second == pytest.approx(5.0)
    assert resumed.seconds_left == pytest.approx(60.0)
    assert replace(resumed, done=400.0).seconds_left is None


def test_work_goes_on_where_no_progress_can_be_written(path: str) -> None:
    Path(path).parent.write_text("no directory")
    activity.begin(path, "Task")
    activity.note("signals", 1, 2)
    activity.fail(path, "Task", "why")
    assert activity.read([path]) == []


def test_what_is_no_activity_is_left_out(path: str) -> None:
    for text in ("", "[]", '{"task": "Task"}', '{"started": "noon", "since": "noon", "updated": "noon"}'):
        storage.write_text(path, text)
        assert activity.read([path]) == []
