"""Random generators that depend on what is computed, never on where or in which order."""

import zlib

import numpy as np


def generator(seed: int, *keys: str | int) -> np.random.Generator:
    """A generator for one piece of work.

    Args:
        seed: The run's seed.
        keys: What identifies the piece of work: a task's name, a branch, a detector, ….

    The same arguments give the same stream on any machine and with any number of workers.
    """
    words = [zlib.crc32(key.encode()) if isinstance(key, str) else key for key in keys]
    return np.random.default_rng([seed, *words])
