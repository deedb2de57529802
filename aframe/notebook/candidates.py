"""The candidates of a search: its unshifted events, loudest first."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial

from matplotlib.axes import Axes

from aframe import storage
from aframe.candidates.table import CandidateTable, utc
from aframe.errors import DataError
from aframe.events.significance import Background
from aframe.inference.closeup import Closeup
from aframe.inference.closeup_files import read_closeups
from aframe.notebook.shown import ShownTable, show, show_all
from aframe.report import html, panels
from aframe.report.candidates import candidate_columns
from aframe.report.text import duration, number, rate

LOUDEST = 10
"""Rows that a notebook shows of itself."""


@dataclass(frozen=True, repr=False, eq=False)
class Candidates(ShownTable):
    """Unshifted events, loudest first; docs/results.md says what each column is.

    Attributes:
        table: Their columns.
        background: What their rates are measured with.
        closeups_path: File of what the loudest look like, which need not exist.
    """

    table: CandidateTable
    background: Background
    closeups_path: str

    def facts(self) -> Mapping[str, str]:
        """How many there are, and the loudest."""
        told = {"events": number(len(self)), "unshifted data": duration(float(self.table.attributes["T0"]))}
        if len(self):
            time, statistic, far = (float(self.table[name][0]) for name in self.table.required_columns[:3])
            is_limit = bool(self.background.is_upper_limit(statistic))
            told["loudest"] = f"{utc(time)} UTC, statistic {statistic:.3f}, FAR {rate(far, is_limit)}"
        return told | {"columns": ", ".join(self.columns)}

    def _repr_html_(self) -> str:
        columns = candidate_columns(self.table, self.background)
        rows = [[cell(row).text for _, cell in columns] for row in range(min(LOUDEST, len(self)))]
        told = f"<p>The {len(rows)} loudest of {len(self)}:</p>"
        return super()._repr_html_() + told + html.table([heading for heading, _ in columns], rows, 2)

    def plot(self, axes: Axes | None = None) -> Axes:
        """Their number against the inverse of their false alarm rate, as in the report's figure ``candidates``.

        Args:
            axes: Where it is drawn; a new figure where None.

        Raises:
            DataError: If there are none.
        """
        if not len(self):
            raise DataError("there are no candidates to draw: the search saw no event in its unshifted data")
        return show(partial(panels.candidates, table=self.table), axes, ncols=2)

    def plot_closeup(self, rank: int = 1) -> list[Axes]:
        """What one of the loudest looks like: Q transforms, whitened strain, scores.

        Args:
            rank: 1 is the loudest.

        Raises:
            DataError: If nothing was kept of that one.
        """
        if rank not in self.closeups:
            kept = ", ".join(map(str, self.closeups)) or "none"
            raise DataError(
                f"nothing is kept of what candidate {rank} looks like (only of: {kept}): `num_shown` in "
                "[luigi_candidates] says of how many the sensitivity step keeps it"
            )
        closeup = self.closeups[rank]
        time, statistic = (float(self.table[name][rank - 1]) for name in ("detection_time", "detection_statistic"))
        highest = max(float(transform.energy.max(initial=0.0)) for transform in closeup.q_transforms.values())
        return show_all(
            {
                **{
                    f"Q transform, {ifo}": partial(panels.q_transform, transform=transform, time=time, highest=highest)
                    for ifo, transform in closeup.q_transforms.items()
                },
                "Whitened strain": partial(panels.whitened_strain, closeup=closeup, time=time),
                "Scores": partial(panels.scores, closeup=closeup, time=time, statistic=statistic),
            },
            columns=2,
        )

    @cached_property
    def closeups(self) -> Mapping[int, Closeup]:
        """Whitened strain, Q transforms and scores of the loudest, by rank."""
        return read_closeups(self.closeups_path) if storage.exists(self.closeups_path) else {}
