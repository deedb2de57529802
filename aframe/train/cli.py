"""``aframe train``: Lightning's command line over one YAML, with the run's ``.cfg`` for what stages share."""

import os
import sys
import warnings
from collections.abc import Sequence

import torch
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.cli import LightningCLI

from aframe import config, storage
from aframe.errors import ConfigurationError
from aframe.train.callbacks import MetricsFile, SaveModel
from aframe.train.data import AframeDataModule
from aframe.train.module import AframeModule


def training_parameters(configuration: config.Config, path: str) -> dict[str, object]:
    """Everything that decides how a network turns out: shared parameters, data, and the training YAML's content.

    Args:
        configuration: The run's configuration.
        path: The training YAML.

    Raises:
        ConfigurationError: If the YAML cannot be read.
    """
    try:
        content = yaml.safe_load(storage.read_text(path))
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is no YAML file: {' '.join(str(error).split())}") from None
    flat = {f"train.{name}": value for name, value in _flatten(content or {}).items()}
    return configuration.parameters("search", "data", "waveforms", "injections.snr_threshold") | flat


def _flatten(tree: object, prefix: str = "") -> dict[str, object]:
    if not isinstance(tree, dict):
        return {prefix: tree}
    result: dict[str, object] = {}
    for name, value in tree.items():
        result |= _flatten(value, f"{prefix}.{name}" if prefix else str(name))
    return result


def main(arguments: Sequence[str]) -> None:
    """Run a training command such as ``fit --config train.yaml``.

    A training that was interrupted continues from its last checkpoint; one that was made with other parameters is refused.

    Args:
        arguments: Lightning's: a subcommand (fit, validate) and its options.
    """
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    torch.set_float32_matmul_precision("high")
    defaults: dict[str, object] = {"enable_model_summary": False, "num_sanity_val_steps": 0, "logger": False}
    options = list(arguments)
    if "fit" in options and os.environ.get("LAW_CONFIG_FILE") and "--print_config" not in options:
        directory = config.Directories.from_environment().train_run
        checkpoints = storage.join(directory, "checkpoints")
        made_with = training_parameters(config.load(os.environ["LAW_CONFIG_FILE"]), _yaml_of(options))
        last = storage.join(checkpoints, "last.ckpt")
        if storage.exists(last):
            storage.check_parameters(checkpoints, made_with)
            options += ["--ckpt_path", last]
        storage.sign(checkpoints, made_with)
        defaults["default_root_dir"] = directory
        defaults["callbacks"] = [
            ModelCheckpoint(checkpoints, filename="last", save_last=False, enable_version_counter=False),
            MetricsFile(storage.join(directory, "metrics.csv")),
            SaveModel(storage.join(directory, "model.pt"), made_with),
            TQDMProgressBar(refresh_rate=10 if sys.stderr.isatty() else 50),
        ]
    LightningCLI(
        AframeModule,
        AframeDataModule,
        args=options,
        trainer_defaults=defaults,
        save_config_callback=None,
        seed_everything_default=False,
        parser_kwargs={"parser_mode": "yaml"},
    )


def _yaml_of(options: Sequence[str]) -> str:
    for position, option in enumerate(options):
        if option in ("--config", "-c") and position + 1 < len(options):
            return options[position + 1]
        if option.startswith("--config="):
            return option.partition("=")[2]
    raise ConfigurationError("aframe train fit needs --config FILE: `aframe init DIR` writes a train.yaml")
