"""The pipeline with its data and results on a real S3 server, killed and resumed, gives the tables of a local run."""

import os
import signal
import subprocess
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from terminal import AFRAME, aframe, environment_of, write_run

from aframe import storage
from aframe.train import model

pytestmark = pytest.mark.s3

TABLES = (
    "train_data/training_waveforms.hdf5",
    "train_data/val_waveforms.hdf5",
    "test_data/waveforms.hdf5",
    "test_data/rejected-parameters.hdf5",
    "results/background.hdf5",
    "results/foreground.hdf5",
    "results/0lag.hdf5",
    "results/candidates.hdf5",
    "results/closeups.hdf5",
    "results/plots/sensitive_volume.h5",
)
TEXTS = ("train_data/segments.txt", "test_data/segments.txt", "train_run/metrics.csv", "results/candidates.csv")


def columns(path: str) -> dict[str, object]:
    """Each dataset and attribute of an HDF5 file."""
    found: dict[str, object] = {}

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        found.update({f"{name}@{key}": value for key, value in item.attrs.items()})
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with storage.open_hdf5(path) as file:
        visit("", file)
        file.visititems(visit)
    return found


def put_on(store: str, directory: Path) -> None:
    """Have all but the submit files of a run on a store."""
    text = (directory / ".env").read_text()
    for name in ("train_data", "test_data", "train_run", "results"):
        text = text.replace(f'="{directory}/{name}"', f'="{store}/{name}"')
    (directory / ".env").write_text(text)


def start(directory: Path) -> "subprocess.Popen[str]":
    command, pipe = [AFRAME, "run", str(directory), "--workers", "1"], subprocess.PIPE
    variables = environment_of() | {"AFRAME_CACHE_DIR": str(directory / "cache")}
    return subprocess.Popen(command, env=variables, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def test_tables_are_those_of_a_local_run(bucket: str, tmp_path: Path) -> None:
    local, remote = write_run(tmp_path / "local"), write_run(tmp_path / "remote")
    put_on(bucket, remote)
    plain, killed = start(local), start(remote)
    end = time.monotonic() + 300
    while not storage.exists(f"{bucket}/train_run/checkpoints/last.ckpt"):
        assert killed.poll() is None, killed.communicate()
        assert time.monotonic() < end
        time.sleep(0.2)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    resumed = start(remote)
    told = {name: process.communicate(timeout=400) for name, process in (("local", plain), ("remote", resumed))}
    assert (plain.returncode, resumed.returncode) == (0, 0), told
    assert told["remote"][0].splitlines()[-1] == f"report: {bucket}/results/report.html"
    for name in TABLES:
        one, two = columns(str(local / name)), columns(f"{bucket}/{name}")
        assert one.keys() == two.keys(), name
        for key, value in one.items():
            np.testing.assert_array_equal(value, two[key], err_msg=f"{name}: {key}")
    for name in TEXTS:
        assert (local / name).read_text() == storage.read_text(f"{bucket}/{name}"), name
    weights, others = (model.load(f"{place}/train_run/model.pt").network.state_dict() for place in (local, bucket))
    assert all((weights[name] == others[name]).all() for name in weights)
    assert storage.glob(f"{bucket}/test_data/injections/*") == []
    here = [path for path in remote.rglob("*") if path.suffix in (".hdf5", ".pt", ".ckpt")]
    assert {path.relative_to(remote).parts[0] for path in here} == {"cache"}
    listing = aframe("status", str(remote))
    assert {line[:5].strip() for line in listing.stdout.splitlines()} == {"done"}, listing.stdout + listing.stderr
