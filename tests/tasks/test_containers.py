"""A task starts a container and minds it: one in which nothing but what it is given can be seen."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import law
import pytest
from images import STAND_IN, calls, use_stand_in, write_image
from processes_of_runs import wait_for
from terminal import LAW, environment_of, write_batch, write_run

from aframe.errors import ContainerError
from aframe.settings.read import load_config
from aframe.tasks import base, data, waveforms

PYTHON = """#!/bin/bash
echo $$ > "$AFRAME_RESULTS_DIR/process"
env -0 > "$AFRAME_RESULTS_DIR/variables"
printf '%s\\n' "$@" > "$AFRAME_RESULTS_DIR/arguments"
ls -A /tmp > "$AFRAME_RESULTS_DIR/seen"
if [ -e "$AFRAME_RESULTS_DIR/wait" ]; then sleep 60; fi
exit "$AFRAME_TEST_CODE"
"""
"""In the place of the image's python: it notes what it sees."""


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An image, with a python of its own, that Apptainer's stand-in runs."""
    use_stand_in(monkeypatch, tmp_path)
    software = tmp_path / "software"
    software.mkdir()
    (software / "python").write_text(PYTHON)
    (software / "python").chmod(0o755)
    return write_image(tmp_path / "image.sif", [software], {"PATH": f"{software}:/usr/bin:/bin"})


@pytest.fixture
def run(image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A run whose tasks have this image."""
    directory = write_batch(write_run(tmp_path / "run"), "local", image=image)
    for name, value in environment_of(directory).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AFRAME_TEST_CODE", "0")
    (directory / "test_data").mkdir()
    (directory / "test_data" / "segments.txt").write_text("0 1262304000 1262304256 256\n")
    base.current_run.cache_clear()
    for task in (data.FetchStrain, waveforms.GenerateTrainingWaveforms):
        task.clear_instance_cache()
    monkeypatch.setattr(law.parser, "_root_task", data.FindSegments(stage="test"))
    yield directory
    base.current_run.cache_clear()


def variables_inside(run: Path) -> dict[str, str]:
    text = (run / "results" / "variables").read_text()
    return dict(pair.split("=", 1) for pair in text.split("\0") if pair)  # type: ignore[misc]


def test_a_branch_runs_in_its_image_with_what_it_needs_and_no_more(
    run: Path, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "a 'hard' \"secret\" with $HOME, `ticks` and \\"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("DISPLAY", ":0")
    task = data.FetchStrain(stage="test", branch=0)
    assert not task.is_sandboxed()
    task.run()
    seen = variables_inside(run)
    assert seen["AWS_SECRET_ACCESS_KEY"] == secret
    assert (seen["LAW_CONFIG_FILE"], seen["AFRAME_RESULTS_DIR"]) == (str(run / "sandbox.cfg"), str(run / "results"))
    assert (seen["PWD"], seen["CUDA_VISIBLE_DEVICES"], seen["LAW_SANDBOX"]) == (str(run), "", f"apptainer::{image}")
    assert "DISPLAY" not in seen
    assert str(STAND_IN) not in seen["PATH"]
    words = (run / "results" / "arguments").read_text().splitlines()
    assert words[:2] == ["-P", "-c"]
    assert words[3:] == ["run", "aframe.tasks.data.FetchStrain", "--stage", "test", "--branch", "0", "--workers", "1"]
    outside = calls(tmp_path)[-1]
    assert secret not in " ".join(outside)
    assert "--nv" not in outside
    top = tmp_path.relative_to("/tmp").parts[0] if tmp_path.is_relative_to("/tmp") else None
    assert top is None or (run / "results" / "seen").read_text().split() == [top]


def test_it_sees_gpus_where_the_run_or_its_job_has_some(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waveforms.GenerateTrainingWaveforms(branch=0, gpus="0,1").run()
    assert "--nv" in calls(tmp_path)[-1]
    assert (run / "results" / "arguments").read_text().splitlines()[-2:] == ["--gpus", "0,1"]
    with (run / "sandbox.cfg").open("a") as file:
        file.write("[luigi_GenerateTrainingWaveforms]\ngpus = 1\n")
    base.current_run.cache_clear()
    load_config.cache_clear()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1")
    task = waveforms.GenerateTrainingWaveforms(branch=0)
    task.run()
    assert "--nv" not in calls(tmp_path)[-1]
    monkeypatch.setenv("AFRAME_JOB", "a-branch-0")
    task.run()
    assert "--nv" in calls(tmp_path)[-1]
    seen = variables_inside(run)
    assert (seen["CUDA_VISIBLE_DEVICES"], seen["AFRAME_JOB"]) == ("GPU-1", "a-branch-0")


def test_a_container_that_fails_is_reported_in_one_line(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFRAME_TEST_CODE", "3")
    with pytest.raises(ContainerError, match=r"FetchStrain test 1/1 failed in .*image\.sif with exit code 3") as caught:
        data.FetchStrain(stage="test", branch=0).run()
    assert not caught.value.is_reported


@pytest.mark.container
def test_a_container_ends_with_the_process_that_started_it(run: Path, tmp_path: Path) -> None:
    (run / "results").mkdir()
    (run / "results" / "wait").touch()
    (run / "test_data" / "segments.txt").unlink()  # it is made first
    command = [LAW, "run", "aframe.tasks.data.FetchStrain", "--stage", "test", "--branch", "0", "--workers", "2"]
    process = subprocess.Popen(command, env=environment_of(run))
    noted = run / "results" / "process"
    wait_for(lambda: noted.exists() and noted.read_text(), 60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    inside = Path("/proc") / noted.read_text().strip() / "cmdline"
    wait_for(lambda: not inside.exists() or not inside.read_bytes(), 20)


def test_the_workflow_itself_starts_no_container(run: Path) -> None:
    assert data.FetchStrain(stage="test").is_sandboxed()
