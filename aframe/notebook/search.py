"""A run as a whole, found by its directory."""

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from matplotlib.figure import Figure

from aframe import storage
from aframe.candidates.table import CandidateTable, candidates
from aframe.errors import ConfigurationError, StorageError
from aframe.notebook.asked import Population, named
from aframe.notebook.background import SearchBackground, read_background
from aframe.notebook.candidates import Candidates
from aframe.notebook.injections import Injections
from aframe.notebook.shown import Shown
from aframe.notebook.volumes import SensitiveVolumes
from aframe.runs.artifacts import Artifacts
from aframe.runs.directories import Directories
from aframe.sensitivity import volume
from aframe.sensitivity.volume import ALL_DRAWS, VolumeCurve, read_efficiencies, read_volumes
from aframe.settings import env_file
from aframe.settings.read import load_config
from aframe.steps.targets import populations, weigh_draws
from aframe.tables import EventTable, RecoveredTable

CONFIGURATION, ENVIRONMENT = "sandbox.cfg", ".env"


class Search(Shown):
    """A run's answers, each read when it is first asked for, from disk or from S3; nothing is written.

    Args:
        run: Where everything lies.
        name: What it is called.
    """

    def __init__(self, run: Artifacts, name: str) -> None:
        self.run, self.name = run, name

    @classmethod
    def load(cls, path: str | Path) -> "Search":
        """The run of a directory.

        Variables of its ``.env`` that say how S3 is reached (``AWS_…``) are set where this process has none.

        Args:
            path: The directory that ``aframe init`` made, or a ``.cfg``; without an ``.env`` beside it the environment
                says where the run's directories are.

        Raises:
            ConfigurationError: If there is no run, or its configuration has mistakes.
        """
        if storage.is_remote(str(path)):
            raise ConfigurationError(
                f"{path}: a run's configuration lies in a local directory, also where its results are on S3: give that"
            )
        given = Path(path).expanduser().absolute()
        file = given if given.suffix == ".cfg" else given / CONFIGURATION
        if not file.is_file():
            raise ConfigurationError(f"{file} does not exist: give the directory that `aframe init` made, or a .cfg")
        beside = file.parent / ENVIRONMENT
        set_here = env_file.read(str(beside)) if beside.is_file() else {}
        for name, value in set_here.items():
            if name.startswith("AWS_"):
                os.environ.setdefault(name, value)
        directories = Directories.from_environment({**os.environ, **set_here})
        load_config.cache_clear()  # a notebook outlives changes of the file
        return cls(Artifacts(load_config(str(file)), directories), str(path))

    def facts(self) -> Mapping[str, str]:
        """Where it lies, and how far it has come."""
        search = self.run.config.search
        parts = {
            "background": self.run.clean("background"),
            "injections": self.run.clean("foreground"),
            "candidates": self.run.clean("0lag"),
            "sensitive volume": self.run.plot("sensitive_volume.h5"),
        }
        there = [name for name, path in parts.items() if storage.exists(path)]
        return {
            "run": self.name,
            "detectors": ", ".join(search.ifos),
            "results": self.run.directories.results,
            "there is": ", ".join(there) or "nothing yet",
        }

    @cached_property
    def background(self) -> SearchBackground:
        """Events of time slides, outside vetoed time."""
        made = read_background(self._made("background", self.run.clean("background")))
        zero_lag = self._candidate_table(made) if storage.exists(self.run.clean("0lag")) else None
        return SearchBackground(made.statistics, made.livetime, made.path, zero_lag)

    @cached_property
    def injections(self) -> Injections:
        """Accepted injections outside vetoed time, and the events that recovered them."""
        table = RecoveredTable.read(self._made("recovered injections", self.run.clean("foreground")))
        return Injections(table, self.background)

    @cached_property
    def candidates(self) -> Candidates:
        """Unshifted events outside vetoed time, loudest first."""
        self._made("unshifted events", self.run.clean("0lag"))
        zero_lag = self.background.zero_lag
        assert zero_lag is not None
        return Candidates(zero_lag, self.background, self.run.result("closeups.hdf5"))

    def sensitive_volume(self, populations: Sequence[Population] | Population | None = None) -> SensitiveVolumes:
        """Sensitive volumes against false alarm rate.

        Those that the sensitivity step has made are read; others are computed from the run's injections, as it would.

        Args:
            populations: Names that the run knows, pairs of masses (``"35-30"`` or ``(35, 30)``, source frame, M☉), or
                whatever ``populations`` in ``[luigi_sensitivity]`` takes, or one such; all that the run has where None.

        Raises:
            StorageError: If the run has not come so far.
            DataError: If one is neither a name nor a pair of positive masses.
            ConfigurationError: If there is no such population, or it cannot be weighed.
            ParameterMismatchError: If the injections were made with another configuration than there is now.
        """
        wanted = None if populations is None else named(populations)
        path = self.run.plot("sensitive_volume.h5")
        simulated = self.run.config.data.source == "simulated"
        if wanted is None:
            self._made("sensitive volumes", path)
        known = read_volumes(path) if storage.exists(path) else {}
        shares = read_efficiencies(path).get(ALL_DRAWS, {}) if known else {}
        if wanted is None:
            return SensitiveVolumes(known, shares, simulated)
        new = {name: word for name, word in wanted.items() if name not in known}
        curves = known | (self._volumes_of(new) if new else {})
        return SensitiveVolumes({name: curves[name] for name in wanted}, shares, simulated)

    def figures(self) -> dict[str, Figure]:
        """All figures of the report, by name: those beside it in ``figures``."""
        from aframe.report.gather import gather
        from aframe.report.paper import draw_figures

        where = self.run.directories
        return dict(draw_figures(gather(where.results, where.train_run, where.train_data, where.test_data)))

    def _candidate_table(self, background: SearchBackground) -> CandidateTable:
        """The ranked candidates, or as far as they can be ranked without the sensitivity step."""
        ranked = self.run.result("candidates.hdf5")
        if storage.exists(ranked):
            return CandidateTable.read(ranked)
        zero_lag = EventTable.read(self.run.clean("0lag"), ["detection_statistic", "detection_time"])
        return candidates(zero_lag, background)

    def _volumes_of(self, named: Mapping[str, Population]) -> dict[str, VolumeCurve]:
        """Volumes of populations that the run has none of, by their names."""
        self._made("recovered injections", self.run.clean("foreground"))
        storage.check_parameters(self._made("rejected draws", self.run.rejected), self.run.made_injections)
        pairs = [pair for name in named if (pair := volume.mass_pair(name)) is not None]
        others = [str(word) for name, word in named.items() if volume.mass_pair(name) is None]
        source, wanted = populations(self.run, pairs, others)
        draws = weigh_draws(self.run, self.injections.table, source, wanted)
        livetime = EventTable.read(self.run.clean("0lag"), [], slice(0)).livetime
        return volume.volume_against_far(draws, self.background, volume.default_far_grid(self.background), livetime)

    def _made(self, what: str, path: str) -> str:
        """The path of a part of the run.

        Raises:
            StorageError: If the run has not come so far.
        """
        if not storage.exists(path):
            raise StorageError(
                f"{self.name} has no {what} yet ({path} does not exist): `aframe status {self.name}` says what is "
                f"missing, `aframe run {self.name}` goes on"
            )
        return path
