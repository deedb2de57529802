"""Tables of simulated signals: drawn, accepted and rejected."""

from typing import ClassVar

from aframe.tables.table import Table


class PolarizationTable(Table):
    """Parameters and polarizations ``plus`` and ``cross`` of signals.

    Attributes of the file: ``sample_rate`` (Hz), ``duration`` (s), ``right_pad`` (time from coalescence to the end, s).
    """

    required_attributes: ClassVar[tuple[str, ...]] = ("sample_rate", "duration", "right_pad")


class ResponseTable(PolarizationTable):
    """Parameters of signals and responses of the detectors. Channels have lower-case names of detectors.

    Additional columns: ``snr`` and ``ifo_snrs`` (rows, ifos). Additional attributes: ``ifos`` and ``num_injections``
    (number of all draws, accepted and rejected).
    """

    required_columns: ClassVar[tuple[str, ...]] = ("snr", "ifo_snrs")
    required_attributes: ClassVar[tuple[str, ...]] = ("sample_rate", "duration", "right_pad", "ifos", "num_injections")


class InjectionTable(ResponseTable):
    """Signals with their time (``injection_time``, GPS s) and time slide (``shift``, rows × ifos, s)."""

    required_columns: ClassVar[tuple[str, ...]] = ("snr", "ifo_snrs", "injection_time", "shift")


class RejectedTable(Table):
    """Parameters of the rejected draws, below the SNR threshold. They count in the denominator of a volume."""

    required_columns: ClassVar[tuple[str, ...]] = ("mass_1", "mass_2", "redshift")
