"""A whole run, loaded from its directory."""

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from matplotlib.figure import Figure

from aframe import storage
from aframe.candidates.table import CandidateTable, candidates
from aframe.errors import ConfigurationError, StorageError
from aframe.notebook.arguments import Population, by_name
from aframe.notebook.background import SearchBackground, read_background
from aframe.notebook.candidates import Candidates
from aframe.notebook.display import DisplayedObject
from aframe.notebook.injections import Injections
from aframe.notebook.volumes import SensitiveVolumes
from aframe.runs.artifacts import Artifacts
from aframe.runs.directories import Directories
from aframe.sensitivity import volume
from aframe.sensitivity.volume import ALL_DRAWS, VolumeCurve, read_efficiencies, read_volumes
from aframe.settings import env_file
from aframe.settings.read import load_config
from aframe.steps.exposure import recovered_injections
from aframe.steps.targets import populations, weigh_draws
from aframe.tables import EventTable

CONFIGURATION, ENVIRONMENT = "sandbox.cfg", ".env"


class Search(DisplayedObject):
    """Results of a run. Each is read from disk or S3 when it is first used; nothing is written.

    Args:
        run: Paths of the run's files.
        name: Name of the run in messages.
    """

    def __init__(self, run: Artifacts, name: str) -> None:
        self.run, self.name = run, name

    @classmethod
    def load(cls, path: str | Path) -> "Search":
        """Load the run of a directory.

        It sets variables of the run's ``.env`` for access to S3 (``AWS_…``), unless this process already has them.

        Args:
            path: The directory that ``aframe init`` made, or a ``.cfg`` file. If there is no ``.env`` beside it, the
                environment gives the run's directories.

        Raises:
            ConfigurationError: If there is no run, or its configuration has mistakes.
        """
        if storage.is_remote(str(path)):
            raise ConfigurationError(
                f"{path}: a run's configuration lies in a local directory, also where its results are on S3: give that"
            )
        full_path = Path(storage.locate(str(path))).absolute()
        file = full_path if storage.has_suffix(str(full_path), ".cfg") else full_path / CONFIGURATION
        if not file.is_file():
            raise ConfigurationError(f"{file} does not exist: give the directory that `aframe init` made, or a .cfg")
        environment_file = file.parent / ENVIRONMENT
        variables = env_file.read(str(environment_file)) if environment_file.is_file() else {}
        for name, value in variables.items():
            if name.startswith("AWS_"):
                os.environ.setdefault(name, value)
        directories = Directories.from_environment({**os.environ, **variables})
        load_config.cache_clear()  # the file may have changed since an earlier load
        return cls(Artifacts(load_config(str(file)), directories), str(path))

    def facts(self) -> Mapping[str, str]:
        """Directories of the run, and the results that exist."""
        search = self.run.config.search
        parts = {
            "background": self.run.clean("background"),
            "injections": self.run.clean("foreground"),
            "candidates": self.run.clean("0lag"),
            "sensitive volume": self.run.plot("sensitive_volume.h5"),
        }
        existing = [name for name, path in parts.items() if storage.exists(path)]
        return {
            "run": self.name,
            "detectors": ", ".join(search.ifos),
            "results": self.run.directories.results,
            "there is": ", ".join(existing) or "nothing yet",
        }

    @cached_property
    def background(self) -> SearchBackground:
        """Events of time slides, outside vetoed time."""
        slides = read_background(self._existing("background", self.run.clean("background")))
        zero_lag = self._candidate_table(slides) if storage.exists(self.run.clean("0lag")) else None
        return SearchBackground(slides.statistics, slides.livetime, slides.path, zero_lag)

    @cached_property
    def injections(self) -> Injections:
        """Accepted injections outside vetoed time, and the events that recovered them."""
        self._existing("recovered injections", self.run.clean("foreground"))
        return Injections(recovered_injections(self.run), self.background)

    @cached_property
    def candidates(self) -> Candidates:
        """Unshifted events outside vetoed time, loudest first."""
        self._existing("unshifted events", self.run.clean("0lag"))
        zero_lag = self.background.zero_lag
        assert zero_lag is not None
        return Candidates(zero_lag, self.background, self.run.result("closeups.hdf5"))

    def sensitive_volume(self, populations: Sequence[Population] | Population | None = None) -> SensitiveVolumes:
        """Sensitive volumes against false alarm rate.

        It reads the volumes that the sensitivity step computed. It computes others from the run's injections in the
        same way.

        Args:
            populations: One or several populations: names that the run has, pairs of masses (``"35-30"`` or
                ``(35, 30)``, source frame, M☉), or any value of ``populations`` in ``[luigi_sensitivity]``. None takes
                all populations of the run.

        Raises:
            StorageError: If the run has not made the files that it needs.
            DataError: If a population is neither a name nor a pair of positive masses.
            ConfigurationError: If a population does not exist, or the injections cannot be weighted to it.
            ParameterMismatchError: If the injections were made with another configuration than the present one.
        """
        chosen = None if populations is None else by_name(populations)
        path = self.run.plot("sensitive_volume.h5")
        simulated = self.run.config.data.source == "simulated"
        if chosen is None:
            self._existing("sensitive volumes", path)
        stored = read_volumes(path) if storage.exists(path) else {}
        efficiencies = read_efficiencies(path).get(ALL_DRAWS, {}) if stored else {}
        if chosen is None:
            return SensitiveVolumes(stored, efficiencies, simulated)
        new = {name: population for name, population in chosen.items() if name not in stored}
        curves = stored | (self._volumes_of(new) if new else {})
        return SensitiveVolumes({name: curves[name] for name in chosen}, efficiencies, simulated)

    def figures(self) -> dict[str, Figure]:
        """Draw all figures of the report, by name: those of its directory ``figures``."""
        from aframe.report.gather import gather
        from aframe.report.paper import draw_figures

        directories = self.run.directories
        inputs = gather(
            directories.results, directories.train_run, directories.train_data, directories.test_data,
            bank_file=self.run.config.bank.bank_file,
        )  # fmt: skip
        return dict(draw_figures(inputs))

    def _candidate_table(self, background: SearchBackground) -> CandidateTable:
        """Candidates of the sensitivity step. Before that step, candidates ranked by false alarm rate alone."""
        ranked = self.run.result("candidates.hdf5")
        if storage.exists(ranked):
            return CandidateTable.read(ranked)
        zero_lag = EventTable.read(self.run.clean("0lag"), ["detection_statistic", "detection_time"])
        return candidates(zero_lag, background)

    def _volumes_of(self, new: Mapping[str, Population]) -> dict[str, VolumeCurve]:
        """Compute the volumes of populations, by name, that the sensitivity step has not computed."""
        self._existing("recovered injections", self.run.clean("foreground"))
        storage.check_parameters(self._existing("rejected draws", self.run.rejected), self.run.injection_parameters)
        pairs = [pair for name in new if (pair := volume.mass_pair(name)) is not None]
        others = [str(population) for name, population in new.items() if volume.mass_pair(name) is None]
        source, targets = populations(self.run, pairs, others)
        draws = weigh_draws(self.run, self.injections.table, source, targets)
        livetime = EventTable.read(self.run.clean("0lag"), [], slice(0)).livetime
        return volume.volume_against_far(draws, self.background, volume.default_far_grid(self.background), livetime)

    def _existing(self, what: str, path: str) -> str:
        """Check that a file of the run exists, and return its path.

        Raises:
            StorageError: If the run has not made it.
        """
        if not storage.exists(path):
            raise StorageError(
                f"{self.name} has no {what} yet ({path} does not exist): `aframe status {self.name}` says what is "
                f"missing, `aframe run {self.name}` goes on"
            )
        return path
