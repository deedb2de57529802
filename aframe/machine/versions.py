"""Which code computes: versions, and the commit of a checkout."""

import functools
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "aframe", "torch", "lightning", "lalsuite", "bilby", "gwpy", "astropy", "numpy", "h5py", "bokeh", "matplotlib",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Version of Python and of each package that numbers may depend on."""
    result = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            result[package] = version(package)
        except PackageNotFoundError:
            result[package] = "not installed"
    return result


@functools.cache
def commit() -> str:
    """Commit of a checkout in which the package lies, marked where files differ from it; empty elsewhere."""
    root = Path(__file__).parents[2]
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
    return told if (root / ".git").exists() else ""


def code() -> str:
    """In a line, which code computes.

    >>> code().startswith("aframe ")
    True
    """
    made = f"aframe {versions()['aframe']}, torch {versions()['torch']}"
    return f"{made}, commit {commit()}" if commit() else made
