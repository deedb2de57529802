"""Walk through HDF5 files in a process of its own: on damaged metadata, the HDF5 library crashes or never ends.

``aframe.strain.hdf5_files`` starts the process. It prints the number of each file before it opens it, so the last
number is that of the file at which it crashed. It reports no errors: who reads the file then meets them again.
"""

import contextlib
import os
import sys

import h5py

from aframe.machine.processes import limit_processor_time

LONGEST_WALK = 30.0
"""Processor time that a file may take, s."""


def main() -> None:
    """Walk through the files whose paths are in standard input, with a zero byte between them."""
    for number, path in enumerate(sys.stdin.buffer.read().split(b"\0")):
        limit_processor_time(LONGEST_WALK)
        print(number, flush=True)
        with contextlib.suppress(Exception), h5py.File(os.fsdecode(path), "r") as file:
            _walk(file, set())


def _walk(item: h5py.Group | h5py.Dataset | h5py.Datatype, seen: set[tuple[int, int]]) -> None:
    """Read the metadata of an object and of those below it, and a sample of each dataset."""
    information = h5py.h5o.get_info(item.id)
    if (information.fileno, information.addr) in seen:
        return
    seen.add((information.fileno, information.addr))
    for name in item.attrs:
        with contextlib.suppress(Exception):
            item.attrs[name]
    for key in item if isinstance(item, h5py.Group) else ():
        with contextlib.suppress(Exception):
            _walk(item[key], seen)
    if isinstance(item, h5py.Dataset):
        if item.chunks:
            item.id.chunk_iter(lambda chunk: None)  # the table of chunks, without the chunks
        item[tuple(slice(size // 2, size // 2 + 1) for size in item.shape)]
