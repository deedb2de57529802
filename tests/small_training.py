"""A run small enough to train in a second, for the tests of training."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from aframe import cli

SMALL = {
    "search.psd_length": "8", "search.block_length": "16", "search.sample_rate": "512",
    "data.train_stop": "1262304512", "waveforms.num_training_waveforms": "60",
    "waveforms.num_validation_waveforms": "12",
    "waveforms.waveform_duration": "2", "train.trainer.max_epochs": "4", "train.trainer.precision": "32-true",
    "train.data.batches_per_epoch": "12", "train.data.batch_size": "16", "train.model.architecture.widths": "[4, 6]",
    "train.model.architecture.blocks": "[1, 1]", "train.model.architecture.kernels": "[3, 3]",
    "train.model.architecture.embedding_size": "4", "train.model.architecture.head_size": "4",
}  # fmt: skip
"""A run small enough to train in a second."""


def write_small_run(directory: Path, changes: Mapping[str, str] = MappingProxyType({})) -> Path:
    """Write the configuration of such a run, with some changes."""
    settings = [f"--set={name}={value}" for name, value in (SMALL | changes).items()]
    cli.main(["init", str(directory), "--config", "demo-factorised", *settings])
    return directory


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a run whose training data are made."""
    directory = write_small_run(tmp_path_factory.mktemp("runs") / "small")
    with pytest.MonkeyPatch.context() as patch:
        set_environment(patch, directory)
        patch.setattr("aframe.waveforms.source.PROBES", 64)  # LAL is slow where shapes are checked
        cli.main(["data", "--stage", "train"])
        cli.main(["waveforms", "--stage", "train", "--stage", "validation"])
    return directory


def set_environment(patch: pytest.MonkeyPatch, directory: Path) -> None:
    for name in ("train_data", "test_data", "train_run", "condor", "results"):
        patch.setenv(f"AFRAME_{name.upper()}_DIR", str(directory / name))
    patch.setenv("LAW_CONFIG_FILE", str(directory / "sandbox.cfg"))
    patch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.fixture
def run(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Chooses a new training run on the prepared data; returns its directory."""
    set_environment(monkeypatch, prepared)

    def choose(name: str) -> Path:
        monkeypatch.setenv("AFRAME_TRAIN_RUN_DIR", str(tmp_path / name))
        return tmp_path / name

    return choose
