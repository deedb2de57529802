"""Files with which a trial trains: its YAML, and the ``.cfg`` of its bank."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from configupdater import ConfigUpdater

from aframe import storage
from aframe.runs.artifacts import Artifacts
from aframe.runs.directories import Directories
from aframe.settings.keys import shown
from aframe.tuning.plan import BANK, Plan, with_values
from aframe.tuning.training import TrialFiles


def write_trial(plan: Plan, run: Artifacts, directory: str, values: Mapping[str, Any]) -> TrialFiles:
    """Write the files with which a trial trains.

    Args:
        plan: The study.
        run: The run whose data train.
        directory: Directory of the trial.
        values: The trial's values, as Optuna knows them.
    """
    chosen = {each.key: each.decoded(values[each.key]) for each in plan.parameters}
    bank = {key.removeprefix(BANK): value for key, value in chosen.items() if key.startswith(BANK)}
    others = {key: value for key, value in chosen.items() if not key.startswith(BANK)}
    train = storage.join(directory, "train.yaml")
    storage.write_text(train, with_values(plan.train, others))
    directories = Directories(**_texts(run.directories) | {"train_run": directory})
    settled, of_trial = run.precision_record("training"), storage.join(directory, "precision.json")
    if storage.exists(settled) and not storage.exists(of_trial):  # all trainings of a run have one precision
        storage.write_text(of_trial, storage.read_text(settled))
    has_other = bank_file(run, bank) != run.config.bank.bank_file
    configuration = _with_bank(run, bank) if has_other else str(run.config.path)
    return TrialFiles(directory, train, configuration, directories, bool(bank))


def bank_file(run: Artifacts, values: Mapping[str, Any]) -> str:
    """Name of a bank's file: that of the run's bank, or one that all parameters of the bank decide.

    Args:
        run: The run.
        values: Keys of ``[luigi_bank]`` that a study changes, and their values.
    """
    if all(getattr(run.config.bank, key) == value for key, value in values.items()):
        return run.config.bank.bank_file
    parameters = run.bank_parameters | {f"{BANK}{key}": value for key, value in values.items()}
    return f"bank-{hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()[:12]}.hdf5"


def _texts(directories: Directories) -> dict[str, str]:
    return {each.name: getattr(directories, each.name) for each in fields(directories)}


def _with_bank(run: Artifacts, values: Mapping[str, Any]) -> str:
    """Write a ``.cfg`` with other keys of the bank beside the run's, as its relative paths start there."""
    name = bank_file(run, values)
    file = ConfigUpdater(inline_comment_prefixes=("#", ";"))
    file.read_string(storage.read_text(str(run.config.path)))
    if "luigi_bank" not in file:
        file[file.sections()[-1]].add_after.space().section("luigi_bank")
    for key, value in (dict(values) | {"bank_file": name}).items():
        file["luigi_bank"][key] = shown(value).strip("'")
    path = str(run.config.path.with_name(f".tune-{name.removeprefix('bank-').removesuffix('.hdf5')}.cfg"))
    storage.write_text(path, str(file))
    return path
