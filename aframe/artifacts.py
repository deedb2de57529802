"""Where each artifact of a run lies, and which parameters it depends on."""

import importlib.util
import os
import shlex
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields, is_dataclass
from typing import Any, Literal

import yaml

from aframe import storage
from aframe.config import Config, Directories
from aframe.constants import AUTO
from aframe.errors import ConfigurationError, ParameterMismatchError, StorageError
from aframe.machine.precision_record import CHOICES, recorded
from aframe.strain.files import parse_background_path
from aframe.strain.recordings import format_gps
from aframe.strain.segments import Segment

Stage = Literal["train", "test"]

Computation = Literal["training", "scoring"]
"""What a network does in a run; each is done in one precision."""


WHERE_TRAINING_RUNS = (
    "train.data.configuration", "train.data.background_memory", "train.data.waveform_memory", "train.model.compiled",
)  # fmt: skip
"""Keys of the training YAML that say where and how fast a training runs, not what comes of it."""

TRAINER_PRECISION = "train.trainer.precision"
"""Name of the training's precision among parameters."""

SCORING_PRECISION = "inference.precision"
"""Name of the precision in which units are scored, among parameters."""


ELSEWHERE = ("batch", "export", "kubernetes")
"""Sections of the ``.cfg`` whose paths are those of other machines: of images, servers and clusters."""


@dataclass(frozen=True)
class Artifacts:
    """Paths and provenance of everything that a run makes.

    Attributes:
        config: The run's configuration.
        directories: Its directories.
    """

    config: Config
    directories: Directories

    @property
    def local_paths(self) -> list[str]:
        """Where on this machine the run's work reads and writes, absolute.

        First the directory of its ``.cfg``, then what the values of the ``.cfg`` name, then the run's directories.
        """
        sections = [getattr(self.config, field.name) for field in fields(self.config) if field.name not in ELSEWHERE]
        known = [section for section in sections if is_dataclass(section) and not isinstance(section, type)]
        values = [value for section in known for value in astuple(section)]
        texts = [text for value in values for text in (value if isinstance(value, tuple) else [value])]
        named = [part for text in texts if isinstance(text, str) for part in (text, text.partition(":")[2]) if part]
        there = [path for part in named if os.path.exists(path := self.config.resolve(part))]
        made = [path for path in astuple(self.directories) if not storage.is_remote(path)]
        return [os.path.abspath(path) for path in (self.config.path.parent, *there, *made)]

    def data_directory(self, stage: Stage) -> str:
        """Directory of a stage's strain and signals."""
        return self.directories.train_data if stage == "train" else self.directories.test_data

    def interval(self, stage: Stage) -> tuple[float, float]:
        """Start and stop of a stage's data, GPS s."""
        data = self.config.data
        return (data.train_start, data.train_stop) if stage == "train" else (data.train_stop, data.test_stop)

    def segments(self, stage: Stage) -> str:
        """Segwizard list of a stage's segments."""
        return storage.join(self.data_directory(stage), "segments.txt")

    def strain_index(self, stage: Stage, segment: Segment) -> str:
        """List of the background files of a segment: one, or several where samples are missing."""
        name = f"segment-{format_gps(segment.start)}-{format_gps(segment.duration)}.txt"
        return storage.join(self.data_directory(stage), "background", name)

    def background_files(self, stage: Stage) -> list[str]:
        """Background files of a stage, in order of time: those that the lists of its segments name.

        Raises:
            StorageError: If one of them is missing.
        """
        directory = storage.join(self.data_directory(stage), "background")
        paths = []
        for index in storage.glob(storage.join(directory, "segment-*.txt")):
            for name in storage.read_text(index).split():
                paths.append(storage.join(directory, name))
                if not storage.exists(paths[-1]):
                    raise StorageError(f"{paths[-1]} is missing: delete {index}, so that it is made again")
        return sorted(paths, key=parse_background_path)

    @property
    def training_waveforms(self) -> str:
        """Polarizations to train with."""
        return storage.join(self.directories.train_data, "training_waveforms.hdf5")

    @property
    def validation_waveforms(self) -> str:
        """Responses to validate with."""
        return storage.join(self.directories.train_data, "val_waveforms.hdf5")

    def injection_part(self, kind: str, segment: int, slide: int) -> str:
        """Injections, or rejected draws, of one segment and slide."""
        return storage.join(self.directories.test_data, "injections", f"{kind}-{segment:05d}-{slide:05d}.hdf5")

    @property
    def injections(self) -> str:
        """All testing injections."""
        return storage.join(self.directories.test_data, "waveforms.hdf5")

    @property
    def rejected(self) -> str:
        """All rejected draws."""
        return storage.join(self.directories.test_data, "rejected-parameters.hdf5")

    @property
    def training_yaml(self) -> str:
        """The training's YAML."""
        return self.config.resolve(self.config.Train.config)

    @property
    def model(self) -> str:
        """The trained model."""
        return storage.join(self.directories.train_run, "model.pt")

    def precision_record(self, computation: Computation) -> str:
        """Record of the precision that ``precision = auto`` came to, fixed for all of a computation."""
        directory = self.directories.train_run if computation == "training" else self.directories.results
        return storage.join(directory, "precision.json")

    def precision(self, computation: Computation, configured: Any = None) -> str:
        """The precision of a computation: as configured, or what ``auto`` came to; ``auto`` until that is fixed.

        Args:
            computation: Training, whose precisions have Lightning's names, or scoring.
            configured: What the training's YAML says; None where it says nothing.
        """
        if computation == "scoring":
            configured = self.config.inference.precision
        if configured not in (AUTO, None):
            return str(configured)
        return recorded(self.precision_record(computation), CHOICES[computation]) or AUTO

    @property
    def checkpoints(self) -> str:
        """Directory of the training's checkpoints."""
        return storage.join(self.directories.train_run, "checkpoints")

    @property
    def repository(self) -> str:
        """Triton model repository."""
        return storage.join(self.directories.results, "model_repo")

    @property
    def served_model(self) -> str:
        """Configuration of the exported model, written after the model itself."""
        return storage.join(self.repository, self.config.export.model_name, "config.pbtxt")

    def unit(self, kind: str, first: tuple[int, int], last: tuple[int, int], count: int) -> str:
        """Events of one unit of work.

        Args:
            kind: What is in it.
            first: Segment and number of its first slide.
            last: Of its last one.
            count: How many slides it has: between its ends lie more of them where ``Tb`` is longer.
        """
        ends = "-".join(f"{segment:05d}.{number:05d}" for segment, number in (first, last))
        return storage.join(self.directories.results, "units", f"{kind}-{ends}-{count}.hdf5")

    @property
    def embeddings(self) -> str:
        """Directory of embeddings that are kept for further slides."""
        return storage.join(self.directories.results, "embeddings")

    def events(self, kind: str) -> str:
        """All events of a kind: background, foreground or 0lag."""
        return storage.join(self.directories.results, f"{kind}.hdf5")

    def run_time(self, title: str) -> str:
        """Record of how long a task took."""
        return storage.join(self.directories.results, "times", _file_of(title))

    def activity(self, title: str) -> str:
        """What a task is at work on, or why it failed."""
        return storage.join(self.activities, _file_of(title))

    @property
    def activities(self) -> str:
        """Directory of what tasks are at work on."""
        return storage.join(self.directories.results, "activity")

    def clean(self, kind: str) -> str:
        """Events of a kind without those in vetoed time; the same as all events where nothing is vetoed.

        Beside background, foreground and 0lag: ``live``, the stretches of slides in which nothing is vetoed, and
        ``vetoed``, the unshifted events in vetoed time and who vetoes each.
        """
        if not self.config.vetoes.given:
            return self.events(kind)
        return storage.join(self.directories.results, "clean", f"{kind}.hdf5")

    def plot(self, name: str) -> str:
        """A file among the plots."""
        return storage.join(self.directories.results, "plots", name)

    def result(self, name: str) -> str:
        """A file among the results."""
        return storage.join(self.directories.results, name)

    @property
    def lasting(self) -> list[str]:
        """What a finished run has; strain, waveforms and scored slides may be deleted once these are there."""
        kinds = ("background", "foreground", "0lag")
        clean = [self.clean(kind) for kind in (*kinds, "live", "vetoed")] if self.config.vetoes.given else []
        volume = [self.plot(f"sensitive_volume.{suffix}") for suffix in ("h5", "html")]
        answers = [self.result(name) for name in ("candidates.hdf5", "closeups.hdf5", "report.html")]
        return [self.model, self.served_model, *(self.events(kind) for kind in kinds), *clean, *volume, *answers]

    def is_finished(self) -> bool:
        """Whether all that lasts is there."""
        return all(map(storage.exists, reversed(self.lasting)))

    def check(self) -> None:
        """Refuse artifacts that were made with other parameters than the present configuration's.

        Raises:
            ParameterMismatchError: Naming the first that differs, both values, and all that is to be deleted else.
        """
        where = self.directories
        of_one_kind = [
            *(storage.join(where.results, name) for name in ("units", "clean")),
            *(storage.join(directory, "background") for directory in (where.train_data, where.test_data)),
            storage.join(where.test_data, "injections"),
        ]
        refused, stale = None, []
        for path, parameters in self._made():
            try:
                if storage.exists(path):
                    storage.check_parameters(path, parameters)
            except ParameterMismatchError as error:
                refused = refused or error
                directory = path.rpartition("/")[0]
                stale.append(directory if directory in of_one_kind else path)
        if refused is not None:
            command = "these are" if any(map(storage.is_remote, stale)) else "rm -r"
            told = f"{shlex.join(dict.fromkeys(stale))}{self._told_of_auto(refused.parameter)}"
            raise ParameterMismatchError(f"{refused} ({command} {told})")

    def _told_of_auto(self, parameter: str) -> str:
        """Where the value of a precision comes from that the configuration leaves to the machine."""
        known = {SCORING_PRECISION: self.config.inference.precision} | training_parameters(self.training_yaml)
        record = self.precision_record("scoring" if parameter == SCORING_PRECISION else "training")
        is_left = parameter in (SCORING_PRECISION, TRAINER_PRECISION) and known.get(parameter, AUTO) == AUTO
        return f"; {AUTO} is what {record} says: delete or mend it" if is_left and storage.exists(record) else ""

    def _made(self) -> list[tuple[str, dict[str, Any]]]:
        """Outputs that there may be, and the parameters that are to have made them."""
        units = storage.glob(storage.join(self.directories.results, "units", "*.hdf5"))
        clean = storage.glob(storage.join(self.directories.results, "clean", "*.hdf5"))
        made = [(path, self.made_strain("train")) for path in self._strain("train")]
        made += [(path, self.made_strain("test")) for path in self._strain("test")]
        made += [
            (self.training_waveforms, self.made_training_waveforms),
            (self.validation_waveforms, self.made_validation_waveforms),
            (self.injections, self.made_injections),
            (self.rejected, self.made_injections),
            (self.model, self.made_model),
            (self.served_model, self.made_repository),
            *((path, self.made_units) for path in units),
            *((self.events(kind), self.made_events) for kind in ("0lag", "foreground", "background")),
            *((path, self.made_clean) for path in clean),
            *((self.plot(f"sensitive_volume.{suffix}"), self.made_answers) for suffix in ("h5", "html")),
            *((self.result(f"{name}.hdf5"), self.made_answers) for name in ("candidates", "closeups")),
            (self.result("report.html"), self.made_answers),
        ]
        for kind in ("rejected", "accepted"):
            pattern = storage.join(self.directories.test_data, "injections", f"{kind}-*.hdf5")
            made += [(path, self.made_injections) for path in storage.glob(pattern)]
        if storage.exists(storage.join(self.checkpoints, "last.ckpt")):
            made.append((self.checkpoints, self.made_model))
        return made

    def _strain(self, stage: Stage) -> list[str]:
        return [self.segments(stage), *self.background_files(stage)]

    def made_strain(self, stage: Stage) -> dict[str, Any]:
        """Parameters of a stage's segments and strain."""
        other = "data.test_stop" if stage == "train" else "data.train_start"
        keys = self.config.parameters("data", "search.ifos", "search.sample_rate", "search.seed")
        return {name: value for name, value in keys.items() if name != other}

    def made_signals(self) -> dict[str, Any]:
        """Parameters of any signal, but not of how many; of a prior file or a module of the user's, its content too."""
        keys = {k: v for k, v in self.config.parameters("waveforms", "search").items() if ".num_" not in k}
        path = self._prior_source()
        if path is not None and storage.exists(path):
            keys["waveforms.prior's SHA-256"] = storage.sha256(path)
        return keys

    def _prior_source(self) -> str | None:
        """The file that says what the prior is, where it is not this package's own."""
        prior = self.config.waveforms.prior
        if prior.endswith(".prior"):
            return self.config.resolve(prior)
        return _source_of(prior.partition("(")[0])

    @property
    def made_training_waveforms(self) -> dict[str, Any]:
        """Parameters of the training polarizations."""
        keys = self.config.parameters("search.sample_rate", "search.seed", "waveforms.num_training_waveforms")
        return keys | {k: v for k, v in self.made_signals().items() if k.startswith("waveforms.")}

    @property
    def made_validation_waveforms(self) -> dict[str, Any]:
        """Parameters of the validation responses."""
        own = self.config.parameters("injections.snr_threshold", "waveforms.num_validation_waveforms")
        return self.made_strain("train") | self.made_signals() | own

    @property
    def made_injections(self) -> dict[str, Any]:
        """Parameters of the testing injections."""
        own = self.config.parameters("injections", "inference.shifts")
        return self.made_strain("test") | self.made_signals() | own

    @property
    def made_model(self) -> dict[str, Any]:
        """Parameters of the trained model: those of all training data, and the training YAML's content."""
        return self.made_model_by(self.training_yaml)

    def made_model_by(self, training_yaml: str, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Parameters of a model that another training YAML makes of the same data.

        Args:
            training_yaml: The YAML.
            changes: Values of the command line that replace some of its own, as ``train.<key>``.
        """
        model = self._configured_model_by(training_yaml, changes)
        precision = self.precision("training", model.get(TRAINER_PRECISION))
        return model if precision == AUTO else model | {TRAINER_PRECISION: precision}

    @property
    def configured_model(self) -> dict[str, Any]:
        """Parameters of the trained model as they are written, whatever a machine's ``precision = auto`` came to."""
        return self._configured_model_by(self.training_yaml, {})

    def _configured_model_by(self, training_yaml: str, changes: Mapping[str, Any] | None) -> dict[str, Any]:
        training = training_parameters(training_yaml) | dict(changes or {})
        training = {name: value for name, value in training.items() if name not in WHERE_TRAINING_RUNS}
        source = _source_of(str(training.get("train.model.architecture.class_path", "")))
        if source is not None:
            training["train.model.architecture's SHA-256"] = storage.sha256(source)
        signals = self.made_training_waveforms
        if training.get("train.data.waveforms") == "generated":
            signals = {name: value for name, value in signals.items() if ".num_" not in name}
        return signals | self.made_validation_waveforms | training

    @property
    def stores_training_waveforms(self) -> bool:
        """Whether the polarizations to train with are made beforehand, and not anew for each batch."""
        return training_parameters(self.training_yaml).get("train.data.waveforms") != "generated"

    @property
    def made_repository(self) -> dict[str, Any]:
        """Parameters of the exported model."""
        return self.made_model | self.config.parameters("export")

    @property
    def scoring_parameters(self) -> dict[str, Any]:
        """The precision in which units are scored."""
        return {SCORING_PRECISION: self.precision("scoring")}

    @property
    def made_units(self) -> dict[str, Any]:
        """Parameters of a unit's events: neither how many units there are nor which server was asked matters."""
        planning = tuple(
            f"inference.{k}" for k in ("Tb", "background_per_job", "return_timeseries", "embeddings_cache")
        )
        own = self.config.parameters("inference", "sensitivity.recovery_window") | self.scoring_parameters
        own = {k: v for k, v in own.items() if k not in planning and not k.startswith("inference.triton_")}
        served = self.config.parameters("export") if self.config.inference.asks_the_repository else {}
        return self.made_model | self.made_injections | own | served

    @property
    def made_events(self) -> dict[str, Any]:
        """Parameters of the merged events."""
        return self.made_units | self.config.parameters("inference.Tb")

    @property
    def made_clean(self) -> dict[str, Any]:
        """Parameters of the events outside vetoed time; those of all events where nothing is vetoed."""
        return self.made_events | (self.config.parameters("vetoes") if self.config.vetoes.given else {})

    @property
    def made_answers(self) -> dict[str, Any]:
        """Parameters of the sensitive volume, the candidates and the report."""
        return self.made_clean | self.config.parameters("sensitivity", "candidates")


def _source_of(path: str) -> str | None:
    """The file of the module in a python path, where it is not this package's own."""
    module = path.rpartition(".")[0]
    if not module or module.split(".")[0] == "aframe":
        return None
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return found.origin if found else None


def _file_of(title: str) -> str:
    """Name of a task's file."""
    return f"{title.replace(' ', '-').replace('/', '-of-')}.json"


def training_parameters(path: str) -> dict[str, Any]:
    """Keys and values of a training YAML, as ``train.<key>``.

    Args:
        path: The YAML.

    Raises:
        ConfigurationError: If it cannot be read.
    """
    try:
        content = yaml.safe_load(storage.read_text(path))
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is no YAML file: {' '.join(str(error).split())}") from None
    return _flatten(content or {}, "train")


def _flatten(tree: Any, prefix: str) -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix: tree}
    result: dict[str, Any] = {}
    for name, value in tree.items():
        result |= _flatten(value, f"{prefix}.{name}")
    return result
