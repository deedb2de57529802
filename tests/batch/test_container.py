from pathlib import Path

import pytest
from terminal import write_batch, write_run

from aframe.batch import container
from aframe.checks.run import check_containers
from aframe.errors import ConfigurationError
from aframe.runs.artifacts import Artifacts
from aframe.runs.directories import Directories
from aframe.settings.read import load_config

NAMES = ("train_data", "test_data", "train_run", "condor", "results")


def test_variables_of_the_run_and_of_a_job_are_passed_inside_and_the_machines_own_are_not() -> None:
    passed = {
        "AFRAME_DEBUG": "1", "AWS_SECRET_ACCESS_KEY": "a 'hard' $ecret", "LAW_CONFIG_FILE": "/x", "https_proxy": "p",
        "AFRAME_JOB": "a-branch-3", "AFRAME_JOB_CORES": "2", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    not_passed = {
        "PATH": "/bin",
        "PYTHONPATH": "/lib",
        "LD_LIBRARY_PATH": "/lib",
        "DISPLAY": ":0",
        "BASH_FUNC_x%%": "()",
    }
    assert container.passed_inside(passed | not_passed) == passed
    injected = container.injected("singularity", passed)
    assert injected["SINGULARITYENV_AWS_SECRET_ACCESS_KEY"] == "a 'hard' $ecret"
    assert injected["SINGULARITYENV_PYTHONNOUSERSITE"] == "1"


def test_what_the_configuration_names_is_found(tmp_path: Path) -> None:
    directory, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    (elsewhere / "frames").mkdir(parents=True)
    for name in ("H1-gates.txt", "L1-gates.txt", "mine.prior"):
        (elsewhere / name).touch()
    write_run(
        directory, "data.source=local", f"data.frames={elsewhere}/frames", f"waveforms.prior={elsewhere}/mine.prior",
        f"vetoes.gates=H1:{elsewhere}/H1-gates.txt, L1:../elsewhere/L1-gates.txt", f"data.segments={elsewhere}/none",
    )  # fmt: skip
    write_batch(directory, "local", image=elsewhere / "aframe.sif")
    (elsewhere / "aframe.sif").touch()
    directories = Directories(**{name: "s3://bucket/prefix" for name in NAMES} | {"condor": str(tmp_path / "condor")})
    paths = Artifacts(load_config(str(directory / "sandbox.cfg")), directories).local_paths
    assert (paths[0], paths[-1]) == (str(directory), str(tmp_path / "condor"))
    expected = {"frames", "mine.prior", "H1-gates.txt", "L1-gates.txt"}
    assert set(paths[1:-1]) - {str(directory / "train.yaml")} == {str(elsewhere / name) for name in expected}


def test_paths_are_bound_once_with_what_links_and_variables_lead_to(tmp_path: Path) -> None:
    for name in ("data/train", "token", "link to"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "link to")
    paths = [str(tmp_path / "data" / "train"), str(tmp_path / "data"), str(tmp_path / "link")]
    variables = {
        "BEARER_TOKEN_FILE": str(tmp_path / "token"), "LAL_DATA_PATH": f"{tmp_path}/nowhere:{tmp_path}/link",
        "KRB5CCNAME": f"FILE:{tmp_path}/token", "AWS_ENDPOINT_URL": "http://127.0.0.1:80", "NDS2": "relative/path",
        "AFRAME_ROOT": "/",
    }  # fmt: skip
    expected = [str(tmp_path / name) for name in ("data", "link", "link to", "token")]
    assert container.bound(paths, variables) == expected


def test_a_path_that_cannot_be_bound_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"a,b cannot be bound in a container for its colon or comma"):
        container.bound([str(tmp_path / "a,b")], {})


def test_apptainer_is_looked_for_first_then_singularity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="neither apptainer nor singularity is on PATH: install one"):
        container.program("aframe.sif")
    for name in ("singularity", "apptainer"):
        (tmp_path / name).touch(0o755)
        assert container.program("aframe.sif") == name


@pytest.mark.parametrize("workflow", ["local", "slurm", "htcondor"])
def test_what_cannot_run_is_refused_before_anything_does(
    tmp_path: Path, workflow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = write_batch(write_run(tmp_path / "run"), workflow, image="aframe.sif")
    directories = Directories(**{name: str(tmp_path / name) for name in NAMES})
    run = Artifacts(load_config(str(directory / "sandbox.cfg")), directories)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    if workflow == "htcondor":  # whose machines have images of their own
        check_containers(run)
        return
    with pytest.raises(ConfigurationError, match="neither apptainer nor singularity"):
        check_containers(run)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "apptainer").touch(0o755)
    with pytest.raises(ConfigurationError, match=rf"image = {directory}/aframe\.sif does not exist: give a \.sif file"):
        check_containers(run)
    (directory / "aframe.sif").touch()
    check_containers(run)
    container.check_image("docker://example.org/aframe:1.0")
    with pytest.raises(ConfigurationError, match="does not exist: give a"):
        container.check_image("example.org/aframe:1.0")
