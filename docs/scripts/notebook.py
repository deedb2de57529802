"""Draws docs/notebook.png from a finished run: python docs/scripts/notebook.py DIR."""

import sys
from pathlib import Path

from matplotlib.figure import Figure

import aframe
from aframe.report import paper


def main(run: str) -> None:
    """Write the figure.

    Args:
        run: Directory of a finished run.
    """
    search = aframe.Search.load(run)
    with paper.looks():
        drawn = Figure(figsize=(paper.BOTH_COLUMNS, 2 * paper.HEIGHT))
        (first, second), (third, fourth) = drawn.subplots(2, 2)
        search.background.plot(first)
        search.candidates.plot(second)
        search.injections.plot(axes=third)
        search.injections.plot_efficiency(axes=fourth)
    paper.save(drawn, str(Path(__file__).parents[1] / "notebook.png"))


if __name__ == "__main__":
    main(sys.argv[1])
