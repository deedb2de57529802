"""Data module of a run. Training's own keys come from its YAML, shared keys from the run's ``.cfg``."""

import functools
import os
from typing import Any

from aframe.bank.template_bank import TemplateBank
from aframe.errors import ConfigurationError
from aframe.runs.artifacts import Artifacts
from aframe.runs.directories import Directories
from aframe.settings.read import load_config
from aframe.settings.sections import Config
from aframe.steps.waveforms import signal_source
from aframe.train.data import AframeDataModule
from aframe.train.inputs import TrainingInputs
from aframe.waveforms.mixtures import AnyPopulation
from aframe.waveforms.polarizations import WaveformGenerator


def signal_model(config: Config) -> tuple[AnyPopulation, WaveformGenerator]:
    """Population of signals, and the generator of their polarizations. Training draws new signals for each batch."""
    source = signal_source(config)
    return source.population, source.generator


def training_inputs(run: Artifacts) -> TrainingInputs:
    """Inputs of a run's training from its configuration and files."""
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
        bank=lambda: TemplateBank.read(run.bank),
    )


class RunDataModule(AframeDataModule):
    """Batches of whitened windows: noise, signals, and negatives without a coincident signal.

    The run's ``.cfg`` has the keys that training shares with other stages (detectors, rates, whitening). The other keys
    belong to training.

    Args:
        configuration: The run's ``.cfg``. The default is the environment variable LAW_CONFIG_FILE.
        **keys: Keys of ``AframeDataModule``.

    Raises:
        ConfigurationError: If there is no ``.cfg``, or values contradict each other.
    """

    def __init__(self, configuration: str = "", **keys: Any) -> None:
        path = configuration or os.environ.get("LAW_CONFIG_FILE", "")
        if not path:
            raise ConfigurationError("give the run's .cfg as --data.configuration, or in LAW_CONFIG_FILE")
        run = Artifacts(load_config(path), Directories.from_environment())
        super().__init__(training_inputs(run), **keys)
