import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from terminal import aframe_here, environment_of, write_batch, write_run

from aframe.machine import processes
from aframe.settings.jobs import BATCH_TASKS
from aframe.steps import engines
from aframe.steps.devices import given_device
from aframe.tasks import base, data, inference, train, waveforms
from aframe.tasks.workflows import Workflow


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A run on Slurm, whose tasks can be made here; nothing is submitted."""
    text = "[luigi_FetchStrain]\nworkflow = local\nretries = 7\n"
    directory = write_batch(write_run(tmp_path / "run"), "slurm", text, poll_interval=30)
    for name, value in environment_of(directory).items():
        monkeypatch.setenv(name, value)
    base.current_run.cache_clear()
    yield directory
    base.current_run.cache_clear()


def test_each_task_that_the_configuration_names_is_a_workflow() -> None:
    tasks = {
        getattr(module, name)
        for module in (data, waveforms, inference)
        for name in BATCH_TASKS
        if hasattr(module, name)
    }
    assert {each.__name__ for each in tasks} == set(BATCH_TASKS)
    assert all(issubclass(each, Workflow) for each in tasks)


def test_a_task_runs_where_its_own_section_says_whoever_needs_it(run: Path) -> None:
    assert inference.ScoreSlides().effective_workflow == "slurm"
    needed = data.FetchStrain.req(inference.ScoreSlides(), stage="test", branch=-1)
    assert (needed.effective_workflow, needed.retries) == ("local", 7)
    single = waveforms.GenerateTrainingWaveforms()
    assert (single.retries, single.poll_interval, single.tolerance) == (2, 0.5, 1.0)


def test_only_a_network_of_matched_filters_requires_a_bank(run: Path) -> None:
    assert "bank" not in train.Train().requires()
    path = run / "train.yaml"
    path.write_text(path.read_text().replace("class_path: FactorisedNetwork", "class_path: MatchedFilterNetwork"))
    bank = train.Train().requires()["bank"]
    assert isinstance(bank, waveforms.TemplateBank)
    assert bank.title == "TemplateBank"
    assert bank.requires()["strain"].title == "FetchStrain train"
    (output,) = waveforms.TemplateBank(branch=0).output().values()
    assert output.path == str(run / "train_data" / "bank.hdf5")


def test_a_job_does_one_branch_with_the_paths_and_variables_of_the_run(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AFRAME_RESULTS_DIR", "results")
    monkeypatch.chdir(run)
    task = data.FetchStrain(stage="test")
    expected = ["aframe.tasks.data.FetchStrain", "--stage", "test", "--branch", "3", "--workers", "1"]
    assert task.job_command(3) == expected
    environment = task.job_environment()
    assert environment["LAW_CONFIG_FILE"] == str(run / "sandbox.cfg")
    assert environment["AFRAME_RESULTS_DIR"] == str(run / "results")
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert task.job_directory == str(run / "condor" / "FetchStrain-test")


def test_other_branches_or_directories_are_other_jobs(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = waveforms.GenerateTrainingWaveforms().job_group
    monkeypatch.setattr(waveforms.SingleTask, "create_branch_map", lambda _: {0: 1})
    waveforms.GenerateTrainingWaveforms.clear_instance_cache()
    second = waveforms.GenerateTrainingWaveforms().job_group
    monkeypatch.setenv("AFRAME_RESULTS_DIR", str(run / "elsewhere"))
    base.current_run.cache_clear()
    waveforms.GenerateTrainingWaveforms.clear_instance_cache()
    third = waveforms.GenerateTrainingWaveforms().job_group
    assert len({first, second, third}) == 3
    waveforms.GenerateTrainingWaveforms.clear_instance_cache()


def test_jobs_get_the_address_of_the_server(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "server_address", lambda *_: "gpu1:8001")
    assert inference.ScoreSlides().job_variables() == {inference.SERVER: "gpu1:8001"}
    monkeypatch.setattr(engines, "server_address", lambda *_: None)
    assert inference.ScoreSlides().job_variables() == {}


def test_a_job_uses_what_the_batch_system_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    assert processes.cores() == len(os.sched_getaffinity(0))
    monkeypatch.setenv(processes.JOB_CORES, "3")
    assert processes.cores() == 3
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for visible, device in (("", "cpu"), ("GPU-1", "cuda")):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert given_device() == device


def test_states_are_printed_in_words() -> None:
    line = "12:00:00: all: 5, pending: 3 (-1), running: 2 (+1), finished: 0 (+0)"
    assert Workflow.modify_polling_status_line(None, line) == "5 jobs: 3 pending, 2 running"


def test_a_machine_that_cannot_submit_is_refused_at_once(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binaries = run / "bin"
    binaries.mkdir()
    (binaries / "bash").symlink_to(shutil.which("bash"))
    monkeypatch.setenv("PATH", str(binaries))
    result = aframe_here("run", str(run), "--check")
    assert result.returncode == 1
    assert "workflow = slurm of GenerateTrainingWaveforms: sbatch is not on PATH" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_job_does_not_do_what_it_needs(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(processes.JOB, raising=False)
    branch = waveforms.GenerateValidationWaveforms(branch=0)
    assert len(branch.deps()) == 1
    monkeypatch.setenv(processes.JOB, "x")
    assert branch.deps() == []
