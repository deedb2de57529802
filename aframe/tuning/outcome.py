"""Run a study to its end, and publish what came of it: the best model, a table and a page."""

import csv
import io
import json
import math
import shutil
from collections.abc import Sequence
from typing import Any

import numpy as np
from optuna.importance import get_param_importances
from optuna.trial import FrozenTrial, TrialState

from aframe import storage
from aframe.errors import DataError, TrainingError
from aframe.report.gather import CHOSEN
from aframe.report.study import StudyParameter, StudyResults, study_html, summary
from aframe.report.training import draw_training
from aframe.runs.artifacts import Artifacts
from aframe.runs.stages import check_outputs, stages_of
from aframe.settings.keys import shown
from aframe.train import model
from aframe.tuning.plan import BANK, Plan, is_same, read_plan, with_base
from aframe.tuning.space import CHOICE, Parameter, label
from aframe.tuning.study import Record
from aframe.tuning.trials import bank_file

COPIED = ("train.yaml", "metrics.csv", "validation.hdf5", "example_batch.hdf5", "precision.json")
"""Files of the best training that lie beside its model too."""

DATA_TASKS = (
    *("FindSegments train", "FetchStrain train", "GenerateTrainingWaveforms", "GenerateValidationWaveforms"),
    "TemplateBank",
)
"""Tasks that make what trainings read."""

STATES = {TrialState.COMPLETE: "to the end", TrialState.PRUNED: "ended early", TrialState.FAIL: "failed",
          TrialState.RUNNING: "running"}  # fmt: skip
"""What becomes of a trial, in words."""

LEAST_FOR_IMPORTANCE = 4
"""Trials to their end from which importances are computed."""


def run_study(path: str, run: Artifacts, gpus: str) -> str:
    """Run a study, or continue it, and publish its best model.

    Args:
        path: YAML of the study.
        run: The run whose data train.
        gpus: GPUs, as in CUDA_VISIBLE_DEVICES; empty for the CPU.

    Returns:
        What came of it, in lines.

    Raises:
        DataError: If the run has no training data yet.
        MistakesError: If the study has mistakes.
        ParameterMismatchError: If it was begun with other values.
        TrainingError: If all trials fail, or too many workers are killed.
    """
    plan = read_plan(path, run)
    check_data(plan, run)
    record = Record.open(plan, run)
    if not record.is_done:
        if plan.backend == "ray":
            from aframe.tuning.ray_cluster import train_on_ray

            train_on_ray(record, run)
        else:
            from aframe.tuning.workers import train_here

            train_here(record, run, gpus)
    if not record.is_done:
        raise TrainingError(
            f"{len(record.ended)} of {plan.trials} trials have ended, as workers of the study were killed, perhaps "
            "because memory ran out: run again to continue, with fewer workers"
        )
    return publish(record, run)


def check_data(plan: Plan, run: Artifacts) -> None:
    """Refuse a run whose training data are not made, or were made with other parameters.

    Raises:
        DataError: With what is missing, and the command that makes it.
        ParameterMismatchError: With the first parameter that differs.
    """
    run = with_base(run, plan.train)
    commands = {"aframe data --stage train": run.background_files("train")[:1] or [run.segments("train")]}
    if run.stores_training_waveforms:
        commands["aframe waveforms --stage train"] = [run.training_waveforms]
    commands["aframe waveforms --stage validation"] = [run.validation_waveforms]
    if run.needs_bank and not any(each.key.startswith(BANK) for each in plan.parameters):
        commands["aframe waveforms --stage bank"] = [run.bank]
    missing = {command: path for command, [path] in commands.items() if not storage.exists(path)}
    if not run.background_files("train"):
        missing.setdefault("aframe data --stage train", run.segments("train"))
    if missing:
        made = " and ".join(f"`{command} --cfg {run.config.path}`" for command in missing)
        raise DataError(f"{next(iter(missing.values()))} does not exist: make the training's data first, with {made}")
    check_outputs(run, [stage for stage in stages_of(run) if stage.task in DATA_TASKS])


def publish(record: Record, run: Artifacts) -> str:
    """Write the best model, a table and a page into the directory of a study.

    If the run's ``.cfg`` names the study, the model becomes the run's too.

    Args:
        record: The study.
        run: The run whose data trained.

    Returns:
        What came of it, in lines.

    Raises:
        TrainingError: If no trial trained to its end.
    """
    best, directory = record.best, record.plan.directory
    if best is None:
        raise record.failure() if record.is_given_up else TrainingError(f"no trial of {directory} trained to its end")
    results = gather(record)
    storage.write_text(storage.join(directory, "trials.csv"), table(record))
    page = storage.join(directory, "study.html")
    storage.write_text(page, study_html(results))
    source, target = record.directory(best.number), storage.join(directory, model.NAME)
    _copy(source, directory, COPIED)
    storage.sign(target, storage.made_with(storage.join(source, model.NAME)) or {})
    _copy_file(storage.join(source, model.NAME), target)
    storage.write_text(storage.join(directory, CHOSEN), json.dumps(_chosen(best, record.plan, run), indent=1))
    drawn = [path.rpartition("/")[2] for path in draw_training(directory)]
    lines = [summary(results), target, page]
    if run.study_yaml is not None and is_same(run.study_yaml, record.plan.path):
        _copy(directory, run.directories.train_run, (*COPIED, CHOSEN, *drawn))
        model.save(model.load(target), run.model, run.model_parameters)
        lines.append(run.model)
    return "\n".join(lines)


def _chosen(best: FrozenTrial, plan: Plan, run: Artifacts) -> dict[str, Any]:
    """Values of the best trial by the names of the run's parameters, and the name of its bank's file."""
    values = {each.key: _value(each, best) for each in plan.parameters}
    bank = {key.removeprefix(BANK): value for key, value in values.items() if key.startswith(BANK)}
    named = {key if key.startswith(BANK) else f"train.{key}": value for key, value in values.items()}
    return {"values": named | {"tune.best_trial": best.number}, "bank": bank_file(run, bank)}


def _copy(source: str, target: str, names: Sequence[str]) -> None:
    for name in names:
        if storage.exists(storage.join(source, name)):
            _copy_file(storage.join(source, name), storage.join(target, name))


def _copy_file(source: str, target: str) -> None:
    with storage.atomic(target) as temporary:
        shutil.copyfile(source, temporary)


def table(record: Record) -> str:
    """Table of all trials, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["trial", "state", record.plan.metric, "epochs", *(each.key for each in record.plan.parameters)])
    for trial in record.trials:
        settings = [label(_value(each, trial)) for each in record.plan.parameters]
        value = "" if trial.value is None else trial.value
        writer.writerow([trial.number, STATES[trial.state], value, trial.last_step or 0, *settings])
    return text.getvalue()


def gather(record: Record) -> StudyResults:
    """Results of a study, for its page."""
    trials, plan = record.trials, record.plan
    return StudyResults(
        name=plan.name,
        metric=plan.metric,
        values=np.array([math.nan if each.value is None else each.value for each in trials]),
        epochs=np.array([each.last_step or 0 for each in trials]),
        is_complete=np.array([each.state == TrialState.COMPLETE for each in trials]),
        states=[STATES[each.state] for each in trials],
        parameters={each.key: _of(each, trials) for each in plan.parameters},
        importances=_importances(record),
    )


def _importances(record: Record) -> dict[str, float]:
    values = [each.value for each in record.trials if each.state == TrialState.COMPLETE]
    if len(values) < LEAST_FOR_IMPORTANCE or len(set(values)) == 1:
        return {}
    return dict(get_param_importances(record.study))


def _value(parameter: Parameter, trial: FrozenTrial) -> Any:
    return parameter.decoded(trial.params[parameter.key])


def _of(parameter: Parameter, trials: list[FrozenTrial]) -> StudyParameter:
    """Values of a parameter, and their places in its range."""
    values = [_value(parameter, each) for each in trials]
    if parameter.kind == CHOICE:
        labels = list(map(label, parameter.values))
        heights = np.array([labels.index(label(value)) / (len(labels) - 1) for value in values])
        return StudyParameter(list(map(label, values)), heights, (labels[0], labels[-1]))
    low, high = parameter.values
    scale = np.log if parameter.kind.startswith("log") else np.asarray
    heights = (scale(np.array(values, float)) - scale(low)) / (scale(high) - scale(low))
    return StudyParameter([f"{value:.4g}" for value in values], heights, (shown(low), shown(high)))
