"""Tables of events and of recovered injections."""

from typing import ClassVar

from aframe.tables.table import Table


class EventTable(Table):
    """Clustered events.

    Columns: ``detection_statistic``, ``detection_time`` (GPS s, slide time) and ``shift`` (rows × ifos, s). Attribute
    ``Tb``: live time of all slides, s.
    """

    required_columns: ClassVar[tuple[str, ...]] = ("detection_statistic", "detection_time", "shift")
    required_attributes: ClassVar[tuple[str, ...]] = ("Tb",)

    @property
    def livetime(self) -> float:
        """Live time of all slides, s."""
        return float(self.attributes["Tb"])


class RecoveredTable(Table):
    """Injections and the events that recovered them. Without an event, the statistic is −inf and the time NaN."""

    required_columns: ClassVar[tuple[str, ...]] = (
        "detection_statistic",
        "detection_time",
        "injection_time",
        "shift",
        "snr",
        "mass_1",
        "mass_2",
        "redshift",
    )
    required_attributes: ClassVar[tuple[str, ...]] = ("num_injections", "ifos")
