import argparse
import dataclasses
import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from terminal import aframe, environment_of, run_in, write_run

from aframe.checks import looks, machine
from aframe.checks.run import check_batch_systems
from aframe.commands import doctor
from aframe.costs import rates
from aframe.costs.rates import Rates
from aframe.machine import precision
from aframe.runs.artifacts import Artifacts
from aframe.runs.directories import Directories


def run_of(directory: Path, *changes: str) -> Artifacts:
    return run_in(write_run(directory, *changes))


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An otherwise empty directory with a shell, alone on PATH."""
    directory = tmp_path / "bin"
    directory.mkdir()
    (directory / "sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(directory))
    return directory


def program(path: Path, name: str, script: str = "exit 0") -> None:
    (path / name).write_text(f"#!/bin/sh\n{script}\n")
    (path / name).chmod(0o755)


def test_missing_and_old_packages_are_named_with_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [each.state for each in machine._packages()] == ["fine"]
    requirements = ["numpy>=99", "no-such-package>=2", "rich>=1", 'wandb>=99; extra == "wandb"']
    monkeypatch.setattr(machine.metadata, "requires", lambda _: requirements)
    [finding] = machine._packages()
    assert finding.state == "wrong"
    assert finding.description.endswith("is not >=99; no-such-package is missing")
    assert finding.mend == "pip install 'numpy>=99' 'no-such-package>=2'"


def test_batch_systems_matter_if_the_run_uses_them(path: Path, tmp_path: Path) -> None:
    assert {each.state for each in machine._batch_systems(None)} == {"absent"}
    run = run_of(tmp_path / "run", "batch.workflow=slurm")
    condor, slurm = machine._batch_systems(run)
    assert (condor.state, slurm.state) == ("absent", "wrong")
    assert slurm.description == "sbatch, squeue, scancel not on PATH"
    assert slurm.mend.startswith("run on a machine that submits to it")
    for name in ("sbatch", "scancel"):
        program(path, name)
    program(path, "squeue", "echo 'no controller' >&2; exit 1")
    slurm = machine._batch_systems(run)[1]
    assert (slurm.state, slurm.description) == ("wrong", "squeue: no controller")
    program(path, "squeue")
    assert machine._batch_systems(run)[1].state == "fine"


def test_a_batch_system_without_an_answer_is_given_up(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "BATCH_PATIENCE", 0.3)
    for name in ("condor_submit", "condor_history", "condor_rm"):
        program(path, name)
    program(path, "condor_q", "exec /bin/sleep 60")
    begun = time.monotonic()
    assert machine._batch_systems(None)[0].description == "condor_q: no answer in 0 s"
    check_batch_systems(run_of(tmp_path / "run", "batch.workflow=htcondor"))  # it can be busy
    assert time.monotonic() - begun < 30


def test_the_configured_triton_server_is_checked(path: Path, tmp_path: Path) -> None:
    assert machine._server(None)[0].state == "absent"
    engine = ("inference.engine=triton",)
    assert machine._server(run_of(tmp_path / "own", *engine))[0].state == "wrong"
    program(path, "apptainer")
    assert machine._server(run_of(tmp_path / "again", *engine))[0].description == "can be started with apptainer"
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        run = run_of(tmp_path / "asked", *engine, f"inference.triton_address={address}")
        assert machine._server(run)[0].description == f"{address}: listens"
    [finding] = machine._server(run)
    assert finding.state == "wrong"
    assert "aframe serve" in finding.mend


def test_images_need_a_container_program(path: Path, tmp_path: Path) -> None:
    assert machine._containers(None)[0].state == "absent"
    run = run_of(tmp_path / "run", "batch.image=docker://aframe")
    assert machine._containers(run)[0].state == "wrong"
    program(path, "singularity")
    assert machine._containers(run)[0].description == "singularity"


def test_a_container_engine_is_asked_whether_it_works(path: Path, tmp_path: Path) -> None:
    program(path, "docker", "echo 'Is the docker daemon running?' >&2; exit 1")
    [finding] = machine._containers(None)
    assert (finding.state, finding.description) == ("absent", "docker fails: Is the docker daemon running?")
    assert machine._server(None)[0].state == "absent"
    run = run_of(tmp_path / "run", "inference.engine=triton", "inference.triton_launcher=docker")
    [finding] = machine._containers(run)
    assert (finding.state, finding.mend) == ("wrong", "install or start docker, or set triton_launcher = auto")
    program(path, "docker")
    assert machine._containers(run)[0].description == "docker"
    assert machine._server(run)[0].description == "can be started with docker"


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A web server that answers with an empty page."""

    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_the_network_matters_for_searches_of_open_data(site: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(machine, "OPEN_DATA", site)
    assert machine._network(None)[0].state == "fine"
    monkeypatch.setattr(machine, "OPEN_DATA", "http://127.0.0.1:1/")
    assert machine._network(None) == [
        machine.Finding("open data", "absent", "gwosc.org: [Errno 111] Connection refused")
    ]
    [finding] = machine._network(run_of(tmp_path / "run", "data.source=gwosc"))
    assert finding.state == "wrong"
    assert "https_proxy" in finding.mend


def test_disk_space_must_suffice_for_the_run(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run")
    assert machine._disk(run, 1.0)[0].state == "fine"
    [finding] = machine._disk(run, 1e18)
    assert (finding.state, finding.mend) == ("wrong", "free space, or choose other directories in .env")
    assert "this run takes 1000000000.0 GB" in finding.description
    names = ("train_data", "test_data", "train_run", "condor", "results")
    remote = dataclasses.replace(run, directories=Directories(**dict.fromkeys(names, "s3://bucket/run")))
    assert machine._disk(remote, 1e18) == []


def test_a_disk_that_cannot_be_written_is_to_be_mended(tmp_path: Path) -> None:
    run, file = run_of(tmp_path / "run"), tmp_path / "file"
    file.touch()
    run = dataclasses.replace(run, directories=dataclasses.replace(run.directories, results=str(file / "results")))
    [finding] = machine._disk(run, 1.0)
    assert (finding.state, finding.description) == ("wrong", f"{file} cannot be written")


def test_a_store_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(tmp_path / "run")
    remote = dataclasses.replace(run, directories=dataclasses.replace(run.directories, results="s3://bucket/run"))
    monkeypatch.setattr(machine, "STORE_PATIENCE", 20.0)
    monkeypatch.setattr(machine, "STORE", "import sys; sys.exit(' '.join(sys.argv[1:]))")
    [finding] = machine._store(remote)
    assert (finding.state, finding.description) == ("wrong", "s3://bucket/run: s3://bucket/run")
    assert "AWS_ACCESS_KEY_ID" in finding.mend


@pytest.mark.s3
def test_a_store_that_can_be_written_is_fine(bucket: str, tmp_path: Path) -> None:
    run = run_of(tmp_path / "run")
    remote = dataclasses.replace(run, directories=dataclasses.replace(run.directories, results=bucket))
    assert machine._store(remote) == [machine.Finding("S3", "fine", f"{bucket}: can be written")]


def test_missing_waveform_data_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "LAL", 'print(\'{"version": "6"}\')')
    monkeypatch.setenv("LAL_DATA_PATH", f"/nowhere{os.pathsep}/tmp")
    assert machine._waveform_data()[0].description == "LAL_DATA_PATH: /nowhere does not exist"
    monkeypatch.setenv("LAL_DATA_PATH", "/tmp")
    assert [each.state for each in machine._waveform_data()] == ["fine", "fine"]
    monkeypatch.setattr(machine, "LAL", "import no_such_lal")
    assert machine._waveform_data()[0].mend == "pip install --force-reinstall lalsuite"


def measured(chosen: str, *emulated: str) -> str:
    """Python code that prints a measurement."""
    descriptions = {name: f"{name}, which is slow here" for name in emulated}
    return f"print({json.dumps({'chosen': chosen, 'why': 'it was measured', 'emulated': descriptions})!r})"


def test_the_choice_of_auto_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    [finding] = machine._precision(None)
    expected = f"auto is {precision.choose('cpu')}: {precision.explained('cpu')}"
    texts = (finding.description, expected)
    description, expected = (re.sub(r"about \d+", "some", text) for text in texts)  # measured twice
    assert (finding.state, description) == ("fine", expected)
    monkeypatch.setattr(machine, "PRECISION", "import no_such_torch")
    assert machine._precision(None)[0].state == "wrong"


def test_a_precision_that_this_machine_would_emulate_is_to_be_mended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    directory = write_run(tmp_path / "run", "inference.precision=bfloat16", "train.trainer.precision=bf16-mixed")
    monkeypatch.setattr(machine, "PRECISION", measured("float32", "bfloat16", "float16"))
    [finding] = machine._precision(run_in(directory))
    assert finding.state == "wrong"
    slow = "is bfloat16, which is slow here"
    assert finding.description == f"precision in [luigi_inference] {slow}; trainer.precision {slow}"
    assert finding.mend == "set precision in [luigi_inference] and trainer.precision: auto, which here is float32"
    monkeypatch.setattr(machine, "PRECISION", measured("bfloat16"))
    assert machine._precision(run_in(directory))[0].state == "fine"
    (directory / "train.yaml").unlink()
    assert machine._precision(run_in(directory))[0].state == "fine"


def test_gpus_are_those_that_torch_sees(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    text = '{"version": "2.10", "threads": 4, "cuda": null, "gpus": []}'
    monkeypatch.setattr(machine, "TORCH", f"print({text!r})")
    assert [each.state for each in machine._torch()] == ["fine", "absent"]
    program(path, "nvidia-smi")
    assert [each.state for each in machine._torch()] == ["fine", "wrong"]
    monkeypatch.setattr(
        machine, "TORCH", f"print({text.replace('[]', '[' + chr(34) + 'H100, 80 GB' + chr(34) + ']')!r})"
    )
    assert machine._torch()[1].description == "H100, 80 GB: give --gpus 0"
    monkeypatch.setattr(machine, "TORCH", "import no_such_torch")
    assert [each.state for each in machine._torch()] == ["wrong"]


def test_the_command_lists_each_thing_and_exits_with_1_if_one_is_wrong() -> None:
    done = aframe("doctor", variables=environment_of() | {"LAL_DATA_PATH": "/nowhere"})
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert {"✔", "✘", "–", "→"} >= {line.split()[0] for line in lines}
    things = [line[2:].partition("  ")[0] for line in lines if line[0] != " "]
    assert things[:4] == ["python", "machine", "packages", "torch"]
    assert {"GPU", "HTCondor", "Slurm", "containers", "Triton", "S3", "disk", "open data"} <= set(things)
    wrong = next(k for k, line in enumerate(lines) if line.startswith("✘ LAL data"))
    assert lines[wrong + 1].split() == ["→", "mend", "LAL_DATA_PATH,", "or", "unset", "it"]


def test_a_configuration_with_mistakes_is_to_be_mended() -> None:
    [finding] = machine._configuration("/nowhere")
    assert finding.state == "wrong"
    assert "/nowhere" in finding.description
    assert finding.mend == "aframe run /nowhere --check lists all mistakes"


def test_costs_follow_the_findings(tmp_path: Path, monkeypatch, capsys) -> None:
    speeds = Rates(0.01, 0.1, 2.0, 1e-3, 2e-3, 1e-5, 3e-3, 3e-6, 1e-6, 1e-6, 1000, "cpu")
    needed: list[float] = []

    def check_up(_: object, __: str, size: float) -> list[machine.Finding]:
        needed.append(size)
        return [machine.Finding("python", "fine", "3.11"), machine.Finding("GPU", "wrong", "none", "buy one")]

    monkeypatch.setattr("aframe.checks.machine.check_up", check_up)
    monkeypatch.setattr(rates, "measure", lambda _: speeds)
    directory = write_run(tmp_path / "run")
    for name, value in environment_of(directory).items():
        monkeypatch.setenv(name, value)
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        doctor.run(argparse.Namespace(directory=str(directory), quick=False))
    assert stop.value.code == 1
    first, second, mend, empty, heading, *stages, last = capsys.readouterr().out.splitlines()
    assert (first, second) == ("✔ python         3.11", "✘ GPU            none")
    assert (mend.split(), empty) == (["→", "buy", "one"], "")
    assert heading.split()[:2] == ["stage", "GB"]
    assert {"trained model", "scored slides"} <= {stage[: heading.index("GB") - 3].strip() for stage in stages}
    assert last == "Measured here, on a core; GPU-hours are counted, not measured"
    assert 1e6 < needed[0] < 1e9


def test_unknown_costs_have_a_reason(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("aframe.checks.machine.check_up", lambda *_: [])
    doctor.run(argparse.Namespace(directory=str(tmp_path), quick=False))
    assert capsys.readouterr().out == (
        f"\nthe costs cannot be estimated: {tmp_path}/.env does not exist: write the run's files with "
        f"`aframe init {tmp_path}`\n"
    )
