"""A run whose inference asks a real Triton server: it gives the events of a run that needs none."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import served
from shipped import put_model
from terminal import AFRAME, aframe_here, environment_of, law_run, run_in, write_run

from aframe.serving.server import free_ports
from aframe.tables import EventTable, RecoveredTable

SCALE = ("inference.background_per_job=400", "export.model_name=search", "export.platform=onnxruntime")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, operators_read_once: None) -> Path:
    """A run of the network that is shipped, scored by torch; its model is exported."""
    directory = put_model(write_run(tmp_path_factory.mktemp("torch") / "run", *SCALE))
    variables = environment_of(directory)
    run = run_in(directory)
    for command in (
        ["data", "--stage=test"],
        ["waveforms", "--stage=test"],
        ["export", "--model", run.model, "--repository", run.repository, "--name", run.config.export.model_name],
        ["infer"],
    ):
        result = aframe_here(*command, variables=variables)
        assert result.returncode == 0, result.stderr
    return directory


def with_engine(whole: Path, directory: Path, **keys: object) -> Path:
    """A copy of the run in which other keys of the inference stand and all that depends on it is still to do."""
    shutil.copytree(whole, directory)
    (directory / ".env").write_text((directory / ".env").read_text().replace(str(whole), str(directory)))
    shutil.rmtree(directory / ".law", ignore_errors=True)
    for path in (directory / "results").iterdir():
        if path.name != "model_repo":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    text = "".join(f"{name} = {value}\n" for name, value in keys.items())
    configuration = (directory / "sandbox.cfg").read_text()
    (directory / "sandbox.cfg").write_text(configuration.replace("[luigi_inference]\n", f"[luigi_inference]\n{text}"))
    return directory


def check_events(directory: Path, whole: Path) -> None:
    """The same events, their statistics within a thousandth."""
    for name, kind in (("background", EventTable), ("0lag", EventTable), ("foreground", RecoveredTable)):
        made, known = (kind.read(str(path / "results" / f"{name}.hdf5")) for path in (directory, whole))
        assert len(made) == len(known) > 0
        time_column = "detection_time" if kind is EventTable else "injection_time"
        np.testing.assert_allclose(made[time_column], known[time_column], atol=1e-6)
        np.testing.assert_array_equal(made["shift"], known["shift"])
        np.testing.assert_allclose(made["detection_statistic"], known["detection_statistic"], atol=1e-3)
        if kind is EventTable:
            assert made.livetime == known.livetime


def servers() -> set[int]:
    """Numbers of all Triton servers that run."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text().strip() == "tritonserver":
                found.add(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def test_loud_injections_are_louder_than_all_background(whole: Path) -> None:
    background = EventTable.read(str(whole / "results" / "background.hdf5"))
    injected = RecoveredTable.read(str(whole / "results" / "foreground.hdf5"))
    loud = injected["ifo_snrs"].min(axis=1) > 10
    assert loud.any()
    assert injected["detection_statistic"][loud].min() > background["detection_statistic"].max()


def test_onnx_runtime_gives_the_same_events(whole: Path, tmp_path: Path) -> None:
    directory = with_engine(whole, tmp_path / "onnx", engine="onnx")
    result = aframe_here("infer", variables=environment_of(directory))
    assert result.returncode == 0, result.stderr
    check_events(directory, whole)


@pytest.mark.triton
def test_a_run_starts_one_server_for_all_its_jobs_and_ends_it(
    whole: Path, tmp_path: Path, tritonserver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = with_engine(whole, tmp_path / "own", engine="triton", triton_launcher="tritonserver")
    monkeypatch.setenv("PATH", f"{tritonserver}{os.pathsep}{os.environ['PATH']}")
    before = servers()
    result = law_run(directory, "--workers", "2", task="aframe.tasks.inference.MergeEvents")
    assert result.returncode == 0, result.stdout + result.stderr
    check_events(directory, whole)
    assert servers() <= before
    log = (directory / "condor" / "tritonserver.log").read_text()
    assert log.count("UTC: tritonserver --model-repository=") == 1
    assert not (directory / "condor" / ".triton.json").exists()


@pytest.mark.triton
def test_a_server_killed_in_the_middle_of_a_run_and_started_again_loses_nothing(
    whole: Path, tmp_path: Path, tritonserver: Path
) -> None:
    endpoint = free_ports("127.0.0.1")
    directory = with_engine(whole, tmp_path / "killed", engine="triton", triton_address=endpoint.address)
    repository = directory / "results" / "model_repo"
    with served.serving(repository, tritonserver, tmp_path / "first.log", endpoint) as running:
        run = subprocess.Popen(
            [AFRAME, "infer"], env=environment_of(directory), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        units = directory / "results" / "units"
        end = time.monotonic() + 60
        while not list(units.glob("0lag-*.hdf5")) and run.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        assert run.poll() is None
        os.kill(running.server, signal.SIGKILL)
        running.process.wait(20)
        done = len(list(units.glob("background-*.hdf5")))
    with served.serving(repository, tritonserver, tmp_path / "second.log", endpoint):
        out, errors = run.communicate(timeout=120)
    assert run.returncode == 0, out + errors
    assert 0 < done < len(list(units.glob("background-*.hdf5")))
    check_events(directory, whole)


@pytest.mark.triton
def test_a_run_is_refused_by_the_server_of_another(whole: Path, tmp_path: Path, small_server: served.Running) -> None:
    address = small_server.endpoint.address
    directory = with_engine(whole, tmp_path / "other", engine="triton", triton_address=address, triton_retries=0)
    text = (directory / "sandbox.cfg").read_text().replace("model_name = search", "model_name = joint")
    (directory / "sandbox.cfg").write_text(text)
    shutil.rmtree(directory / "results" / "model_repo")
    result = aframe_here("infer", variables=environment_of(directory))
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert f"the Triton server at {address} serves joint with kernel_length = 1.0" in result.stderr
    assert "kernel_length = 1.5" in result.stderr


def test_a_server_that_cannot_be_started_fails_the_run_with_its_reason(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = with_engine(whole, tmp_path / "none", engine="triton", triton_launcher="apptainer")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/bin")
    for result in (law_run(directory), aframe_here("infer", variables=environment_of(directory))):
        assert result.returncode == 1
        assert result.stderr.startswith("error: no Triton server can be started: apptainer not on PATH")
        assert len(result.stderr.splitlines()) == 1
