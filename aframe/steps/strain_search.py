"""Search strain files with a model: what `aframe infer` and `aframe event` do with recordings."""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from aframe import storage
from aframe.constants import AUTO
from aframe.errors import ConfigurationError
from aframe.events.cluster import Clustering
from aframe.events.significance import Background
from aframe.inference.adaptation import adapted
from aframe.inference.recorded import SearchedRecordings, search_recorded
from aframe.inference.scorers import TorchScorer
from aframe.machine.precision import DTYPES, check_supported, described, is_emulated, resolve
from aframe.progress.lines import ProgressReport
from aframe.runs.artifacts import SCORING_PRECISION
from aframe.settings.sections import ADDED
from aframe.strain.channels import Recording
from aframe.train.model import Model, load

CLUSTER_WINDOW_LENGTH = 8.0
"""Length of the clustering window without a background and an option, s."""

AVERAGE = 1.0
"""Length over which scores are averaged without a background and an option, s. Matched filters average none."""


@dataclass(frozen=True)
class SearchChoices:
    """What a user chooses for a search of strain files.

    Attributes:
        model: Path of the model.
        background: Path of a run's background; empty for none.
        integration_window_length: Length over which scores are averaged, s; None for that of the background, or else
            the usual one.
        cluster_window_length: Length within which only the loudest event is kept, s; None as above.
        precision: In which the network computes; empty for that of the background, or else the device's best.
    """

    model: str
    background: str = ""
    integration_window_length: float | None = None
    cluster_window_length: float | None = None
    precision: str = ""


@dataclass(frozen=True)
class StrainSearch:
    """A model with all that a search of recordings needs besides these.

    Attributes:
        model: Network and preprocessing. After a search they may be adapted to its recordings.
        clustering: Settings that turn scores into events.
        precision: In which the network computes.
        device: Type of device.
        background: Events of time slides; None for none.
    """

    model: Model
    clustering: Clustering
    precision: str
    device: str
    background: Background | None

    @classmethod
    def prepare(cls, choices: SearchChoices, device: str) -> "StrainSearch":
        """Load the model and the background.

        Args:
            choices: What the user chooses.
            device: Type of device.

        Raises:
            ConfigurationError: If model, background and lengths do not belong together.
            StorageError: If a file is missing or damaged.
        """
        model = load(choices.model)
        background = Background.read(choices.background) if choices.background else None
        preprocessing = model.preprocessing
        lengths = _window_lengths(choices, model)
        clustering = Clustering(preprocessing.inference_sampling_rate, *lengths, preprocessing.coalescence_offset)
        return cls(model, clustering, _precision(choices, device), device, background)

    def search(
        self, recordings: Mapping[str, Sequence[Recording]], progress: ProgressReport | None = None
    ) -> tuple[SearchedRecordings, "StrainSearch"]:
        """Search recordings.

        Args:
            recordings: Recordings of each detector, as from ``recordings_of``.
            progress: Called with the seconds of strain that are done, and with the total.

        Returns:
            Events, loudest first, and searched time. With a background, the events have ``far_per_year`` and
            ``far_is_upper_limit``. Then the search with the model as it was adapted to the recordings.

        Raises:
            DataError: If no stretch is long enough to search.
            StorageError: If a file is damaged.
        """
        used = replace(self, model=adapted(self.model, recordings))
        scorer = TorchScorer(used.model, DTYPES[self.precision], self.device)
        found = search_recorded(scorer, recordings, self.clustering, progress)
        if self.background is not None:
            statistic = found.events["detection_statistic"]
            found.events.parameters["far_per_year"] = self.background.far_per_year(statistic)
            found.events.parameters["far_is_upper_limit"] = self.background.is_upper_limit(statistic)
        return found, used


def _precision(choices: SearchChoices, device: str) -> str:
    """Precision of the network. Prints a warning if the device emulates it.

    Args:
        choices: What the user chooses.
        device: Type of device.
    """
    parameters = storage.made_with(choices.background) or {} if choices.background else {}
    name = resolve(choices.precision or parameters.get(SCORING_PRECISION, AUTO), device)
    check_supported("--precision", name, DTYPES[name], device)
    if is_emulated(DTYPES[name], device):
        print(f"warning: strain is scored in {described(DTYPES[name], device)}", file=sys.stderr)
    return name


def _window_lengths(choices: SearchChoices, model: Model) -> tuple[float, float]:
    """Lengths of the integration and cluster windows, s.

    They must equal those of the background, if there is one.

    Args:
        choices: What the user chooses.
        model: Network and preprocessing.

    Raises:
        ConfigurationError: If another model made the background, or its windows are different.
    """
    parameters = storage.made_with(choices.background) or {} if choices.background else {}
    model_parameters = storage.made_with(choices.model) or {} if parameters else {}
    # neither record has the phase while it is zero, and a model may have lost its record
    phase = {"search.whitening_phase": model.preprocessing.whitening.phase} if parameters else {}
    recorded = ADDED | parameters
    for key, value in (model_parameters | phase).items():
        if key in recorded and recorded[key] != value:
            raise ConfigurationError(
                f"{choices.background} was made by another model ({key} = {recorded[key]!r}, this one has "
                f"{value!r}): give the background of this model's run"
            )
    integration = 1 / model.preprocessing.inference_sampling_rate if model.network.is_brief else AVERAGE
    lengths = []
    for name, default in (
        ("integration_window_length", integration),
        ("cluster_window_length", CLUSTER_WINDOW_LENGTH),
    ):
        expected, length = parameters.get(f"inference.{name}"), getattr(choices, name)
        if expected is not None and length not in (None, expected):
            raise ConfigurationError(f"{choices.background} was made with {name} = {expected} s: leave {length} out")
        lengths.append(next(value for value in (length, expected, default) if value is not None))
        if not 0 < lengths[-1] < math.inf:
            raise ConfigurationError(f"{name} = {lengths[-1]} s must be positive and finite")
    return lengths[0], lengths[1]
