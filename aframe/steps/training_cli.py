"""``aframe train``: Lightning's command line with one YAML, and the run's ``.cfg`` for shared keys."""

import functools
import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence

import torch
import yaml
from jsonargparse import ArgumentError
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.utilities.exceptions import SIGTERMException

from aframe import storage
from aframe.constants import AUTO
from aframe.errors import ConfigurationError, InterruptionError, MistakesError, TrainingError
from aframe.machine.processes import die_with
from aframe.runs.artifacts import Artifacts, training_parameters
from aframe.runs.directories import Directories
from aframe.settings.read import load_config
from aframe.steps.training_data import RunDataModule
from aframe.steps.training_precision import announce, settle
from aframe.steps.training_yaml import understood, yaml_conflicts, yaml_mistakes
from aframe.train.callbacks import (
    CheckpointWhenTerminated,
    EpochLines,
    KeepRecord,
    MetricsFile,
    SaveModel,
    SynchronisedNorms,
    TellSteps,
)
from aframe.train.checkpoints import LAST, WholeCheckpoints, check_whole, resumable
from aframe.train.forecast import Forecast
from aframe.train.loggers import loggers
from aframe.train.module import AframeModule
from aframe.train.trainer import AframeTrainer

RunWindowSeconds = Callable[[Artifacts, str, str, str], float]
"""Measure the time in seconds that this machine needs to train with one window.

The arguments are a run, the path of its training YAML, Lightning's name of a precision, and a type of device.
"""


def main(arguments: Sequence[str], window_seconds: RunWindowSeconds | None = None) -> None:
    """Run a training command such as ``fit --config train.yaml``.

    An interrupted training continues from its last checkpoint. It must have the checkpoint's parameters.

    Args:
        arguments: Lightning's arguments: a subcommand (fit, validate) and its options.
        window_seconds: Measures the speed of this machine, to explain a slow training. None without a measurement.

    Raises:
        ConfigurationError: If an argument is wrong.
        InterruptionError: If the training got SIGTERM.
        StorageError: If a checkpoint on the command line is damaged.
        TrainingError: If the training stops for a reason that the user can remedy.
    """
    _silence()
    if int(os.environ.get("LOCAL_RANK", "0")) > 0:  # a process that the first one started
        die_with(os.getppid())
    torch.set_float32_matmul_precision("high")
    defaults: dict[str, object] = {"enable_model_summary": False, "num_sanity_val_steps": 0, "logger": False}
    options, quiet = list(arguments), {"parser_mode": "yaml", "exit_on_error": False}
    if _value_of(options, "--data.configuration"):
        os.environ["LAW_CONFIG_FILE"] = _value_of(options, "--data.configuration")
    if _value_of(options, "--ckpt_path"):
        check_whole(_value_of(options, "--ckpt_path"))
    if "fit" in options and not any(option in options for option in ("--print_config", "--help", "-h")):
        path = _yaml_of(options)
        defaults |= _resumed(options, path, window_seconds) if os.environ.get("LAW_CONFIG_FILE") else {}
    try:
        LightningCLI(
            AframeModule,
            RunDataModule,
            trainer_class=AframeTrainer,
            args=options,
            trainer_defaults=defaults,
            save_config_callback=None,
            seed_everything_default=False,
            parser_kwargs=quiet | {name: dict(quiet) for name in LightningCLI.subcommands()},
        )
    except ArgumentError as error:
        _, message = understood(error, lambda key: _value_of(options, f"--{key}"), [])
        raise ConfigurationError(f"{' '.join(['aframe train', *arguments])}: {message}") from None
    except SIGTERMException:
        raise InterruptionError(
            "training was asked to end (SIGTERM): run again to continue from this very step"
        ) from None
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            part = " ".join(str(error).split(". ")[0].split())
            raise TrainingError(
                f"memory ran out ({part}): set data.background_memory and data.waveform_memory: host (or disk) and run "
                "again to continue; or begin in another AFRAME_TRAIN_RUN_DIR with a smaller data.batch_size"
            ) from None
        raise


def _resumed(options: list[str], path: str, window_seconds: RunWindowSeconds | None) -> dict[str, object]:
    """Options of a trainer that starts a training or continues it from a checkpoint.

    Args:
        options: Options of the command line. The precision and the checkpoint are appended.
        path: The training's YAML.
        window_seconds: As in ``main``.
    """
    directories = Directories.from_environment()
    run = Artifacts(load_config(os.environ["LAW_CONFIG_FILE"]), directories)
    mistakes = yaml_mistakes(path) or yaml_conflicts(path, run.config)
    if mistakes:
        raise MistakesError(mistakes)
    changes = _changes(options)
    precision = settle(run, path, changes)
    keys = training_parameters(path) | changes
    if int(os.environ.get("LOCAL_RANK", "0")) == 0:
        announce(precision, keys.get("train.trainer.accelerator", AUTO))
    options += ["--trainer.precision", precision]
    checkpoints, parameters = run.checkpoints, run.model_parameters_by(path, changes)
    checkpoint = resumable(checkpoints, is_told=os.environ.get("LOCAL_RANK", "0") == "0")
    if checkpoint is not None:
        storage.check_parameters(checkpoints, parameters)
        options += ["--ckpt_path", checkpoint]
    storage.sign(checkpoints, parameters)
    return {
        "default_root_dir": directories.train_run,
        "logger": loggers(directories.train_run, checkpoint, run.config.Train.use_wandb),
        "callbacks": [
            ModelCheckpoint(checkpoints, filename="last", save_last=False, enable_version_counter=False),
            CheckpointWhenTerminated(storage.join(checkpoints, LAST)),
            MetricsFile(storage.join(directories.train_run, "metrics.csv")),
            KeepRecord(directories.train_run),
            SaveModel(run.model, parameters),
            TellSteps(),
            Forecast(functools.partial(window_seconds, run, path) if window_seconds else None),
            TQDMProgressBar(refresh_rate=10) if sys.stderr.isatty() else EpochLines(),
        ],
        "plugins": [WholeCheckpoints(), LightningEnvironment(), SynchronisedNorms()],
        "enable_progress_bar": sys.stderr.isatty(),
    }


def _silence() -> None:
    """Hide warnings of Lightning and torch that a user cannot remedy."""
    for message in (
        "does not have many workers",
        "LightningCLI's args parameter",
        "has `__len__` defined",
        "LeafSpec",
        "Unable to serialize",
        "exists and is not empty",
        "is smaller than the logging interval",
        "is available on your system but is not used",
        "your dataloader is not resumable",  # the step number alone determines a batch
    ):
        warnings.filterwarnings("ignore", message=f"(?s).*{message}")
    logging.getLogger("lightning.pytorch").addFilter(lambda record: "litlogger" not in record.getMessage())
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)


def _value_of(options: Sequence[str], name: str) -> str:
    """Value of an option in the form ``name value`` or ``name=value``. Empty without this option."""
    for position, option in enumerate(options):
        if option == name and position + 1 < len(options):
            return options[position + 1]
        if option.startswith(f"{name}="):
            return option.partition("=")[2]
    return ""


def _changes(options: Sequence[str]) -> dict[str, object]:
    """Keys on the command line, and their values."""
    sections = ("--trainer.", "--model.", "--data.")
    names = [option.partition("=")[0] for option in options if option.startswith(sections)]
    return {f"train.{name.removeprefix('--')}": yaml.safe_load(_value_of(options, name)) for name in names}


def _yaml_of(options: Sequence[str]) -> str:
    path = _value_of(options, "--config") or _value_of(options, "-c")
    if not path:
        raise ConfigurationError("aframe train fit needs --config FILE: `aframe init DIR` writes a train.yaml")
    return path
