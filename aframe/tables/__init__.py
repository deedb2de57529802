"""Typed columnar tables of events, glitches, injections and waveforms, for exchange between the stages of a run."""

from aframe.tables.events import EventTable, RecoveredTable
from aframe.tables.glitches import GlitchTable
from aframe.tables.injections import InjectionTable, PolarizationTable, RejectedTable, ResponseTable
from aframe.tables.table import Table, TableWriter, merge_tables, write_tables

__all__ = [
    "EventTable",
    "GlitchTable",
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
