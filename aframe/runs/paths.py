"""Paths of a run's files."""

import os
from dataclasses import astuple, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

from aframe import storage
from aframe.constants import AUTO, PRECISION_CHOICES
from aframe.errors import StorageError
from aframe.runs.directories import Directories
from aframe.runs.precision_record import recorded
from aframe.settings.keys import parse
from aframe.settings.sections import Config
from aframe.strain.files import parse_background_path
from aframe.strain.segments import Segment
from aframe.strain.times import format_gps

Stage = Literal["train", "test"]

Computation = Literal["training", "scoring"]
"""A computation of a network in a run. Each has one precision."""

REMOTE_PATH_SECTIONS = ("batch", "export", "kubernetes")
"""Sections of the ``.cfg`` with paths on other machines: images, servers and clusters."""


@dataclass(frozen=True)
class Paths:
    """Paths of all files of a run.

    Attributes:
        config: The run's configuration.
        directories: The run's directories.
    """

    config: Config
    directories: Directories

    @property
    def local_paths(self) -> list[str]:
        """Absolute paths on this machine that the run's work reads and writes.

        The directory of its ``.cfg`` comes first, then paths in the ``.cfg``, then the run's directories.
        """
        sections = [
            getattr(self.config, field.name) for field in fields(self.config) if field.name not in REMOTE_PATH_SECTIONS
        ]
        with_keys = [section for section in sections if is_dataclass(section) and not isinstance(section, type)]
        values = [value for section in with_keys for value in astuple(section)]
        texts = [text for value in values for text in (value if isinstance(value, tuple) else [value])]
        words = [part for text in texts if isinstance(text, str) for part in (text, text.partition(":")[2]) if part]
        inputs = [path for part in words if os.path.exists(path := self.config.resolve(part))]
        frames = self.config.resolve(self.config.data.frames or ".")
        if not storage.is_remote(frames):  # of a pattern, the directory that exists
            inputs.append(str(storage.existing_parent(Path(os.path.abspath(frames)))))
        curves = parse(self.config.data.asd, tuple[str, ...]) if self.config.data.asd else ()
        for path in map(self.config.resolve, curves):
            if os.path.exists(path):
                inputs.append(path)
            elif set(path) & set("*?["):  # of a pattern, likewise
                inputs.append(str(storage.existing_parent(Path(os.path.abspath(path)))))
        outputs = [path for path in astuple(self.directories) if not storage.is_remote(path)]
        return [os.path.abspath(path) for path in (self.config.path.parent, *inputs, *outputs)]

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

    def glitches(self, stage: Stage) -> str:
        """Table of the glitches in a stage's simulated strain."""
        return storage.join(self.data_directory(stage), "background", "glitches.hdf5")

    def strain_index(self, stage: Stage, segment: Segment) -> str:
        """List of the background files of a segment. There are several if samples are missing.

        Args:
            stage: Training or testing.
            segment: The segment.
        """
        name = f"segment-{format_gps(segment.start)}-{format_gps(segment.duration)}.txt"
        return storage.join(self.data_directory(stage), "background", name)

    def background_files(self, stage: Stage) -> list[str]:
        """Background files of a stage, in order of time. The lists of its segments name them.

        Raises:
            StorageError: If a file is missing.
        """
        directory = storage.join(self.data_directory(stage), "background")
        paths = []
        for index in storage.glob(directory, "segment-*.txt"):
            for name in storage.read_text(index).split():
                paths.append(storage.join(directory, name))
                if not storage.exists(paths[-1]):
                    raise StorageError(f"{paths[-1]} is missing: delete {index} to make it again")
        return sorted(paths, key=parse_background_path)

    @property
    def training_waveforms(self) -> str:
        """Polarizations for training."""
        return storage.join(self.directories.train_data, "training_waveforms.hdf5")

    @property
    def validation_waveforms(self) -> str:
        """Responses for validation."""
        return storage.join(self.directories.train_data, "val_waveforms.hdf5")

    @property
    def bank(self) -> str:
        """Bank of templates."""
        return storage.join(self.directories.train_data, self.config.bank.bank_file)

    def injection_part(self, kind: str, segment: int, slide: int) -> str:
        """Injections, or rejected draws, of one segment and slide.

        Args:
            kind: ``accepted`` or ``rejected``.
            segment: Index of the background file.
            slide: Number of the slide.
        """
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
        """Record of the choice for ``precision = auto``. It applies to all of a computation."""
        directory = self.directories.train_run if computation == "training" else self.directories.results
        return storage.join(directory, "precision.json")

    def precision(self, computation: Computation, configured: Any = None) -> str:
        """Precision of a computation: as configured, or the recorded choice of ``auto``. ``auto`` before the choice.

        Args:
            computation: Training, whose precisions have Lightning's names, or scoring.
            configured: Value in the training's YAML. None without a value.
        """
        if computation == "scoring":
            configured = self.config.inference.precision
        if configured not in (AUTO, None):
            return str(configured)
        return recorded(self.precision_record(computation), PRECISION_CHOICES[computation]) or AUTO

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
            kind: Kind of events.
            first: Segment and number of its first slide.
            last: Segment and number of its last slide.
            count: Number of its slides. A longer ``Tb`` puts more slides between the same ends.
        """
        ends = "-".join(f"{segment:05d}.{number:05d}" for segment, number in (first, last))
        return storage.join(self.directories.results, "units", f"{kind}-{ends}-{count}.hdf5")

    @property
    def embeddings(self) -> str:
        """Directory of the cache of embeddings for further slides."""
        return storage.join(self.directories.results, "embeddings")

    def events(self, kind: str) -> str:
        """All events of a kind: background, foreground or 0lag."""
        return storage.join(self.directories.results, f"{kind}.hdf5")

    def run_time(self, title: str) -> str:
        """Record of a task's duration."""
        return storage.join(self.directories.results, "times", _file_of(title))

    def activity(self, title: str) -> str:
        """Record of a task's progress, or of its failure."""
        return storage.join(self.activities, _file_of(title))

    @property
    def activities(self) -> str:
        """Directory of the tasks' activities."""
        return storage.join(self.directories.results, "activity")

    def clean(self, kind: str) -> str:
        """Events of a kind outside vetoed time. Without vetoes, all events of this kind.

        There are two more kinds. ``live`` has the stretches of slides outside vetoed time. ``vetoed`` has the unshifted
        events in vetoed time, with the names of their vetoes.
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


def _file_of(title: str) -> str:
    """Name of a task's file."""
    return f"{title.replace(' ', '-').replace('/', '-of-')}.json"
