"""Read the results that a run has made so far."""

import contextlib
import csv
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

from aframe import storage
from aframe.bank.template_bank import TemplateBank
from aframe.candidates.table import CandidateTable, candidates
from aframe.errors import StorageError
from aframe.events.glitches import EventGlitches
from aframe.events.significance import Background
from aframe.inference.closeup import Closeup
from aframe.inference.closeup_files import read_closeups
from aframe.machine import versions
from aframe.report.draws import draw_histograms
from aframe.report.inputs import PlainBankResults, ReportInputs, SignalCounts, TrainingCurves
from aframe.sensitivity.limit import LimitTable
from aframe.sensitivity.release import read_release_volumes
from aframe.sensitivity.volume import VolumeCurve, read_efficiencies, read_volumes
from aframe.strain.files import open_background, parse_background_path
from aframe.strain.segments import read_segments
from aframe.tables import EventTable, GlitchTable, RecoveredTable, Table
from aframe.types import Array
from aframe.whitening import power_spectral_density

INJECTION_COLUMNS = (
    "detection_statistic", "injection_time", "snr", "ifo_snrs", "mass_1", "mass_2", "redshift", "luminosity_distance",
)  # fmt: skip
VETOED_COLUMNS = ("detection_statistic", "detection_time", "vetoes")
GLITCH_COLUMNS = ("glitch_time", "ifo", "glitch_class", "duration", "snr_in_band")
NUM_EXPLAINED = 1000
"""Loudest events of the background of which the report says which glitches are near."""

NOISE_DURATION = 512.0
"""Seconds of strain whose spectrum the report shows."""

NOISE_FREQUENCY = 10.0
"""Lowest frequency of that spectrum, Hz."""

CHOSEN = "chosen.json"
"""File beside a model that a study made: ``values`` of its best trial, and ``bank``, the name of its bank's file."""

SIGNAL_FILES = {"training": "training_waveforms.hdf5", "validation": "val_waveforms.hdf5", "testing": "waveforms.hdf5"}
"""Files of the sets of signals, by the name of the set."""


def gather(
    results: str,
    train_run: str | None,
    train_data: str | None = None,
    test_data: str | None = None,
    *,
    bank_file: str = "bank.hdf5",
    title: str = "Search for compact binary mergers",
    units: Mapping[str, str] | None = None,
) -> ReportInputs:
    """Read all results of a run that exist. Of background events it reads only the statistic.

    Args:
        results: Directory of the event tables, ``candidates.hdf5``, ``closeups.hdf5``,
            ``plots/sensitive_volume.h5`` and the plain bank's search, ``limit``.
        train_run: Directory of ``metrics.csv``; None if the run used a trained model.
        train_data: Directory of ``training_waveforms.hdf5``, ``val_waveforms.hdf5`` and the bank, if any.
        test_data: Directory of ``waveforms.hdf5`` and ``rejected-parameters.hdf5``, if any.
        bank_file: Name of the bank's file. A study may have chosen another.
        title: Heading of the page.
        units: Units of the run's parameters, by ``section.key``. None shows them without units.

    Raises:
        StorageError: If a file exists but cannot be read.
    """
    names = ("background.hdf5", "foreground.hdf5", "0lag.hdf5", "candidates.hdf5", "plots/sensitive_volume.h5")
    paths = {name: _without_vetoed_time(results, name) for name in names}
    present = {name: path for name, path in paths.items() if storage.exists(path)}
    vetoed = storage.join(results, "clean", "vetoed.hdf5")
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
    for path in (*_data_files(train_data, test_data, train_run), *present.values()):
        configuration |= storage.made_with(path) or {}
    chosen = _chosen(train_run)
    configuration |= chosen.get("values", {})
    return ReportInputs(
        title=title,
        configuration=configuration or None,
        units=units or {},
        training=read_metrics(metrics) if metrics and storage.exists(metrics) else None,
        background=background,
        candidates=_candidates(present.get("candidates.hdf5"), events, background),
        vetoed=EventTable.read(vetoed, VETOED_COLUMNS) if storage.exists(vetoed) else None,
        closeups=_closeups(storage.join(results, "closeups.hdf5")),
        bank=_bank(train_data, chosen.get("bank", bank_file)),
        plain_bank=_plain_bank(storage.join(results, "limit"), volumes),
        signals=_signals({"training": train_data, "validation": train_data, "testing": test_data}),
        draws=draw_histograms(*drawn) if drawn and all(storage.exists(path) for path in drawn) else None,
        injections=RecoveredTable.read(foreground, INJECTION_COLUMNS) if foreground else None,
        volumes=read_volumes(volumes) if volumes else None,
        pipelines=_pipelines(storage.join(results, "plots", "release_volume.h5"), volumes),
        efficiencies=read_efficiencies(volumes) if volumes else None,
        segments=_segments({"train": train_data, "test": test_data}),
        glitches=_glitches(test_data, present.get("background.hdf5"), configuration) if test_data else None,
        noise=_noise(test_data, configuration) if test_data else None,
        run_times=read_run_times(results),
        provenance=_provenance(configuration, storage.join(train_run, "model.pt") if train_run else None, results),
    )


def _candidates(
    ranked: str | None, zero_lag: EventTable | None, background: Background | None
) -> CandidateTable | None:
    """Candidates of the sensitivity step. Before that step, candidates ranked by false alarm rate alone."""
    if ranked is not None:
        return CandidateTable.read(ranked)
    return None if zero_lag is None or background is None else candidates(zero_lag, background)


def _closeups(path: str) -> dict[int, Closeup]:
    return read_closeups(path) if storage.exists(path) else {}


def _chosen(directory: str | None) -> dict[str, Any]:
    """What a study chose for the model of a training's directory. Empty if no study made it."""
    path, model = (storage.join(directory or "", name) for name in (CHOSEN, "model.pt"))
    is_of_study = directory and storage.exists(path) and "tune.trials" in (storage.made_with(model) or {})
    return dict(json.loads(storage.read_text(path))) if is_of_study else {}


def _bank(directory: str | None, name: str) -> TemplateBank | None:
    """Bank of templates, if there is one."""
    path = storage.join(directory, name) if directory else ""
    return TemplateBank.read(path) if path and storage.exists(path) else None


def _plain_bank(directory: str, volumes: str | None) -> PlainBankResults | None:
    """Results of the plain bank, if its table compares it with the run's present results."""
    path = storage.join(directory, "limit.hdf5")
    if volumes is None or not storage.exists(path) or storage.made_with(path) != storage.made_with(volumes):
        return None
    background, foreground = (_without_vetoed_time(directory, f"{kind}.hdf5") for kind in ("background", "foreground"))
    return PlainBankResults(
        LimitTable.read(path),
        Background.read(background),
        RecoveredTable.read(foreground, INJECTION_COLUMNS),
        read_volumes(storage.join(directory, "plots", "sensitive_volume.h5")),
    )


def _pipelines(path: str, volumes: str | None) -> Mapping[str, Mapping[str, VolumeCurve]]:
    """Volumes of the pipelines of a release, if they were made together with the run's present volumes."""
    if volumes is None or not storage.exists(path) or storage.made_with(path) != storage.made_with(volumes):
        return {}
    return read_release_volumes(path)


def _without_vetoed_time(results: str, name: str) -> str:
    """Path of a result without events in vetoed time, if it exists, else of the result with all events."""
    clean = storage.join(results, "clean", name)
    return clean if storage.exists(clean) else storage.join(results, name)


def _data_files(train_data: str | None, test_data: str | None, train_run: str | None) -> list[str]:
    """Existing files that a run makes before any event. They hold the parameters that made them."""
    names = {
        "segments.txt": (train_data, test_data),
        "training_waveforms.hdf5": (train_data,),
        "waveforms.hdf5": (test_data,),
        "model.pt": (train_run,),
    }
    paths = [storage.join(folder, name) for name, folders in names.items() for folder in folders if folder]
    return [path for path in paths if storage.exists(path)]


def read_metrics(path: str) -> TrainingCurves:
    """Read the metrics of a training. Each row has ``epoch`` and the metrics of that epoch; others are empty.

    Raises:
        StorageError: If a value is no number.
    """
    rows = list(csv.DictReader(storage.read_text(path).splitlines()))
    names = [name for name in (rows[0] if rows else {}) if name not in ("epoch", "step")]
    curves: dict[str, tuple[Array, Array]] = {}
    for name in names:
        try:
            pairs = [(float(row["epoch"]), float(row[name])) for row in rows if row[name] and row["epoch"]]
        except (KeyError, ValueError, TypeError) as error:
            raise StorageError(f"{path} is no table of metrics ({error}): delete it, or restore it") from None
        if pairs:
            epoch, value = np.array(pairs).T
            curves[name] = (epoch, value)
    return curves


def _signals(directories: Mapping[str, str | None]) -> dict[str, SignalCounts]:
    """Counts of the sets of signals that exist."""
    result: dict[str, SignalCounts] = {}
    for name, directory in directories.items():
        path = storage.join(directory, SIGNAL_FILES[name]) if directory else ""
        if path and storage.exists(path):
            attributes = Table.read(path, [], rows=slice(0)).attributes
            counts = {key: int(value) for key, value in attributes.items() if key.startswith("num_")}
            result[name] = {"length": Table.count(path), **counts}
    return result


def _segments(directories: Mapping[str, str | None]) -> dict[str, Array]:
    """Start and stop (GPS s) of each stage's segments, shape (segments, 2), if the stage has a list of segments."""
    result = {}
    for stage, directory in directories.items():
        path = storage.join(directory, "segments.txt") if directory else ""
        if path and storage.exists(path):
            spans = [(segment.start, segment.stop) for segment in read_segments(path)]
            result[stage] = np.array(spans, dtype=np.float64).reshape(-1, 2)
    return result


def _glitches(directory: str, events: str | None, configuration: Mapping[str, Any]) -> EventGlitches | None:
    """Glitches of simulated strain near the loudest events of the background, if the strain has glitches."""
    path = storage.join(directory, "background", "glitches.hdf5")
    if events is None or not storage.exists(path) or "search.ifos" not in configuration:
        return None
    statistic = EventTable.read(events, ["detection_statistic"])["detection_statistic"]
    rows = np.sort(np.argsort(-statistic, kind="stable")[:NUM_EXPLAINED])
    loudest = EventTable.read(events, ["detection_statistic", "detection_time", "shift"], rows)
    livetime = float(sum((spans[:, 1] - spans[:, 0]).sum() for spans in _segments({"test": directory}).values()))
    glitches = GlitchTable.read(path, GLITCH_COLUMNS)
    return EventGlitches.of(loudest, glitches, configuration["search.ifos"], livetime)


def _noise(directory: str, configuration: Mapping[str, Any]) -> dict[str, tuple[Array, Array]] | None:
    """Amplitude spectral density of each detector in the first minutes of the first background file."""
    paths = sorted(storage.glob(directory, "background", "background-*.hdf5"), key=parse_background_path)
    if not paths or "search.fftlength" not in configuration:
        return None
    start, duration = parse_background_path(paths[0])
    result = {}
    with open_background(paths[0]) as file:
        for ifo in configuration["search.ifos"]:
            strain = torch.from_numpy(file.read(ifo, start, start + min(duration, NOISE_DURATION)))
            rate = float(configuration["search.sample_rate"])
            psd = power_spectral_density(strain, rate, float(configuration["search.fftlength"]))
            frequency = np.linspace(0, rate / 2, len(psd))
            band = (frequency >= NOISE_FREQUENCY) & (frequency < rate / 2)
            result[ifo] = (frequency[band], np.sqrt(psd.numpy()[band]))
    return result


def read_run_times(results: str) -> dict[str, tuple[int, float, str]]:
    """Number, total seconds and latest end (UTC) of each kind of task, in order of their ends."""
    run_times: dict[str, tuple[int, float, str]] = {}
    for record in _time_records(results):
        task, task_seconds, end = str(record["task"]), float(record["seconds"]), str(record["ended"])
        count, seconds, last_end = run_times.get(task, (0, 0.0, ""))
        run_times[task] = (count + 1, seconds + task_seconds, max(last_end, end))
    return dict(sorted(run_times.items(), key=lambda item: item[1][2]))


def _time_records(results: str) -> list[dict[str, Any]]:
    """Records that tasks write at their ends. Incomplete ones are left out."""
    records = []
    for path in storage.glob(results, "times", "*.json"):
        with contextlib.suppress(ValueError):
            record = json.loads(storage.read_text(path))
            if isinstance(record, dict) and {"task", "seconds", "ended"} <= record.keys():
                records.append(record)
    return records


def _provenance(configuration: Mapping[str, Any], model: str | None, results: str) -> dict[str, str]:
    result = {"date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")}
    if "search.seed" in configuration:
        result["seed"] = str(configuration["search.seed"])
    if model and storage.exists(model):
        result["model.pt (SHA-256)"] = storage.sha256(model)
    for computation, key in (("training", "train.trainer.precision"), ("scoring", "inference.precision")):
        if key in configuration:
            result[f"precision of {computation}"] = str(configuration[key])
    made_by = {str(record["code"]) for record in _time_records(results) if "code" in record}
    if made_by:
        result["results made by"] = "; ".join(sorted(made_by))
    result["this report made by"] = versions.code()
    return result | versions.versions()
