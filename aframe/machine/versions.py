"""Versions of the code: packages, and the commit of a checkout."""

import functools
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "aframe", "torch", "lightning", "lalsuite", "bilby", "gwpy", "astropy", "numpy", "h5py", "bokeh", "matplotlib",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Version of Python and of each package that can affect results."""
    result = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            result[package] = version(package)
        except PackageNotFoundError:
            result[package] = "not installed"
    return result


@functools.cache
def commit() -> str:
    """Commit of the checkout of this package, marked if files differ from it; empty without a checkout."""
    root = Path(__file__).parents[2]
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        description = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
    return description if (root / ".git").exists() else ""


def code() -> str:
    """Versions and commit of this package in one line.

    >>> code().startswith("aframe ")
    True
    """
    version_line = f"aframe {versions()['aframe']}, torch {versions()['torch']}"
    return f"{version_line}, commit {commit()}" if commit() else version_line
