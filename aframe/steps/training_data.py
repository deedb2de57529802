"""The data module of a run: training's own keys from its YAML, all that stages share from its ``.cfg``."""

import functools
import os
from typing import Any

from aframe.errors import ConfigurationError
from aframe.runs.artifacts import Artifacts
from aframe.runs.directories import Directories
from aframe.settings.read import load_config
from aframe.settings.sections import Config
from aframe.steps.waveforms import signal_source
from aframe.train.data import AframeDataModule
from aframe.train.inputs import TrainingInputs
from aframe.waveforms.polarizations import WaveformGenerator
from aframe.waveforms.priors import Population


def signal_model(config: Config) -> tuple[Population, WaveformGenerator]:
    """The population, and the generator of its polarizations, from which signals are drawn anew for each batch."""
    source = signal_source(config)
    return source.population, source.generator


def training_inputs(run: Artifacts) -> TrainingInputs:
    """What a run's training takes from its configuration and its files."""
    search, inference = run.config.search, run.config.inference
    return TrainingInputs(
        ifos=search.ifos,
        sample_rate=search.sample_rate,
        kernel_length=search.kernel_length,
        inference_sampling_rate=search.inference_sampling_rate,
        whitening=search.whitening,
        integration_window_length=inference.integration_window_length,
        cluster_window_length=inference.cluster_window_length,
        seed=search.seed,
        directory=run.directories.train_data,
        background_files=lambda: run.background_files("train"),
        signal_model=functools.partial(signal_model, run.config),
    )


class RunDataModule(AframeDataModule):
    """Batches of whitened windows, half of them drawn from signals and half from noise, or as configured.

    What training shares with the other stages (detectors, rates, whitening) comes from the run's ``.cfg``; the other
    keys are training's own.

    Args:
        configuration: The run's ``.cfg``; default: the environment variable LAW_CONFIG_FILE.
        **keys: Keys of ``AframeDataModule``.

    Raises:
        ConfigurationError: If no ``.cfg`` is given, or values contradict each other.
    """

    def __init__(self, configuration: str = "", **keys: Any) -> None:
        path = configuration or os.environ.get("LAW_CONFIG_FILE", "")
        if not path:
            raise ConfigurationError("give the run's .cfg as --data.configuration, or in LAW_CONFIG_FILE")
        run = Artifacts(load_config(path), Directories.from_environment())
        super().__init__(training_inputs(run), **keys)
