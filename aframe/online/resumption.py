"""What a search needs to go on where it stopped, in its output directory."""

import json
import math
from dataclasses import asdict, dataclass, field

import numpy as np
import torch

from aframe import storage
from aframe.errors import StorageError
from aframe.tensors import Psd

FILE = "progress.json"
"""Name of the record, in the output directory."""

FORMAT = 1
"""Version of the record's layout."""

LONGEST_PAUSE = 3600.0
"""Longest time (s of data) between the stop of a search and its restart after which its blocks go on."""


@dataclass(frozen=True)
class Resumption:
    """How far a search has come.

    Attributes:
        model: SHA-256 of the model.
        begin: Time from which strain is needed to go on, GPS s.
        anchor: Start of the stretch whose grid of blocks goes on, GPS s.
        searched_until: Start of the first window that was not scored, GPS s.
        psds: Smooth PSD of each detector that the network was adapted to, 1/Hz; empty if it was not.
    """

    model: str
    begin: float
    anchor: float
    searched_until: float
    psds: list[list[float]] = field(default_factory=list)

    @property
    def adapted_to(self) -> Psd | None:
        """PSDs that the network was adapted to, shape (ifos, frequency); None if it was not."""
        return torch.from_numpy(np.array(self.psds)) if self.psds else None

    def write(self, directory: str) -> None:
        """Write the record atomically.

        Args:
            directory: Output directory.

        Raises:
            StorageError: If it cannot be written.
        """
        storage.write_text(storage.join(directory, FILE), json.dumps({"format": FORMAT} | asdict(self)))

    @classmethod
    def read(cls, directory: str, model: str) -> "Resumption | None":
        """Read the record of a search with the same model.

        Args:
            directory: Output directory.
            model: SHA-256 of the model.

        Returns:
            None if no such search ran here, or its record is damaged.
        """
        path = storage.join(directory, FILE)
        if not storage.exists(path):
            return None
        try:
            content = json.loads(storage.read_text(path))
            if content.pop("format") != FORMAT or content["model"] != model:
                return None
            record = cls(**content)
            times = (record.begin, record.anchor, record.searched_until)
            return record if all(math.isfinite(time) for time in times) else None
        except (StorageError, ValueError, KeyError, TypeError):
            return None
