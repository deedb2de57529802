"""The candidates of a search: its unshifted events, loudest first."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from matplotlib.axes import Axes

from aframe import storage
from aframe.candidates.table import CandidateTable, utc
from aframe.errors import DataError
from aframe.events.significance import Background
from aframe.inference.closeup import Closeup
from aframe.inference.closeup_files import read_closeups
from aframe.notebook.display import DisplayedTable, show, show_all
from aframe.report import figures, html
from aframe.report.candidates import candidate_columns
from aframe.report.closeup_figures import closeup_figures
from aframe.report.text import duration, number, rate

DISPLAYED_ROWS = 10
"""Loudest candidates that a notebook displays."""


@dataclass(frozen=True, repr=False, eq=False)
class Candidates(DisplayedTable):
    """Unshifted events, loudest first. docs/results.md describes the columns.

    Attributes:
        table: Columns of the events.
        background: Background that measures their false alarm rates.
        closeups_path: File of close-ups of the loudest events. It need not exist.
    """

    table: CandidateTable
    background: Background
    closeups_path: str

    def facts(self) -> Mapping[str, str]:
        """Number of events, duration of unshifted data, the loudest event, and the columns."""
        facts = {"events": number(len(self)), "unshifted data": duration(float(self.table.attributes["T0"]))}
        if len(self):
            time, statistic, far = (float(self.table[name][0]) for name in self.table.required_columns[:3])
            is_limit = bool(self.background.is_upper_limit(statistic))
            facts["loudest"] = f"{utc(time)} UTC, statistic {statistic:.3f}, FAR {rate(far, is_limit)}"
        return facts | {"columns": ", ".join(self.columns)}

    def _repr_html_(self) -> str:
        columns = candidate_columns(self.table, self.background)
        rows = [[cell(row).text for _, cell in columns] for row in range(min(DISPLAYED_ROWS, len(self)))]
        caption = f"<p>The {len(rows)} loudest of {len(self)}:</p>"
        return super()._repr_html_() + caption + html.table([heading for heading, _ in columns], rows, 2)

    def plot(self, axes: Axes | None = None) -> Axes:
        """Number of candidates against inverse false alarm rate, as in the report's figure ``candidates``.

        Args:
            axes: Axes to draw on; None makes a new figure.

        Raises:
            DataError: If there are no candidates.
        """
        if not len(self):
            raise DataError("there are no candidates to draw: the search saw no event in its unshifted data")
        return show(figures.candidates(self.table), axes)

    def plot_closeup(self, rank: int = 1) -> list[Axes]:
        """Draw a close-up of one of the loudest candidates: Q transforms, whitened strain, scores.

        Args:
            rank: Rank of the candidate. 1 is the loudest.

        Raises:
            DataError: If the run has no close-up of this candidate.
        """
        if rank not in self.closeups:
            ranks = ", ".join(map(str, self.closeups)) or "none"
            raise DataError(
                f"there is no close-up of candidate {rank} (only of: {ranks}): `num_shown` in "
                "[luigi_candidates] is the number of close-ups that the sensitivity step makes"
            )
        time, statistic = (float(self.table[name][rank - 1]) for name in ("detection_time", "detection_statistic"))
        return show_all(closeup_figures(self.closeups[rank], time, statistic), columns=2)

    @cached_property
    def closeups(self) -> Mapping[int, Closeup]:
        """Close-ups of the loudest candidates, by rank: whitened strain, Q transforms and scores."""
        return read_closeups(self.closeups_path) if storage.exists(self.closeups_path) else {}
