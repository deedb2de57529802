"""Draws ``docs/architecture.svg``, the rooms of the package and their imports: run it after moving a module.

The layers are those of ``tests/test_architecture.py``, from the ground to the commands. An arrow points from a room to
one that it imports, and is thicker where more of its modules do so.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

DOCS = Path(__file__).parents[1]
PACKAGE = DOCS.parent / "aframe"
DRAWING = DOCS / "architecture.svg"

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#444444")
"""Colours of arrows, by the layer of the room that imports (Okabe and Ito)."""

PACKAGE_COLOUR, MODULE_COLOUR = "#dbe7f3", "#f2f2f2"
"""Colours of rooms that are packages, and of those that are a module."""

ACROSS, APART = 10.0, 0.9
"""Width of the drawing, and distance between layers, inches."""

WIDTH, HEIGHT = 1.25, 0.4
"""Width and height of a room, inches."""

GROUND = "Nearly all rooms import the lowest layer: these arrows are left out."

SHIFTS = (-0.13, 0.13, 0.0)
"""How far a layer of one or two rooms is moved, in turn, as a share of the width: rooms in columns hide arrows."""


def layers() -> tuple[tuple[str, ...], ...]:
    """Rooms from the ground up."""
    tree = ast.parse((DOCS.parent / "tests" / "test_architecture.py").read_text(encoding="utf-8"))
    (value,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and [ast.unparse(name) for name in node.targets] == ["LAYERS"]
    )
    found: tuple[tuple[str, ...], ...] = ast.literal_eval(value)
    return found


def imports() -> Counter[tuple[str, str]]:
    """Number of modules of one room that import another one."""
    found: Counter[tuple[str, str]] = Counter()
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room != "__init__":
            found.update((room, other) for other in set(imported(path)) - {room})
    return found


def imported(path: Path) -> Iterator[str]:
    """Rooms that a file imports, in functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            match = re.match(r"aframe\.(\w+)", name)
            if match and ((PACKAGE / match[1]).is_dir() or (PACKAGE / f"{match[1]}.py").is_file()):
                yield match[1]


def places(rows: tuple[tuple[str, ...], ...]) -> dict[str, tuple[float, float]]:
    """Centre of each room, inches."""
    found: dict[str, tuple[float, float]] = {}
    for number, row in enumerate(rows):
        shares = [(2 * place + 1) / (2 * len(row)) for place in range(len(row))]
        shift = SHIFTS[number % len(SHIFTS)] if len(row) < 3 else 0.0
        for room, share in zip(row, shares, strict=True):
            found[room] = (ACROSS * (share + shift), APART * (number + 0.7))
    return found


def draw(axes: Axes, rows: tuple[tuple[str, ...], ...]) -> None:
    """Draw rooms and arrows; those to the ground, which nearly every room has, are left out."""
    centres = places(rows)
    level = {room: number for number, row in enumerate(rows) for room in row}
    for (room, other), number in sorted(imports().items()):
        if other not in rows[0]:
            arrow(axes, centres[room], centres[other], number, COLOURS[level[room] % len(COLOURS)])
    for room, (x, y) in centres.items():
        axes.add_patch(
            FancyBboxPatch(
                (x - WIDTH / 2, y - HEIGHT / 2), WIDTH, HEIGHT, boxstyle="round,pad=0,rounding_size=0.08",
                facecolor=PACKAGE_COLOUR if (PACKAGE / room).is_dir() else MODULE_COLOUR, edgecolor="#333333", zorder=3,
            )
        )  # fmt: skip
        axes.text(x, y, room, ha="center", va="center", zorder=4)
    axes.text(ACROSS / 2, 0.15, GROUND, ha="center", va="center", fontsize=10)


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], number: int, colour: str) -> None:
    """Draw an arrow from a room to one that as many of its modules import."""
    down = start[1] > end[1]
    ends = [(start[0], start[1] - HEIGHT / 2), (end[0], end[1] + HEIGHT / 2)]
    if not down:
        side = 1 if end[0] > start[0] else -1
        ends = [(start[0] + side * WIDTH / 2, start[1]), (end[0] - side * WIDTH / 2, end[1])]
    bend = 0.12 if end[0] >= start[0] else -0.12
    axes.add_patch(
        FancyArrowPatch(
            *ends, connectionstyle=f"arc3,rad={bend if down else 0}", arrowstyle="-|>", mutation_scale=6 + number,
            linewidth=0.4 + 0.4 * number, color=colour, alpha=min(0.25 + 0.08 * number, 0.9), shrinkA=0, shrinkB=0,
            zorder=1 + number / 100,
        )
    )  # fmt: skip


def main() -> None:
    """Draw it."""
    rows = layers()
    with mpl.rc_context(
        {"svg.hashsalt": "aframe", "svg.fonttype": "path", "font.family": "DejaVu Sans", "font.size": 12}
    ):
        drawn = Figure(figsize=(ACROSS, APART * (len(rows) + 0.3)))
        axes = drawn.add_axes((0, 0, 1, 1), xlim=(0, ACROSS), ylim=(0, APART * (len(rows) + 0.3)))
        axes.set_axis_off()
        draw(axes, rows)
        drawn.savefig(DRAWING, metadata={"Date": None})


if __name__ == "__main__":
    main()
