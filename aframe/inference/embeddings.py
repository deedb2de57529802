"""Embeddings of segments on disk. Later slides need no encoding, and whitening only to look at loud windows again."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import h5py
import numpy as np
import torch
from torch import Tensor

from aframe import storage
from aframe.errors import StorageError
from aframe.strain.files import parse_background_path
from aframe.strain.times import format_gps

CHUNK_SIZE = 2**18
"""Steps in a chunk of an HDF5 dataset. Each chunk has a checksum."""

STORED_TYPES = {torch.float32: torch.int32, torch.float16: torch.int16, torch.bfloat16: torch.int16}
"""Integer types that hold the bits of embeddings in a file, as HDF5 has no bfloat16."""


@dataclass(frozen=True)
class EmbeddingCache:
    """A directory with a file of embeddings for each background file. It may be deleted at any time.

    Several workers may use it at once: files appear when they are complete, and all workers write the same content.

    Attributes:
        directory: Local or s3 path.
        limit: Bytes that all files together may take. Embeddings that do not fit are not written.
        made_by: Model, engine and processor that computed the embeddings. Those of others, or of other strain, are
            replaced.
    """

    directory: str
    limit: float
    made_by: Mapping[str, str]

    def path(self, background: str) -> str:
        """Path of the file of a background file's embeddings."""
        start, duration = map(format_gps, parse_background_path(background))
        return storage.join(self.directory, f"embeddings-{start}-{duration}.hdf5")

    def read(self, background: str, ifos: Sequence[str]) -> list[Tensor] | None:
        """Read the embedding of each detector.

        Args:
            background: Path of the background file.
            ifos: Detectors, in the order of the result.

        Returns:
            Embeddings of shape (channels, steps); None if the directory has none, or only damaged or outdated ones.
        """
        path = self.path(background)
        if not storage.exists(path):
            return None
        try:
            with storage.open_hdf5(path) as file:
                if json.loads(file.attrs[storage.PARAMETERS_ATTRIBUTE]) != self._signature(background):
                    return None
                return [read_embedding(file[ifo]) for ifo in ifos]
        except (StorageError, OSError, LookupError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            print(f"note: {path} is damaged and is computed again ({reason})", file=sys.stderr)
            return None

    def write(self, background: str, embeddings: Mapping[str, Tensor]) -> None:
        """Write the embedding of each detector, unless the directory is full.

        Args:
            background: Path of the background file.
            embeddings: Embedding of each detector, shape (channels, steps).
        """
        path = self.path(background)
        others = storage.sizes(self.directory, "*.hdf5")
        others.pop(path, None)
        if sum(others.values()) + sum(e.nbytes for e in embeddings.values()) > self.limit:
            return
        try:
            with storage.create_hdf5(path, self._signature(background)) as file:
                for ifo, embedding in embeddings.items():
                    write_embedding(file, ifo, embedding)
        except StorageError as error:
            print(f"note: embeddings are not stored: {error}", file=sys.stderr)

    def _signature(self, background: str) -> dict[str, str]:
        return {**self.made_by, "strain": storage.fingerprint(background)}


def write_embedding(file: h5py.File, name: str, embedding: Tensor) -> None:
    """Write an embedding, with checksums.

    Args:
        file: The open file.
        name: Name of the dataset.
        embedding: Shape (channels, steps), in any precision of ``STORED_TYPES``.
    """
    steps = embedding.shape[-1]
    chunks = (1, math.ceil(steps / math.ceil(steps / CHUNK_SIZE)))
    bits = embedding.cpu().contiguous().view(STORED_TYPES[embedding.dtype]).numpy()
    file.create_dataset(name, data=bits, chunks=chunks, fletcher32=True)
    file[name].attrs["type"] = str(embedding.dtype).removeprefix("torch.")


def read_embedding(dataset: h5py.Dataset) -> Tensor:
    """Read an embedding of shape (channels, steps), in the precision in which it was written."""
    precision: torch.dtype = getattr(torch, str(dataset.attrs["type"]))
    return torch.from_numpy(np.asarray(dataset)).view(precision)
