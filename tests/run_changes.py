"""Changes to a run's files that cause mistakes."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import torch

LOCAL = "source = local\nframes = frames"


def cfg(pattern: str, replacement: str) -> Callable[[Path], None]:
    """Replace text in the .cfg. A new key goes before the pattern's match."""
    return lambda run: edit(run / "sandbox.cfg", pattern, replacement)


def vetoes(text: str) -> Callable[[Path], None]:
    """Add keys of vetoes to the .cfg."""
    return cfg(r"^\[luigi_sensitivity\]", f"[luigi_vetoes]\n{text}\n\n[luigi_sensitivity]")


def yaml(pattern: str, replacement: str) -> Callable[[Path], None]:
    """Replace text in the training's YAML."""
    return lambda run: edit(run / "train.yaml", pattern, replacement)


def env(name: str, value: str) -> Callable[[Path], None]:
    """Set another directory."""
    return lambda run: edit(run / ".env", rf"^AFRAME_{name}_DIR=.*$", f'AFRAME_{name}_DIR="{value}"')


def file(name: str, content: str | bytes, *others: Callable[[Path], None]) -> Callable[[Path], None]:
    """Write a file in the run's directory, and apply changes that use it."""

    def write(run: Path) -> None:
        path = run / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        for other in others:
            other(run)

    return write


def frames(ifos: str = "H1 L1", rate: float = 2048.0, fill: float | None = None) -> Callable[[Path], None]:
    """Write files with a minute of strain, and use them in the .cfg."""

    def write(run: Path) -> None:
        edit(run / "sandbox.cfg", r"^source = simulated", LOCAL)
        (run / "frames").mkdir()
        for ifo in ifos.split():
            with h5py.File(run / "frames" / f"{ifo}.hdf5", "w") as target:
                noise = np.random.default_rng(0).normal(0, 1e-21, round(60 * rate)) if fill is None else fill
                target.create_dataset(ifo, data=np.broadcast_to(noise, round(60 * rate)))
                target[ifo].attrs.update({"x0": 1262304000.0, "dx": 1 / rate})

    return write


def two_strains(run: Path) -> None:
    """Write a second strain of H1 beside the first one."""
    frames()(run)
    with h5py.File(run / "frames" / "H1.hdf5", "a") as target:
        for name in ("H1:GDS-CALIB_STRAIN", "H1:GDS-CALIB_STRAIN_CLEAN"):
            target.copy("H1", name)


def strain_with(**attributes: object) -> Callable[[Path], None]:
    """Write files of strain of H1 alone, with other attributes."""

    def write(run: Path) -> None:
        frames("H1")(run)
        with h5py.File(run / "frames" / "H1.hdf5", "a") as target:
            target["H1"].attrs.update(attributes)

    return write


def other_copy(run: Path) -> None:
    """Copy a file of strain under another name, and change a sample of the copy."""
    frames()(run)
    (run / "frames" / "copy.hdf5").write_bytes((run / "frames" / "H1.hdf5").read_bytes())
    with h5py.File(run / "frames" / "copy.hdf5", "a") as target:
        target["H1"][1000] *= 1.5


def state_dict(run: Path) -> None:
    """Save the weights of a network alone."""
    torch.save(torch.nn.Linear(2, 2).state_dict(), run / "state.pt")


def cut(run: Path) -> None:
    """Truncate the second file of strain."""
    frames()(run)
    os.truncate(run / "frames" / "L1.hdf5", 50_000)


def program(name: str, script: str = "exit 0") -> Callable[[Path], None]:
    """Install a command with a script."""

    def install(run: Path) -> None:
        path = run.parent / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        os.environ["PATH"] = f"{path.parent}{os.pathsep}{os.environ['PATH']}"

    return install


def folder(name: str) -> Callable[[Path], None]:
    """Make a directory in the run."""
    return lambda run: (run / name).mkdir()


def in_turn(*changes: Callable[[Path], None]) -> Callable[[Path], None]:
    """Apply several changes."""

    def change(run: Path) -> None:
        for each in changes:
            each(run)

    return change


def edit(path: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, replacement.replace("\\", r"\\"), path.read_text(), flags=re.MULTILINE)
    assert count == 1, pattern
    path.write_text(text)


def nothing(run: Path) -> None:
    """Change nothing."""
