"""What is built of this tree, and how it installs and runs where it was not made."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from terminal import write_run

import aframe

ROOT = Path(__file__).parents[1]
NOBODY = 65534

OPTIONAL = {"wandb"}
"""Imported where it is asked for, and there is an extra for it."""


def declared() -> set[str]:
    """Names of the distributions that the package says it needs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {re.split(r"[\[<>=]", text)[0].lower().replace("_", "-") for text in project["dependencies"]}


def imported() -> set[str]:
    """Names of all packages that the source imports."""
    names = set()
    for path in (ROOT / "aframe").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(str(node.module).split(".")[0])
    return names - set(sys.stdlib_module_names) - {"aframe"}


def test_all_that_is_imported_is_declared() -> None:
    provided, needs = packages_distributions(), declared()
    missing = {
        name
        for name in imported() - OPTIONAL
        if name in provided and not needs & {each.lower().replace("_", "-") for each in provided[name]}
    }
    online = {"arrakis", "confluent_kafka", "gpstime", "igwn_auth_utils", "ligo", "prometheus_client"}
    assert missing <= {"ml4gw", "kr8s", "httpx", "optuna", "ray"} | online  # extras


def test_the_version_has_one_home() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert aframe.__version__ == version
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert "version" not in citation
    assert citation["license"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"]


def test_no_library_reports_to_its_makers() -> None:
    code = "import os, aframe; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "1"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of wheel and source distribution; the former is built from the latter."""
    directory = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", directory, ROOT], check=True, capture_output=True)
    return directory


@pytest.mark.install
def test_wheel_and_source_distribution_hold_what_they_should(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
        metadata = wheel.read(next(name for name in names if name.endswith("METADATA"))).decode()
    ours = {path.relative_to(ROOT).as_posix() for path in (ROOT / "aframe").rglob("*") if path.is_file()}
    ours = {name for name in ours if "__pycache__" not in name}
    assert {name for name in names if name.startswith("aframe/")} == ours
    assert {name.split("/")[0] for name in names} == {"aframe", f"aframe-{aframe.__version__}.dist-info"}
    assert "License-Expression: GPL-3.0-or-later" in metadata
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    files = ("CHANGELOG.md", "CITATION.cff", "LICENSE", "README.md", "constraints.txt", "Makefile", "docs/decisions.md")
    assert {*files, "tests/conftest.py", "models/demo/model.pt"} <= held
    assert not [name for name in held if name.endswith(".pyc") or name.startswith(("runs", ".venv"))]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory with a space in its name that every user may enter."""
    with tempfile.TemporaryDirectory(prefix="aframe of others ") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path
        path.chmod(0o700)


@pytest.fixture(scope="module")
def installed(built: Path, place: Path) -> Path:
    """Commands of an environment in which the wheel alone was installed, without a compiler.

    Nothing but law comes as source, and that is Python alone.
    """
    environment = place / "an environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    command = [environment / "bin" / "python", "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt"]
    command += ["--only-binary=:all:", "--no-binary=law", next(built.glob("*.whl"))]
    variables = os.environ | {"CC": "false", "CXX": "false", "PYTHONPATH": ""}
    subprocess.run(command, check=True, env=variables)
    return environment / "bin"


class Stranger:
    """Another user than root, if root runs the tests, whose home is read-only; reads what root reads, writes nothing.

    Python itself may lie in root's home, hence the reading.
    """

    def __init__(self, place: Path, commands: Path) -> None:
        self.home, self.work, self.commands = place / "home", place / "my work", commands
        for directory in (self.home, self.work):
            directory.mkdir()
        self.prefix: list[str] = []
        if os.geteuid() == 0:
            if shutil.which("setpriv") is None:
                pytest.skip("no setpriv: to become another user takes util-linux")
            capability = "+dac_read_search"
            self.prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
            self.prefix += [f"--inh-caps={capability}", f"--ambient-caps={capability}"]
        self.home.chmod(0o555)

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of the environment; nothing of this process's environment is passed on."""
        variables = {"HOME": str(self.home), "PATH": f"{self.commands}:/usr/bin:/bin", "LANG": "C.UTF-8"}
        words = [*self.prefix, str(self.commands / command[0]), *command[1:]]
        return subprocess.run(words, env=variables, cwd=self.work, capture_output=True, text=True, check=False)

    def own(self, directory: Path) -> None:
        """Give a directory to this user."""
        if os.geteuid() == 0:
            for path in (directory, *directory.rglob("*")):
                os.chown(path, NOBODY, NOBODY)


@pytest.fixture(scope="module")
def stranger(place: Path, installed: Path) -> Iterator[Stranger]:
    who = Stranger(place, installed)
    write_run(who.work / "my run")
    who.own(who.work)
    yield who
    who.home.chmod(0o755)


@pytest.mark.install
def test_another_user_without_a_home_runs_the_pipeline_from_a_path_with_spaces(stranger: Stranger) -> None:
    assert stranger.run("aframe", "--version").stdout == f"aframe {aframe.__version__}\n"
    for arguments in (("init", "another run"), ("status", "another run")):
        result = stranger.run("aframe", *arguments)
        assert result.stderr == ""
    result = stranger.run("aframe", "run", "my run", "--workers", "1")
    assert result.returncode == 0, result.stdout + result.stderr
    assert (stranger.work / "my run" / "results" / "report.html").is_file()
    assert "telemetry" not in result.stderr
    assert list(stranger.home.iterdir()) == []


@pytest.mark.install
def test_the_wheel_says_its_types(stranger: Stranger) -> None:
    code = "import aframe, pathlib; print((pathlib.Path(aframe.__file__).parent / 'py.typed').is_file())"
    assert stranger.run("python", "-c", code).stdout.strip() == "True"
