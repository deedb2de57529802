"""Figures of a close-up: Q transforms, whitened strain, and scores about an event."""

import numpy as np

from aframe.inference.closeup import Closeup
from aframe.inference.q_transform import QTransform
from aframe.report.palette import BLACK, BLUE, PALETTE, SKY, VERMILION, VIRIDIS
from aframe.report.plots import Axis, Cells, Line, Mark, Plot, Points, Rule
from aframe.types import Array

SCALE_ENDS = (20.0, 100.0)
"""Smallest and largest energy at the end of the colours of a Q transform. The smallest keeps noise dark. The largest
keeps the early part of a loud signal visible."""

OCTAVES = tuple(2.0**power for power in range(2, 13))
"""Frequencies (Hz) with a tick in a Q transform."""


def closeup_figures(closeup: Closeup, time: float, statistic: float) -> list[Plot]:
    """Q transform of each detector on one scale of colours, whitened strain, and scores.

    Args:
        closeup: Data about the event.
        time: Of the event, GPS s.
        statistic: Detection statistic of the event.
    """
    highest = max(float(transform.energy.max(initial=0.0)) for transform in closeup.q_transforms.values())
    return [
        *(q_transform(ifo, transform, time, highest) for ifo, transform in closeup.q_transforms.items()),
        whitened_strain(closeup, time),
        scores(closeup, time, statistic),
    ]


def q_transform(ifo: str, transform: QTransform, time: float, highest: float) -> Plot:
    """Energies of one detector's Q transform, as an image.

    Args:
        ifo: The detector.
        transform: Energies by time and frequency. The times are evenly spaced, the frequencies in logarithm.
        time: Of the event, GPS s.
        highest: Energy at the upper end of the colours, if it is within ``SCALE_ENDS``.
    """
    columns, rows = len(transform.time), len(transform.frequency)
    step = float(np.median(np.diff(transform.time))) if columns > 1 else 1.0
    start = float(transform.time[0]) - time - step / 2
    ratio = float(transform.frequency[1] / transform.frequency[0]) ** 0.5
    low, high = float(transform.frequency[0]) / ratio, float(transform.frequency[-1]) * ratio
    cells = Cells(
        x_edges=np.linspace(start, start + columns * step, columns + 1), y_edges=np.geomspace(low, high, rows + 1),
        values=transform.energy, colors=VIRIDIS,
        scale=Axis("Normalised energy", "dimensionless", limits=(0.0, float(np.clip(highest, *SCALE_ENDS)))),
    )  # fmt: skip
    return Plot(
        title=f"Q transform, {ifo}",
        x=_time_axis(time, cells.x_edges),
        y=Axis("Frequency", "Hz", "log", (low, high), OCTAVES),
        marks=(cells,),
    )


def whitened_strain(closeup: Closeup, time: float) -> Plot:
    """Whitened strain of the detectors about an event (GPS s)."""
    seconds = closeup.time - time
    marks = [
        Line(x=_short(seconds), y=_short(series), width=0.5, color=color, alpha=0.8, label=ifo)
        for (ifo, series), color in zip(closeup.whitened.items(), PALETTE, strict=False)
    ]
    return Plot(title="Whitened strain", x=_time_axis(time, seconds), y=Axis("Whitened strain", "σ"), marks=marks)


def scores(closeup: Closeup, time: float, statistic: float) -> Plot:
    """Scores of windows and their averages about an event (GPS s), whose statistic is marked."""
    marks: list[Mark] = [Rule(at=0.0, dash="dotted", color=BLACK)]
    for label, axis, values, color in (
        ("score of a window", closeup.score_time, closeup.score, SKY),
        ("average", closeup.statistic_time, closeup.statistic, BLUE),
    ):
        tips = ((label, "@y{0.000}"), ("time", "@x{0.000} s"))
        marks.append(Line(x=_short(axis - time), y=_short(values), color=color, label=label, tips=tips))
    event = Points(x=np.zeros(1), y=np.array([statistic]), color=VERMILION, label="candidate", size=4.0)
    return Plot(
        title="Scores",
        x=_time_axis(time, closeup.score_time - time),
        y=Axis("Score", "logit"),
        marks=(*marks, event),
    )


def _time_axis(time: float, seconds: Array) -> Axis:
    ends = (float(seconds[0]), float(seconds[-1])) if len(seconds) > 1 else (-1.0, 1.0)
    return Axis(f"Time (s) from GPS {time:.3f}", limits=ends)


def _short(values: Array) -> Array:
    """Values in single precision, as half of the page's bytes is enough for them and for times near 0."""
    return values.astype(np.float32)
