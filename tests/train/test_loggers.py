import json
import os

import pytest
import torch

from aframe.errors import ConfigurationError
from aframe.train import loggers as module
from aframe.train.loggers import loggers


def test_curves_go_to_tensorboard_in_the_training_directory(tmp_path):
    (logger,) = loggers(str(tmp_path), None, False)
    logger.log_metrics({"loss": 0.5}, 1)
    logger.finalize("success")
    assert [name for name in os.listdir(tmp_path / "tensorboard") if name.startswith("events")]


def test_log_entries_after_the_checkpoint_are_removed(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    torch.save({"global_step": 2}, tmp_path / "last.ckpt")
    for first, checkpoint in ((0, None), (2, str(tmp_path / "last.ckpt"))):
        (logger,) = loggers(str(tmp_path), checkpoint, False)
        for step in range(first, first + 4):
            logger.log_metrics({"loss": float(10 * first + step)}, step)
        logger.finalize("success")
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(0, 0), (1, 1), (2, 22), (3, 23), (4, 24), (5, 25)]


def test_weights_and_biases_is_optional_and_has_one_run_per_directory(tmp_path, monkeypatch):
    """Really run, offline; a training that is continued has the same identity."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "state"))
    _, logger = loggers(str(tmp_path), None, True)
    logger.log_metrics({"loss": 0.25}, 3)
    assert dict(logger.experiment.summary)["loss"] == 0.25
    assert logger.experiment.project == "aframe"
    logger.experiment.finish()
    assert [name for name in os.listdir(tmp_path / "wandb") if name.startswith("offline-run-")]
    assert json.dumps(logger.version) == json.dumps(loggers(str(tmp_path), None, True)[1].version)
    assert logger.version != loggers(str(tmp_path / "other"), None, True)[1].version


def test_missing_weights_and_biases_are_an_error_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'aframe\[wandb\]'"):
        loggers(str(tmp_path), None, True)
