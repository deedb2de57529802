"""Draws the figures of the documentation anew: `make figures`, after the demo.

report.png is a picture of the demo's report, by Chromium, own-data.png one of the search of docs/own-data.md, whose
commands make it: `python docs/scripts/figures.py runs/mine own-data.png`, and gw150914.png one of the page that the
README's `aframe infer` writes: `python docs/scripts/figures.py candidates.html gw150914.png`. networks.svg is drawn
from what networks.json has of trainings that took hours. inference_cost.svg is measured anew. notebook.png has four
panels of any finished run.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from matplotlib.figure import Figure

import aframe
from aframe.report import paper

DOCS = Path(__file__).parents[1]
BENCHMARKS = DOCS.parent / "benchmarks"

PICTURE_SIZE = (1100, 1780)
"""Width and height of the picture of a report, pixels."""

DRAWING_TIME = 20_000
"""Milliseconds of a page's own time in which its figures are drawn."""


def picture(report: Path, path: Path) -> None:
    """Take a picture of the top of a page.

    Args:
        report: ``report.html`` of a run, or a page of events.
        path: PNG to write.

    Raises:
        SystemExit: If there is no browser, or it fails.
    """
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit(f"{path.name} needs chromium or google-chrome on PATH: install one")
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                f"--user-data-dir={profile}", f"--window-size={PICTURE_SIZE[0]},{PICTURE_SIZE[1]}",
                f"--virtual-time-budget={DRAWING_TIME}", f"--screenshot={path}", report.resolve().as_uri(),
            ],
            check=True, capture_output=True,
        )  # fmt: skip


def panels(run: Path, path: Path) -> None:
    """Draw what docs/notebook.md shows.

    Args:
        run: A finished run.
        path: PNG to write.
    """
    search = aframe.Search.load(run)
    with paper.looks():
        drawn = Figure(figsize=(paper.BOTH_COLUMNS, 2 * paper.HEIGHT))
        (first, second), (third, fourth) = drawn.subplots(2, 2)
        search.background.plot(first)
        search.candidates.plot(second)
        search.injections.plot(axes=third)
        search.injections.plot_efficiency(axes=fourth)
    paper.save(drawn, str(path))


def main() -> None:
    """Draw the figures that are named on the command line."""
    figures = {
        "report.png": lambda run: picture(run / "results" / "report.html", DOCS / "report.png"),
        "own-data.png": lambda run: picture(run / "results" / "report.html", DOCS / "own-data.png"),
        "gw150914.png": lambda page: picture(page, DOCS / "gw150914.png"),
        "notebook.png": lambda run: panels(run, DOCS / "notebook.png"),
        "networks.svg": lambda _: _script("networks", "--store", str(DOCS / "networks.json"), "--only"),
        "inference_cost.svg": lambda _: _script("scaling", str(DOCS / "inference_cost.svg")),
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="directory of the run whose report is shown, or the page")
    parser.add_argument("names", nargs="+", choices=list(figures), help="figures")
    chosen = parser.parse_args()
    for name in chosen.names:
        figures[name](chosen.run)
        print(DOCS / name, flush=True)


def _script(name: str, *options: str) -> None:
    subprocess.run([sys.executable, str(BENCHMARKS / f"{name}.py"), *options], check=True)


if __name__ == "__main__":
    main()
