"""Where drawn binaries lie: histograms of tables that need not fit into memory."""

from collections.abc import Iterator

import numpy as np

from aframe.report.inputs import DrawHistograms
from aframe.tables import InjectionTable, RejectedTable, Table
from aframe.types import Array

CHUNK_ROWS = 2**20
"""Rows that are read at once."""

MASS_GRID = np.geomspace(0.1, 1e4, 401)
REDSHIFT_GRID = np.linspace(0.0, 20.0, 20001)
SNR_GRID = np.geomspace(1e-3, 1e5, 321)
"""Fine bins, of which those that hold draws are kept, and joined to ``MOST_BINS`` at most."""

MOST_BINS = 40
SHOWN = 1500
"""Accepted draws whose masses are shown one by one."""

COLUMNS = ("mass_1", "mass_2", "redshift", "snr")


def draw_histograms(injections: str, rejected: str) -> DrawHistograms:
    """Histograms of all draws, and of the accepted ones, in one pass over the tables.

    Args:
        injections: Path of the ``InjectionTable``.
        rejected: Path of the ``RejectedTable``.
    """
    masses = np.zeros((len(MASS_GRID) - 1,) * 2)
    redshifts, snrs = np.zeros((2, len(REDSHIFT_GRID) - 1)), np.zeros((2, len(SNR_GRID) - 1))
    shown: list[Array] = []
    step = max(1, -(-InjectionTable.count(injections) // SHOWN))
    for kind, path, row in ((RejectedTable, rejected, 0), (InjectionTable, injections, 1)):
        for table in _pieces(kind, path):
            redshift, snr = table["redshift"], table["snr"]
            pair = np.stack([table["mass_1"], table["mass_2"]]) / (1 + redshift)
            places = np.searchsorted(MASS_GRID, pair, side="right") - 1
            flat = np.ravel_multi_index(tuple(places), masses.shape, mode="clip")
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
        yield kind.read(path, columns=COLUMNS, rows=slice(start, start + CHUNK_ROWS))


def _span(counts: Array) -> tuple[int, int, int]:
    """First and last of the bins that hold anything, and how many of them to join so that a whole number is left."""
    held = np.flatnonzero(counts)
    first, last = (int(held[0]), int(held[-1]) + 1) if len(held) else (0, 1)
    join = -(-(last - first) // MOST_BINS)
    last = first + join * -(-(last - first) // join)
    over = max(0, last - len(counts))
    return first - over, last - over, join


def _coarse(counts: Array, edges: Array) -> tuple[Array, Array]:
    first, last, join = _span(counts.sum(axis=0))
    return counts[:, first:last].reshape(2, -1, join).sum(axis=-1), edges[first : last + 1 : join]
