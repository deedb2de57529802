"""The image of ``containers/Dockerfile``, as ``make test-container`` builds it."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from comparison import content, differences
from images import calls, use_stand_in
from terminal import aframe, environment_of, write_batch, write_run

from aframe.settings.jobs import BATCH_TASKS

pytestmark = pytest.mark.container

STRANGER = "4321:0"
"""A user of whom the image knows nothing, in root's group: as OpenShift has it."""


@pytest.fixture(scope="module")
def container() -> tuple[str, Path]:
    """Name of a container, and the directory of its files."""
    name, root = os.environ["AFRAME_TEST_CONTAINER"].split()
    return name, Path(root)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without containers."""
    directory = write_run(tmp_path_factory.mktemp("plain") / "run")
    result = aframe("run", str(directory))
    assert result.returncode == 0, result.stdout + result.stderr
    return directory


def inside(
    container: tuple[str, Path], *command: str, home: str = "/nowhere", volume: Path | None = None, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run a command as a stranger, with a home that is not there."""
    options = ["--user", STRANGER, "--env", f"HOME={home}"]
    options += [part for pair in variables.items() for part in ("--env", "=".join(pair))]
    options += ["--volume", f"{volume}:{volume}"] if volume else []
    line = ["buildah", "run", "--isolation", "chroot", *options, container[0], "--", *command]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=300)


def test_what_the_image_says_of_itself(container: tuple[str, Path]) -> None:
    told = subprocess.run(["buildah", "inspect", container[0]], capture_output=True, text=True, check=True).stdout
    config = json.loads(told)["Docker"]["config"]
    assert config["User"] == "1000:1000"
    assert not config["Entrypoint"]
    assert config["Cmd"] == ["aframe", "--help"]
    assert config["Labels"]["org.opencontainers.image.title"] == "aframe"
    assert not [variable for variable in config["Env"] if variable.startswith("PIP_")]
    pip = [path for name in ("etc/pip.conf", "etc/xdg/pip") if (path := container[1] / name).exists()]
    assert not pip


def test_commands_work_for_a_stranger_in_any_shell(container: tuple[str, Path]) -> None:
    for command in (["aframe", "--help"], ["bash", "-c", "aframe --help"], ["bash", "-l", "-c", "aframe --help"]):
        done = inside(container, *command)
        assert done.returncode == 0, done.stderr
        assert "sensitivity" in done.stdout
        assert not done.stderr
    names = "(u.find_spec(name).name for name in ('ml4gw', 'wandb'))"
    seen = f"import getpass, importlib.util as u; print(getpass.getuser(), *{names})"
    assert inside(container, "python", "-c", seen).stdout == "aframe ml4gw wandb\n"


def test_the_demos_data_are_those_made_outside(container: tuple[str, Path], tmp_path: Path) -> None:
    """Segments, strain and signals of both stages, by a stranger whose home cannot be written, to the byte."""
    made = []
    for where in ("outside", "inside"):
        directory = write_run(tmp_path / where)
        variables = environment_of(directory)
        if where == "outside":
            done = [aframe(stage, variables=variables) for stage in ("data", "waveforms")]
        else:
            home = directory / "home"
            home.mkdir(0o555)
            directory.chmod(0o777)
            own = {name: value for name, value in variables.items() if name.startswith(("AFRAME_", "LAW_"))}
            stages = [("aframe", stage) for stage in ("data", "waveforms")]
            done = [inside(container, *stage, home=str(home), volume=directory, **own) for stage in stages]
            assert not list(home.iterdir())
        for result in done:
            assert result.returncode == 0, result.stdout + result.stderr
            assert "Warning" not in result.stderr
        files = sorted(path.relative_to(directory) for path in directory.glob("*_data/**/*") if path.is_file())
        assert sum(path.parent.name == "background" for path in files) >= 3
        made.append({str(p): content(directory / p) if p.suffix == ".hdf5" else (directory / p).read_text()
                     for p in files})  # fmt: skip
    assert made[0] == made[1]


def test_the_same_tables_in_the_image_as_outside(
    container: tuple[str, Path], plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_stand_in(monkeypatch, tmp_path)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for all to read")
    directory = write_batch(write_run(tmp_path / "a run with 'quotes'"), "local", image=container[1])
    result = aframe("run", str(directory))
    assert result.returncode == 0, result.stdout + result.stderr
    assert not differences(plain, directory)
    asked = calls(tmp_path)
    assert {words[words.index("run") + 1].rpartition(".")[2] for words in asked} == set(BATCH_TASKS)
    assert not any("not for all" in word for words in asked for word in words)
    for title in ("FetchStrain test 2/2", "GenerateTrainingWaveforms", "GenerateInjections 1/2"):
        assert result.stdout.count(f"{title}: done in") == 1
