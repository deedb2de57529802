"""Read what a run has left so far."""

import csv
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from aframe import storage
from aframe.events.candidates import candidates
from aframe.events.significance import Background
from aframe.report.draws import draw_histograms
from aframe.report.inputs import ReportInputs, SignalCounts, TrainingCurves
from aframe.sensitivity.volume import read_efficiencies, read_volumes
from aframe.tables import EventTable, RecoveredTable, Table
from aframe.types import Array

PACKAGES = ("aframe", "torch", "lightning", "lalsuite", "bilby", "gwpy", "astropy", "numpy", "h5py", "bokeh")
INJECTION_COLUMNS = ("detection_statistic", "snr", "mass_1", "mass_2")


SIGNALS = {"training": "training_waveforms.hdf5", "validation": "val_waveforms.hdf5", "testing": "waveforms.hdf5"}


def gather(
    results: str,
    train_run: str | None,
    train_data: str | None = None,
    test_data: str | None = None,
    title: str = "Search for compact binary mergers",
) -> ReportInputs:
    """Whatever there is of a run's artifacts; background events are read by their statistic alone.

    Args:
        results: Directory of ``background.hdf5``, ``foreground.hdf5``, ``0lag.hdf5`` and ``plots/sensitive_volume.h5``.
        train_run: Directory of ``metrics.csv``; None where a ready model was used.
        train_data: Directory of ``training_waveforms.hdf5`` and ``val_waveforms.hdf5``, if known.
        test_data: Directory of ``waveforms.hdf5`` and ``rejected-parameters.hdf5``, if known.
        title: Heading of the page.

    Raises:
        StorageError: If an artifact is there but cannot be read.
    """
    names = ("background.hdf5", "foreground.hdf5", "0lag.hdf5", "plots/sensitive_volume.h5")
    paths = {name: storage.join(results, name) for name in names}
    present = {name: path for name, path in paths.items() if storage.exists(path)}
    background = Background.read(present["background.hdf5"]) if "background.hdf5" in present else None
    zero_lag = present.get("0lag.hdf5")
    events = EventTable.read(zero_lag, ["detection_statistic", "detection_time"]) if zero_lag else None
    foreground = present.get("foreground.hdf5")
    volumes = present.get("plots/sensitive_volume.h5")
    drawn = (
        [storage.join(test_data, name) for name in ("waveforms.hdf5", "rejected-parameters.hdf5")] if test_data else []
    )
    metrics = storage.join(train_run, "metrics.csv") if train_run else None
    configuration: dict[str, Any] = {}
    for path in present.values():
        configuration |= storage.made_with(path) or {}
    return ReportInputs(
        title=title,
        configuration=configuration or None,
        training=read_metrics(metrics) if metrics and storage.exists(metrics) else None,
        background=background,
        candidates=None if events is None or background is None else candidates(events, background),
        signals=_signals({"training": train_data, "validation": train_data, "testing": test_data}),
        draws=draw_histograms(*drawn) if drawn and all(storage.exists(path) for path in drawn) else None,
        injections=RecoveredTable.read(foreground, INJECTION_COLUMNS) if foreground else None,
        volumes=read_volumes(volumes) if volumes else None,
        efficiencies=read_efficiencies(volumes) if volumes else None,
        provenance=_provenance(configuration),
    )


def read_metrics(path: str) -> TrainingCurves:
    """Metrics of a training: rows with ``epoch`` and whichever metrics were known then, others empty."""
    rows = list(csv.DictReader(storage.read_text(path).splitlines()))
    names = [name for name in (rows[0] if rows else {}) if name not in ("epoch", "step")]
    curves: dict[str, tuple[Array, Array]] = {}
    for name in names:
        pairs = [(float(row["epoch"]), float(row[name])) for row in rows if row[name] and row["epoch"]]
        if pairs:
            epoch, value = np.array(pairs).T
            curves[name] = (epoch, value)
    return curves


def _signals(directories: Mapping[str, str | None]) -> dict[str, SignalCounts]:
    """Counts of the sets of signals that are there."""
    result: dict[str, SignalCounts] = {}
    for name, directory in directories.items():
        path = storage.join(directory, SIGNALS[name]) if directory else ""
        if path and storage.exists(path):
            attributes = Table.read(path, [], rows=slice(0)).attributes
            counts = {key: int(value) for key, value in attributes.items() if key.startswith("num_")}
            result[name] = {"length": Table.count(path), **counts}
    return result


def _provenance(configuration: Mapping[str, Any]) -> dict[str, str]:
    result = {"date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")}
    if "search.seed" in configuration:
        result["seed"] = str(configuration["search.seed"])
    result["python"] = platform.python_version()
    for package in PACKAGES:
        try:
            result[package] = version(package)
        except PackageNotFoundError:
            result[package] = "not installed"
    return result
