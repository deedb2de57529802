"""Embeddings of segments, kept on disk: further slides of a segment then cost neither whitening nor encoding."""

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
from aframe.strain.recordings import format_gps

CHUNK_SIZE = 2**18
"""Steps in a chunk, of which each has a checksum."""

STORED = {torch.float32: torch.int32, torch.float16: torch.int16, torch.bfloat16: torch.int16}
"""Types as which the bits of embeddings are written: HDF5 knows no bfloat16."""


@dataclass(frozen=True)
class EmbeddingCache:
    """A directory of embeddings, a file for each background file; it may be deleted at any time.

    Several workers may use it at once: files appear whole, and all workers write the same content.

    Attributes:
        directory: Local or s3.
        limit: Bytes that all files together may take; what does not fit is not kept.
        made_by: Model, engine and processor; embeddings of another one, or of other strain, are replaced.
    """

    directory: str
    limit: float
    made_by: Mapping[str, str]

    def path(self, background: str) -> str:
        """File of a background file's embeddings."""
        start, duration = map(format_gps, parse_background_path(background))
        return storage.join(self.directory, f"embeddings-{start}-{duration}.hdf5")

    def read(self, background: str, ifos: Sequence[str]) -> list[Tensor] | None:
        """Each detector's embedding, shape (channels, steps); None where there is none that can be trusted."""
        path = self.path(background)
        if not storage.exists(path):
            return None
        try:
            with storage.open_hdf5(path) as file:
                if json.loads(file.attrs[storage.PARAMETERS_ATTRIBUTE]) != self._signature(background):
                    return None
                return [_read(file[ifo]) for ifo in ifos]
        except (StorageError, OSError, LookupError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            print(f"note: {path} is damaged and is made anew ({reason})", file=sys.stderr)
            return None

    def write(self, background: str, embeddings: Mapping[str, Tensor]) -> None:
        """Keep each detector's embedding, unless the directory is full."""
        path = self.path(background)
        others = storage.sizes(storage.join(self.directory, "*.hdf5"))
        others.pop(path, None)
        if sum(others.values()) + sum(e.nbytes for e in embeddings.values()) > self.limit:
            return
        try:
            with storage.create_hdf5(path, self._signature(background)) as file:
                for ifo, embedding in embeddings.items():
                    _write(file, ifo, embedding)
        except StorageError as error:
            print(f"note: embeddings are not kept: {error}", file=sys.stderr)

    def _signature(self, background: str) -> dict[str, str]:
        return {**self.made_by, "strain": storage.fingerprint(background)}


def _write(file: h5py.File, name: str, embedding: Tensor) -> None:
    steps = embedding.shape[-1]
    chunks = (1, math.ceil(steps / math.ceil(steps / CHUNK_SIZE)))
    bits = embedding.cpu().contiguous().view(STORED[embedding.dtype]).numpy()
    file.create_dataset(name, data=bits, chunks=chunks, fletcher32=True)
    file[name].attrs["type"] = str(embedding.dtype).removeprefix("torch.")


def _read(dataset: h5py.Dataset) -> Tensor:
    precision: torch.dtype = getattr(torch, str(dataset.attrs["type"]))
    return torch.from_numpy(np.asarray(dataset)).view(precision)
