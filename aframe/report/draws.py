"""Histograms of drawn binaries. The tables need not fit into memory."""

from collections.abc import Iterator

import numpy as np

from aframe.report.inputs import DrawHistograms
from aframe.tables import InjectionTable, RejectedTable, Table
from aframe.types import Array

CHUNK_ROWS = 2**20
"""Rows of a table that are read at once."""

MASS_GRID = np.geomspace(0.1, 1e4, 401)
"""Edges of fine bins in source-frame mass, M☉."""

REDSHIFT_GRID = np.linspace(0.0, 20.0, 20001)
"""Edges of fine bins in redshift."""

SNR_GRID = np.geomspace(1e-3, 1e5, 321)
"""Edges of fine bins in network SNR."""

MOST_BINS = 40
"""Largest number of bins of a histogram. Fine bins are joined, and empty ends cut off."""

SHOWN_DRAWS = 1500
"""Accepted draws whose masses are drawn as points."""

DRAW_COLUMNS = ("mass_1", "mass_2", "redshift", "snr")
"""Columns that the histograms need."""


def draw_histograms(injections: str, rejected: str) -> DrawHistograms:
    """Histogram all draws and the accepted ones, in one pass over the tables.

    Args:
        injections: Path of the ``InjectionTable``.
        rejected: Path of the ``RejectedTable``.
    """
    masses = np.zeros((len(MASS_GRID) - 1,) * 2)
    redshifts, snrs = np.zeros((2, len(REDSHIFT_GRID) - 1)), np.zeros((2, len(SNR_GRID) - 1))
    shown: list[Array] = []
    step = max(1, -(-InjectionTable.count(injections) // SHOWN_DRAWS))
    for kind, path, row in ((RejectedTable, rejected, 0), (InjectionTable, injections, 1)):
        for table in _pieces(kind, path):
            redshift, snr = table["redshift"], table["snr"]
            pair = np.stack([table["mass_1"], table["mass_2"]]) / (1 + redshift)
            bins = np.searchsorted(MASS_GRID, pair, side="right") - 1
            flat = np.ravel_multi_index(tuple(bins), masses.shape, mode="clip")
            masses += np.bincount(flat, minlength=masses.size).reshape(masses.shape)
            redshifts[row] += np.histogram(redshift, REDSHIFT_GRID)[0]
            snrs[row] += np.histogram(snr[np.isfinite(snr)], SNR_GRID)[0]
            if row == 1:
                shown.append(pair[:, ::step])
    for counts in (redshifts, snrs):
        counts[0] += counts[1]
    first, last, join = _span(masses.sum(axis=0) + masses.sum(axis=1))
    masses = masses[first:last, first:last].reshape((last - first) // join, join, -1, join).sum(axis=(1, 3))
    mass_edges = MASS_GRID[first : last + 1 : join]
    redshifts, redshift_edges = _coarse(redshifts, REDSHIFT_GRID)
    snrs, snr_edges = _coarse(snrs, SNR_GRID)
    points = np.concatenate([np.empty((2, 0)), *shown], axis=1)
    return DrawHistograms(mass_edges, masses, points, redshift_edges, redshifts, snr_edges, snrs)


def _pieces(kind: type[Table], path: str) -> Iterator[Table]:
    for start in range(0, kind.count(path), CHUNK_ROWS):
        yield kind.read(path, columns=DRAW_COLUMNS, rows=slice(start, start + CHUNK_ROWS))


def _span(counts: Array) -> tuple[int, int, int]:
    """Start and end of the bins that hold draws, and number of fine bins to join. The span is a multiple of it."""
    filled = np.flatnonzero(counts)
    first, last = (int(filled[0]), int(filled[-1]) + 1) if len(filled) else (0, 1)
    join = -(-(last - first) // MOST_BINS)
    last = first + join * -(-(last - first) // join)
    over = max(0, last - len(counts))
    return first - over, last - over, join


def _coarse(counts: Array, edges: Array) -> tuple[Array, Array]:
    first, last, join = _span(counts.sum(axis=0))
    return counts[:, first:last].reshape(2, -1, join).sum(axis=-1), edges[first : last + 1 : join]
