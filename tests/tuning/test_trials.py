"""Trials with banks of their own."""

import dataclasses

import pytest
import yaml
from small_training import set_environment

from aframe import cli
from aframe.errors import MistakesError
from aframe.runs.artifacts import Artifacts
from aframe.runs.directories import Directories
from aframe.settings.read import load_config
from aframe.tuning.plan import read_plan
from aframe.tuning.trials import bank_file, write_trial


@pytest.fixture
def matched(tmp_path, monkeypatch):
    """A run whose network has a bank of templates, without data."""
    cli.main(["init", str(tmp_path / "run"), "--config", "demo", "--set", "bank.size=8"])
    set_environment(monkeypatch, tmp_path / "run")
    return Artifacts(load_config(str(tmp_path / "run" / "sandbox.cfg")), Directories.from_environment())


def planned(path, run, **parameters):
    keys = {key.replace("__", "."): values for key, values in parameters.items()}
    path.write_text(yaml.safe_dump({"parameters": keys, "trials": 2}))
    return read_plan(str(path), run)


def test_a_trial_has_the_bank_of_the_run_or_one_that_all_parameters_of_the_bank_name(matched, tmp_path):
    plan = planned(tmp_path / "tune.yaml", matched, bank__size={"choice": [8, 16]})
    directory = str(tmp_path / "trial")
    of_run = write_trial(plan, matched, directory, {"bank.size": "8"})
    assert (of_run.configuration, of_run.has_bank) == (str(matched.config.path), True)
    of_trial = load_config(write_trial(plan, matched, directory, {"bank.size": "16"}).configuration)
    assert of_trial.bank.size == 16
    assert of_trial.bank.bank_file == bank_file(matched, {"size": 16}) != matched.config.bank.bank_file
    denser = dataclasses.replace(matched.config.bank, minimum_match=0.99)
    changed = dataclasses.replace(matched, config=dataclasses.replace(matched.config, bank=denser))
    assert bank_file(changed, {"size": 16}) != of_trial.bank.bank_file


@pytest.mark.parametrize(
    ("key", "values", "part"),
    [
        ("bank.template_length", {"choice": [3.25, 9]}, "has 9: "),
        ("bank.template_length", {"uniform": [3, 3.5]}, "has values between samples: give a choice"),
        ("bank.after", {"choice": [0.25, 5]}, "after = 5 s in [luigi_bank] is not inside template_length = 3.25 s"),
    ],
)
def test_a_bank_that_contradicts_the_run_is_refused(matched, tmp_path, key, values, part):
    with pytest.raises(MistakesError) as refusal:
        planned(tmp_path / "tune.yaml", matched, **{key: values})
    assert part in str(refusal.value)


def test_the_base_of_the_study_decides_whether_there_is_a_bank(matched, tmp_path):
    base = yaml.safe_load((tmp_path / "run" / "train.yaml").read_text())
    base["model"]["architecture"] = {"class_path": "FactorisedNetwork"}
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(base))
    path = tmp_path / "tune.yaml"
    keys = {"train": "base.yaml", "parameters": {"bank.size": {"choice": [8, 16]}}, "trials": 2}
    path.write_text(yaml.safe_dump(keys))
    with pytest.raises(MistakesError, match=r"bank\.size is for networks with a bank of templates, and that of .*base"):
        read_plan(str(path), matched)
