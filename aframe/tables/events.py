"""Tables of events: what a search says happened, and what it says about injections."""

from typing import ClassVar

from aframe.tables.table import Table


class EventTable(Table):
    """Clustered events.

    Columns ``detection_statistic``, ``detection_time`` (GPS s, slide time) and ``shift`` (rows × ifos, s);
    attribute ``Tb``, the live time in seconds of all slides together.
    """

    required_columns: ClassVar[tuple[str, ...]] = ("detection_statistic", "detection_time", "shift")
    required_attributes: ClassVar[tuple[str, ...]] = ("Tb",)

    @property
    def livetime(self) -> float:
        """Seconds of all slides together."""
        return float(self.attributes["Tb"])


class RecoveredTable(Table):
    """Injections, each with the event that recovered it: statistic −inf and time NaN where there is none."""

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
