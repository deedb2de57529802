"""What two runs have made, compared to the byte."""

import hashlib
from pathlib import Path

import h5py

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


def content(path: Path) -> dict[str, str]:
    """Digest of each dataset and attribute of an HDF5 file."""
    found: dict[str, str] = {}

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        for key, value in item.attrs.items():
            found[f"{name}@{key}"] = repr(value)
        if isinstance(item, h5py.Dataset):
            found[name] = hashlib.sha256(item[()].tobytes()).hexdigest()

    with h5py.File(path) as file:
        visit("", file)
        file.visititems(visit)
    return found


def differences(first: Path, second: Path) -> list[str]:
    """What of two runs' results differs."""
    texts = [name for name in TEXTS if (first / name).read_bytes() != (second / name).read_bytes()]
    tables = [
        f"{name}: {key}"
        for name in TABLES
        for one, two in [(content(first / name), content(second / name))]
        for key in sorted(one.keys() | two.keys())
        if one.get(key) != two.get(key)
    ]
    strain = [path.relative_to(first) for path in sorted(first.glob("*_data/background/*.hdf5"))]
    assert strain
    return texts + tables + [str(name) for name in strain if content(first / name) != content(second / name)]
