"""Tables of simulated glitches."""

from typing import ClassVar

from aframe.tables.table import Table


class GlitchTable(Table):
    """Glitches in simulated strain, one row for each.

    Columns: ``glitch_time`` (middle, GPS s), ``ifo``, ``glitch_class``, ``snr`` (optimal, of the whole glitch above
    10 Hz), ``frequency`` (Hz), ``gamma`` (of pulses, else NaN), ``duration`` (of arches and whistles, else NaN, s) and
    ``phase`` (rad). ``aframe.strain.glitch_models`` describes them.
    """

    required_columns: ClassVar[tuple[str, ...]] = (
        "glitch_time",
        "ifo",
        "glitch_class",
        "snr",
        "frequency",
        "gamma",
        "duration",
        "phase",
    )
