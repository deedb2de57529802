"""Overlap-save: how to cut a long correlation into Fourier transforms, and these into tiles that fit a cache."""

import itertools
import math
from collections.abc import Iterator

LONGEST_TRANSFORM = 32768
"""Largest Fourier transform of a stream, samples, where the templates allow. Its spectra fit a processor's cache."""


def transform_size(steps: int, step_size: int, receptive_field: int) -> int:
    """Size of the Fourier transforms that computes a number of steps with the least work, samples.

    Args:
        steps: Number of steps.
        step_size: Samples from one step to the next.
        receptive_field: Samples that a step depends on.
    """
    needed = (steps - 1) * step_size + receptive_field
    longest = max(LONGEST_TRANSFORM, 1 << math.ceil(math.log2(4 * receptive_field)))
    powers = [1 << power for power in range(3, 40) if 1 << power <= longest]
    sizes = [factor * power for factor, power in itertools.product((1, 3, 5), powers)]
    possible = [size for size in sizes if receptive_field <= size <= min(longest, 2 * needed + 8)]

    def work(size: int) -> float:
        transforms = math.ceil(steps / ((size - receptive_field) // step_size + 1))
        return transforms * size * math.log2(size)

    return min(possible, key=work)


def smooth_size(size: int) -> int:
    """Smallest 2^n, 3·2^n or 5·2^n that is no smaller than a size: quick Fourier transforms.

    >>> smooth_size(1000), smooth_size(1025)
    (1024, 1280)

    Args:
        size: Samples.
    """
    return min(factor << max(0, math.ceil(math.log2(size / factor))) for factor in (1, 3, 5))


def tiles(rows: int, templates: int, size: int) -> Iterator[tuple[slice, slice]]:
    """Cut a table of rows and templates into tiles of at most ``size`` cells, but at least one.

    Args:
        rows: Number of rows.
        templates: Number of templates.
        size: Largest number of cells.
    """
    width = min(templates, max(1, size))
    height = max(1, size // max(1, width))
    for template, row in itertools.product(range(0, templates, max(1, width)), range(0, rows, height)):
        yield slice(row, row + height), slice(template, template + width)
