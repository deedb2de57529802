"""Whole studies: processes that train, are killed, and go on."""

import csv
import dataclasses
import json
import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from processes_of_runs import wait_for

from aframe import cli, storage
from aframe.errors import DataError, ParameterMismatchError, TrainingError
from aframe.report.gather import CHOSEN
from aframe.runs.artifacts import Artifacts
from aframe.settings.read import load_config
from aframe.train import model
from aframe.tuning import workers
from aframe.tuning.outcome import run_study
from aframe.tuning.plan import read_plan
from aframe.tuning.study import Record


def table(directory):
    with (directory / "trials.csv").open() as stream:
        return list(csv.DictReader(stream))


def children(process):
    return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def started(path):
    """``aframe tune`` in a process of its own, which need not import anything again."""
    process = multiprocessing.get_context("fork").Process(target=cli.main, args=(["tune", "--config", str(path)],))
    process.start()
    return process


def test_a_study_of_two_workers_is_killed_twice_and_goes_on(study, prepared, capfd):
    path, run = study(trials=3, workers=2, stopping={"min_epochs": 1, "reduction_factor": 2})
    directory = Path(run.directories.train_run) / "study"
    first, metrics = started(path), directory / "trials" / "0000" / "metrics.csv"
    wait_for(metrics.exists, 120)
    worker, *_ = children(first.pid)
    os.kill(worker, signal.SIGKILL)  # another one begins
    wait_for(lambda: "another one begins" in capfd.readouterr().out, 60)
    first.kill()
    first.join()
    second = started(path)
    record = Record.open(read_plan(str(path), run), run)
    wait_for(lambda: record.ended, 120)
    second.kill()
    second.join()
    cli.main(["tune", "--config", str(path)])
    output = capfd.readouterr().out
    assert "Of 3 trials" in output
    rows = table(directory)
    assert [row["trial"] for row in rows] == ["0", "1", "2"]
    assert {row["state"] for row in rows} <= {"to the end", "ended early"}
    complete = [row for row in rows if row["state"] == "to the end"]
    assert all(row["epochs"] == "2" for row in complete)
    assert rows[0] in complete
    best = max(complete, key=lambda row: float(row["valid_auroc"]))
    assert float(best["valid_auroc"]) >= float(rows[0]["valid_auroc"])
    of_best = directory / "trials" / f"{int(best['trial']):04d}"
    assert (directory / "model.pt").read_bytes() == (of_best / "model.pt").read_bytes()
    model.load(str(directory / "model.pt"))
    made_with = storage.made_with(str(of_best / "model.pt"))
    assert made_with["train.model.learning_rate"] == pytest.approx(float(best["model.learning_rate"]))
    page = (directory / "study.html").read_text()
    assert "Parallel coordinates" in page
    assert {"train.yaml", "metrics.csv", "validation.hdf5", "training.html"} <= set(os.listdir(directory))
    assert Record.open(read_plan(str(path), run), run).is_done


def test_a_study_makes_the_model_of_a_run_that_names_it(study, prepared, monkeypatch):
    path, run = study(trials=1, train=None)
    text = (prepared / "sandbox.cfg").read_text()
    configuration = prepared / "tuned.cfg"
    configuration.write_text(text.replace("[luigi_Train]\n", f"[luigi_Train]\ntune = {path}\n"))
    configuration.write_text(
        configuration.read_text().replace("config = train.yaml", f"config = {path.parent}/base.yaml")
    )
    tuned = Artifacts(load_config(str(configuration)), run.directories)
    run_study(str(path), tuned, "")
    storage.check_parameters(tuned.model, tuned.model_parameters)
    assert storage.made_with(tuned.model)["tune.trials"] == 1
    model.load(tuned.model)
    assert {"metrics.csv", "validation.hdf5"} <= set(os.listdir(tuned.directories.train_run))
    chosen = json.loads((Path(tuned.directories.train_run) / CHOSEN).read_text())
    assert chosen["values"]["train.model.learning_rate"] == 2e-3
    assert chosen["values"]["tune.best_trial"] == 0


def test_a_study_whose_trials_all_fail_says_why_once(study, capfd):
    path, run = study(trials=2, data={"validation_background": 1e-3}, metric="valid_found")
    with pytest.raises(TrainingError, match=r"all 2 trials failed, first with: .+ \(log: .+0000.+\); mend it"):
        run_study(str(path), run, "")
    assert "Traceback" not in capfd.readouterr().err


def test_a_run_without_training_data_is_refused_with_the_commands_that_make_them(study, monkeypatch, tmp_path):
    path, _ = study()
    monkeypatch.setenv("AFRAME_TRAIN_DATA_DIR", str(tmp_path / "empty"))
    _, run = study()
    with pytest.raises(DataError, match=r"segments\.txt does not exist: .*`aframe data --stage train --cfg .*` and "):
        run_study(str(path), run, "")


def test_a_run_whose_training_data_were_made_with_other_parameters_is_refused(study):
    path, run = study()
    waveforms = dataclasses.replace(run.config.waveforms, num_validation_waveforms=24)
    changed = dataclasses.replace(run, config=dataclasses.replace(run.config, waveforms=waveforms))
    with pytest.raises(ParameterMismatchError, match=r"val_waveforms\.hdf5 was made with .*= 12, but .* = 24.*rm -r"):
        run_study(str(path), changed, "")


def test_a_study_whose_workers_were_all_killed_is_not_done(study, monkeypatch):
    monkeypatch.setattr(workers, "MOST_REPLACEMENTS", 0)
    monkeypatch.setattr(workers, "work", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    path, run = study(trials=2)
    with pytest.raises(TrainingError, match="0 of 2 trials have ended, as workers of the study were killed"):
        run_study(str(path), run, "")
    assert not (Path(run.directories.train_run) / "study" / "study.html").exists()
