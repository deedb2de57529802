"""Tables of simulated signals: drawn, accepted and rejected."""

from typing import ClassVar

from aframe.tables.table import Table


class PolarizationTable(Table):
    """Signals by their parameters and polarizations ``plus`` and ``cross``.

    Attributes of the file: ``sample_rate`` (Hz), ``duration`` (s), ``right_pad`` (s from coalescence to the end).
    """

    required_attributes: ClassVar[tuple[str, ...]] = ("sample_rate", "duration", "right_pad")


class ResponseTable(PolarizationTable):
    """Signals by their parameters and responses of the detectors (lower-case names as channels).

    Adds columns ``snr`` and ``ifo_snrs`` (rows, ifos), and the attributes ``ifos`` and ``num_injections``
    (all draws, accepted and rejected).
    """

    required_columns: ClassVar[tuple[str, ...]] = ("snr", "ifo_snrs")
    required_attributes: ClassVar[tuple[str, ...]] = ("sample_rate", "duration", "right_pad", "ifos", "num_injections")


class InjectionTable(ResponseTable):
    """Signals and the time (``injection_time``, GPS s) and time slide (``shift``, rows × ifos, s) they belong to."""

    required_columns: ClassVar[tuple[str, ...]] = ("snr", "ifo_snrs", "injection_time", "shift")


class RejectedTable(Table):
    """Parameters of the draws that fell below the SNR threshold: the rest of the denominator."""

    required_columns: ClassVar[tuple[str, ...]] = ("mass_1", "mass_2", "redshift")
