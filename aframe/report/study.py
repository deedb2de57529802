"""Page of a study: its trials in order, what its parameters matter, and which values go with good networks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from aframe.report.html import Cell, Figures, fill, grid, place, sortable_table
from aframe.report.interactive import draw, draw_titled
from aframe.report.page import simple_page
from aframe.report.palette import BLUE, GREY, VERMILION, VIRIDIS
from aframe.report.plots import Axis, Line, Mark, Plot, Points, Steps
from aframe.types import Array

UNKNOWN = 1e300
"""What sorts a trial without a value after all others."""


@dataclass(frozen=True)
class StudyParameter:
    """Values of one parameter in all trials.

    Attributes:
        texts: The values, one for each trial.
        heights: Their places in the range, from 0 to 1, shape (trials,).
        ends: Texts of the lowest and the highest value.
    """

    texts: Sequence[str]
    heights: Float[Array, " trials"]
    ends: tuple[str, str]


@dataclass(frozen=True)
class StudyResults:
    """Results of a study.

    Attributes:
        name: Its name.
        metric: Name of the metric whose largest value is best.
        values: Metric of each trial after its last epoch; NaN of one that failed, shape (trials,).
        epochs: Number of epochs of each trial, shape (trials,).
        is_complete: Whether a trial trained to its end, shape (trials,).
        states: What became of each trial.
        parameters: Values of each parameter.
        importances: Importance of each parameter, of a sum of 1; empty if it cannot be computed.
    """

    name: str
    metric: str
    values: Float[Array, " trials"]
    epochs: Int[Array, " trials"]
    is_complete: Bool[Array, " trials"]
    states: Sequence[str]
    parameters: Mapping[str, StudyParameter]
    importances: Mapping[str, float]

    @property
    def best(self) -> int:
        """Number of the best trial that trained to its end."""
        return int(np.nanargmax(np.where(self.is_complete, self.values, -np.inf)))


def study_html(results: StudyResults) -> str:
    """Build the self-contained HTML page of a study.

    Args:
        results: Its results, with one trial or more that trained to its end.
    """
    plots: Figures = {}
    content = fill("<p>{{ text }}</p>", text=summary(results))
    titled = [history(results), *([importance(results)] if results.importances else [])]
    content += grid(plots, draw_titled(titled), "study")
    if results.importances:
        content += fill(
            '<p class="note">Importance is that of PED-ANOVA (Watanabe et al. 2023): how much the values of the better '
            "trials differ from those of all. It counts the trials that trained to their end.</p>"
        )
    else:
        content += fill('<p class="note">The importance of the parameters needs more trials to their end.</p>')
    parallel = coordinates(results)
    content += fill("<h3>{{ title }}</h3>{{ figure }}", title=parallel.title,
                    figure=place(plots, "coordinates", draw(parallel)))  # fmt: skip
    content += fill(
        '<p class="note">Each line is a trial, from the lowest value of each parameter to its highest. Bright lines '
        "found more; the thick one is the best trial, and grey ones ended early.</p>"
    )
    return simple_page(f"Study: {results.name}", content + _table(results), plots)


def summary(results: StudyResults) -> str:
    """The study in a sentence or two."""
    best, states = results.best, list(results.states)
    chosen = ", ".join(f"{key} = {each.texts[best]}" for key, each in results.parameters.items())
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    return (
        f"Of {len(states)} trials ({counts}), trial {best} is the best: {results.metric} = {results.values[best]:.4g} "
        f"with {chosen}. The first trial, with the values before the study, has {results.values[0]:.4g}."
    )


def history(results: StudyResults) -> Plot:
    """Metric of each trial, in order, and the best so far."""
    numbers, known = np.arange(len(results.values)), np.isfinite(results.values)
    marks: list[Mark] = []
    for label, inside, color in (
        ("to its end", known & results.is_complete, BLUE),
        ("ended early", known & ~results.is_complete, GREY),
    ):
        if inside.any():
            tips = (("trial", "@x"), (results.metric, "@y{0.0000}"))
            marks.append(Points(x=numbers[inside], y=results.values[inside], color=color, label=label, tips=tips))
    best = np.maximum.accumulate(np.where(known & results.is_complete, results.values, -np.inf))
    begun = np.isfinite(best)
    marks.append(Line(x=numbers[begun], y=best[begun], color=VERMILION, label="best so far"))
    return Plot(title="Trials", x=Axis("Trial", is_whole=True), y=Axis(results.metric), marks=marks)


def importance(results: StudyResults) -> Plot:
    """Importance of each parameter, the largest first."""
    ordered = sorted(results.importances.items(), key=lambda item: -item[1])
    bars = [
        Steps(edges=np.array([k - 0.35, k + 0.35]), heights=np.array([share]), base=0.0, color=BLUE)
        for k, (_, share) in enumerate(ordered)
    ]
    names = [key.rpartition(".")[2] for key, _ in ordered]
    x = Axis("Parameter", ticks=range(len(names)), tick_labels=names)
    y = Axis("Importance, of 1", limits=(0.0, 1.05))
    return Plot(title="Importance of the parameters", x=x, y=y, marks=bars)


def coordinates(results: StudyResults) -> Plot:
    """Parallel coordinates: a line for each trial through its values of all parameters, to its metric."""
    known = np.isfinite(results.values)
    low, high = np.min(results.values[known]), np.max(results.values[known])
    scaled = (results.values - low) / (high - low) if high > low else np.ones(len(results.values))
    names = [key.rpartition(".")[2] for key in results.parameters]
    ends = [each.ends for each in results.parameters.values()]
    labels = [f"{name}\n{first} – {last}" for name, (first, last) in zip(names, ends, strict=True)]
    labels.append(f"{results.metric}\n{low:.3g} – {high:.3g}")
    x = np.arange(len(labels))
    marks = []
    for number in sorted(np.flatnonzero(known), key=lambda k: (results.is_complete[k], results.values[k])):
        heights = [each.heights[number] for each in results.parameters.values()]
        shade = VIRIDIS[int(0.9 * scaled[number] * (len(VIRIDIS) - 1))]
        marks.append(
            Line(
                x=x, y=np.array([*heights, scaled[number]]), color=shade if results.is_complete[number] else GREY,
                width=1.6 if number == results.best else 0.5, alpha=0.9 if results.is_complete[number] else 0.35,
            )
        )  # fmt: skip
    axis = Axis("", ticks=x.tolist(), tick_labels=labels)
    y = Axis("Place in the range, 0 to 1", limits=(-0.05, 1.05))
    return Plot(title="Parallel coordinates", x=axis, y=y, marks=marks)


def _table(results: StudyResults) -> str:
    """Table of all trials, with links to the figures of their directories."""
    header = ["Trial", "State", results.metric, "Epochs", *results.parameters]
    rows = []
    for number, value in enumerate(results.values):
        shown = Cell(f"{value:.4g}", float(value)) if np.isfinite(value) else Cell("–", UNKNOWN)
        settings = [Cell(each.texts[number]) for each in results.parameters.values()]
        first = Cell(f"{number:04d}", number, link=f"trials/{number:04d}/")
        epochs = int(results.epochs[number])
        rows.append([first, Cell(results.states[number]), shown, Cell(str(epochs), epochs), *settings])
    return sortable_table("trials", header, rows)
