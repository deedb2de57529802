"""What two runs have made, on disk or on a store, compared to the byte."""

import hashlib
from pathlib import Path

import h5py

from aframe import storage

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


def content(path: Path | str) -> dict[str, str]:
    """Digest of each dataset and attribute of an HDF5 file."""
    found: dict[str, str] = {}

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        for key, value in item.attrs.items():
            found[f"{name}@{key}"] = repr(value)
        if isinstance(item, h5py.Dataset):
            found[name] = hashlib.sha256(item[()].tobytes()).hexdigest()

    with storage.open_hdf5(str(path)) as file:
        visit("", file)
        file.visititems(visit)
    return found


def differences(first: Path | str, second: Path | str) -> list[str]:
    """What of two runs' results differs."""

    def both(name: str) -> tuple[str, str]:
        return storage.join(str(first), name), storage.join(str(second), name)

    strain = storage.glob(str(first), "*_data", "background", "*.hdf5")
    assert strain
    names = (*TABLES, *("/".join(path.split("/")[-3:]) for path in strain))
    found = [name for name in TEXTS if len({storage.read_text(path) for path in both(name)}) > 1]
    for name in names:
        one, two = map(content, both(name))
        found += [f"{name}: {key}" for key in sorted(one.keys() | two.keys()) if one.get(key) != two.get(key)]
    return found
