"""The typed columnar tables in which the stages hand events, injections and waveforms to each other."""

from aframe.tables.events import EventTable, RecoveredTable
from aframe.tables.injections import InjectionTable, PolarizationTable, RejectedTable, ResponseTable
from aframe.tables.table import Table, TableWriter, merge_tables, write_tables

__all__ = [
    "EventTable",
    "InjectionTable",
    "PolarizationTable",
    "RecoveredTable",
    "RejectedTable",
    "ResponseTable",
    "Table",
    "TableWriter",
    "merge_tables",
    "write_tables",
]
