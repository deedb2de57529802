"""Configuration, files and parameters of a run."""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from aframe import storage
from aframe.constants import AUTO
from aframe.errors import ConfigurationError
from aframe.runs.contents import catalogue_contents, release_contents, strain_contents, veto_contents
from aframe.runs.paths import Paths, Stage
from aframe.settings.mixture import weighted_names
from aframe.storage.provenance import CONTENT

WHERE_TRAINING_RUNS = (
    "train.data.configuration", "train.data.background_memory", "train.data.waveform_memory", "train.model.compiled",
)  # fmt: skip
"""Keys of the training YAML that affect place and speed of a training, but not its result."""

WHERE_TRIALS_RUN = ("tune.directory", "tune.name", "tune.trials", "tune.workers", "tune.backend", "tune.ray")
"""Beginnings of the keys of a study's YAML that affect its extent, place and speed, but no trial of it."""

TRAINER_PRECISION = "train.trainer.precision"
"""Parameter with the precision of training."""

SCORING_PRECISION = "inference.precision"
"""Parameter with the precision of scoring."""


@dataclass(frozen=True)
class Artifacts(Paths):
    """Paths of all files of a run, and the parameters that determine the content of each file.

    Attributes:
        config: The run's configuration.
        directories: The run's directories.
    """

    def strain_parameters(self, stage: Stage) -> dict[str, Any]:
        """Parameters of a stage's segments and strain, with the contents of the files that decide them."""
        other = "data.test_stop" if stage == "train" else "data.train_start"
        keys = self.config.parameters("data", "search.ifos", "search.sample_rate", "search.seed")
        contents = strain_contents(self.config, *self.interval(stage))
        return {name: value for name, value in keys.items() if name != other} | contents

    def signal_parameters(self) -> dict[str, Any]:
        """Parameters of all signals, except their number.

        They include the content of a prior file or of a user's module.
        """
        keys = {k: v for k, v in self.config.parameters("waveforms", "search").items() if ".num_" not in k}
        paths = [self._prior_source(name) for _, name in weighted_names(self.config.waveforms.prior)]
        contents = [storage.sha256(path) for path in paths if path is not None and storage.exists(path)]
        if contents:
            keys[f"waveforms.prior{CONTENT}"] = " ".join(contents)
        return keys

    def _prior_source(self, prior: str) -> str | None:
        """File with a population. None if it belongs to this package."""
        if storage.has_suffix(prior, ".prior"):
            return self.config.resolve(prior)
        return _source_of(prior.partition("(")[0])

    @property
    def training_waveform_parameters(self) -> dict[str, Any]:
        """Parameters of the training polarizations."""
        keys = self.config.parameters("search.sample_rate", "search.seed", "waveforms.num_training_waveforms")
        return keys | {k: v for k, v in self.signal_parameters().items() if k.startswith("waveforms.")}

    @property
    def validation_waveform_parameters(self) -> dict[str, Any]:
        """Parameters of the validation responses."""
        selection = self.config.parameters("injections.snr_threshold", "waveforms.num_validation_waveforms")
        return self.strain_parameters("train") | self.signal_parameters() | selection

    @property
    def bank_parameters(self) -> dict[str, Any]:
        """Parameters of the bank of templates."""
        keys = {name: value for name, value in self.config.parameters("bank").items() if name != "bank.bank_file"}
        return self.strain_parameters("train") | self.signal_parameters() | keys

    @property
    def injection_parameters(self) -> dict[str, Any]:
        """Parameters of the testing injections."""
        placement = self.config.parameters("injections", "inference.shifts")
        return self.strain_parameters("test") | self.signal_parameters() | placement

    @property
    def model_parameters(self) -> dict[str, Any]:
        """Parameters of the trained model: those of all training data, and the content of the training YAML."""
        return self.model_parameters_by(self.training_yaml) | self._study_parameters

    @property
    def study_yaml(self) -> str | None:
        """The YAML of the study whose best training is the run's model. None without a study."""
        return None if self.config.Train.tune is None else self.config.resolve(self.config.Train.tune)

    @property
    def study_trials(self) -> int:
        """Number of trainings: that of the study, or one."""
        return 1 if self.study_yaml is None else int(read_parameters(self.study_yaml, "tune").get("tune.trials", 1))

    @property
    def _study_parameters(self) -> dict[str, Any]:
        """Parameters of the study, if the run's model is the best of one. Its number of trials counts too."""
        if self.study_yaml is None:
            return {}
        tree = read_parameters(self.study_yaml, "tune")
        return study_parameters(tree) | {name: value for name, value in tree.items() if name == "tune.trials"}

    def model_parameters_by(self, training_yaml: str, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Parameters of the model that another training YAML makes from the same data.

        Args:
            training_yaml: Path of the YAML.
            changes: Values of the command line that replace values of the YAML, as ``train.<key>``.
        """
        model = self.configured_model_by(training_yaml, changes)
        precision = self.precision("training", model.get(TRAINER_PRECISION))
        return model if precision == AUTO else model | {TRAINER_PRECISION: precision}

    @property
    def configured_model(self) -> dict[str, Any]:
        """Parameters of the trained model as configured. They do not depend on the choice of ``auto``."""
        return self.configured_model_by(self.training_yaml, {}) | self._study_parameters

    def configured_model_by(self, training_yaml: str, changes: Mapping[str, Any] | None) -> dict[str, Any]:
        """Parameters as of ``model_parameters_by``. They do not depend on the choice of ``auto``.

        Args:
            training_yaml: Path of the YAML.
            changes: As in ``model_parameters_by``.
        """
        training = training_parameters(training_yaml) | dict(changes or {})
        training = {name: value for name, value in training.items() if name not in WHERE_TRAINING_RUNS}
        source = _source_of(str(training.get("train.model.architecture.class_path", "")))
        if source is not None:
            training[f"train.model.architecture{CONTENT}"] = storage.sha256(source)
        signals = self.training_waveform_parameters
        if training.get("train.data.waveforms") == "generated":
            signals = {name: value for name, value in signals.items() if ".num_" not in name}
        bank = self.bank_parameters if _has_bank(training) else {}
        return signals | self.validation_waveform_parameters | bank | training

    @property
    def stores_training_waveforms(self) -> bool:
        """Whether the training polarizations are stored before training, instead of drawn for each batch."""
        return training_parameters(self.training_yaml).get("train.data.waveforms") != "generated"

    @property
    def needs_bank(self) -> bool:
        """Whether the network to train has a bank of templates."""
        return _has_bank(training_parameters(self.training_yaml))

    @property
    def repository_parameters(self) -> dict[str, Any]:
        """Parameters of the exported model."""
        return self.model_parameters | self.config.parameters("export")

    @property
    def scoring_parameters(self) -> dict[str, Any]:
        """Parameter with the precision of scoring."""
        return {SCORING_PRECISION: self.precision("scoring")}

    @property
    def unit_parameters(self) -> dict[str, Any]:
        """Parameters of a unit's events. They do not include the number of units and the server's address."""
        planning = tuple(
            f"inference.{k}" for k in ("Tb", "background_per_job", "return_timeseries", "embeddings_cache")
        )
        scoring = self.config.parameters("inference", "sensitivity.recovery_window") | self.scoring_parameters
        scoring = {k: v for k, v in scoring.items() if k not in planning and not k.startswith("inference.triton_")}
        served = self.config.parameters("export") if self.config.inference.asks_the_repository else {}
        return self.model_parameters | self.injection_parameters | scoring | served

    @property
    def event_parameters(self) -> dict[str, Any]:
        """Parameters of the merged events."""
        return self.unit_parameters | self.config.parameters("inference.Tb")

    @property
    def clean_event_parameters(self) -> dict[str, Any]:
        """Parameters of the events outside vetoed time. Without vetoes, those of all events."""
        if not self.config.vetoes.given:
            return self.event_parameters
        return self.event_parameters | self.config.parameters("vetoes") | veto_contents(self.config)

    @property
    def answer_parameters(self) -> dict[str, Any]:
        """Parameters of the sensitive volume, the candidates and the report."""
        keys = self.config.parameters("sensitivity", "candidates")
        return self.clean_event_parameters | keys | catalogue_contents(self.config) | release_contents(self.config)


def _has_bank(training: Mapping[str, Any]) -> bool:
    """Whether the network of a training has a bank of templates.

    Args:
        training: Keys and values of the training YAML, from ``training_parameters``.
    """
    return str(training.get("train.model.architecture.class_path", "")).endswith("MatchedFilterNetwork")


def _source_of(path: str) -> str | None:
    """File of the module in a python path. None for modules of this package."""
    module = path.rpartition(".")[0]
    if not module or module.split(".")[0] == "aframe":
        return None
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return spec.origin if spec else None


def training_parameters(path: str) -> dict[str, Any]:
    """Keys and values of a training YAML, as ``train.<key>``."""
    return read_parameters(path, "train")


def study_parameters(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a study that its trials depend on.

    Args:
        tree: Keys and values of the study's YAML, as ``tune.<key>``.
    """
    return {name: value for name, value in tree.items() if not name.startswith(WHERE_TRIALS_RUN)}


def read_parameters(path: str, prefix: str) -> dict[str, Any]:
    """Read keys and values of a YAML, as ``<prefix>.<key>``.

    Args:
        path: Path of the YAML.
        prefix: Beginning of the keys.

    Raises:
        ConfigurationError: If the file is no YAML.
        StorageError: If the file cannot be read.
    """
    try:
        content = yaml.safe_load(storage.read_text(path))
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is no YAML file: {' '.join(str(error).split())}") from None
    return _flatten(content or {}, prefix)


def _flatten(tree: Any, prefix: str) -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix: tree}
    result: dict[str, Any] = {}
    for name, value in tree.items():
        result |= _flatten(value, f"{prefix}.{name}")
    return result
