"""Images that Apptainer's stand-in runs."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import aframe

STAND_IN = Path(__file__).parent / "services" / "apptainer"


def use_stand_in(monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    """Have Apptainer's stand-in on PATH, which notes its calls in a directory; skip where it cannot run."""
    unshared = ["unshare", "--mount", "true"]
    if os.getuid() != 0 or subprocess.run(unshared, check=False, capture_output=True).returncode != 0:
        pytest.skip("the stand-in for apptainer needs root and unshare(1)")
    monkeypatch.setenv("APPTAINER_STAND_IN", str(directory))
    monkeypatch.setenv("PATH", f"{STAND_IN}{os.pathsep}{os.environ['PATH']}")


def calls(directory: Path) -> list[list[str]]:
    """Arguments of the stand-in's calls."""
    return [json.loads(line)["arguments"] for line in (directory / "calls").read_text().splitlines()]


def write_image(path: Path, files: list[Path], variables: Mapping[str, str]) -> Path:
    """An image of this machine's files, without /tmp but for some, and with some variables."""
    path.write_text(json.dumps({"root": "/", "files": [*map(str, files)], "environment": dict(variables)}))
    return path


def write_own_image(path: Path) -> Path:
    """An image that has this very Python and package."""
    binaries, source = Path(sys.executable).parent, Path(aframe.__file__).parents[1]
    variables = {"PATH": f"{binaries}:/usr/bin:/bin", "PYTHONPATH": str(source)}
    return write_image(path, [binaries.parent, source], variables)
