import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from aframe import storage
from aframe.errors import StorageError
from aframe.machine import versions
from aframe.report.gather import CHOSEN, gather, read_metrics


def test_sparse_metrics_are_joined(run_directory: Path) -> None:
    curves = read_metrics(str(run_directory / "train" / "metrics.csv"))
    assert set(curves) == {"train_loss", "valid_loss", "valid_auroc", "valid_efficiency"}
    epoch, loss = curves["valid_loss"]
    np.testing.assert_array_equal(epoch, np.arange(20))
    assert loss[0] == pytest.approx(0.7)


def test_all_existing_inputs_are_gathered(run_directory: Path) -> None:
    inputs = gather(str(run_directory / "results"), str(run_directory / "train"))
    assert inputs.background is not None
    assert len(inputs.background.statistics) == 100_000
    assert inputs.candidates is not None
    assert inputs.candidates["detection_statistic"][0] == pytest.approx(11.5)
    assert inputs.volumes is not None
    assert list(inputs.volumes) == ["35-35", "35-20", "20-20", "20-10"]
    assert inputs.configuration is not None
    assert inputs.provenance["seed"] == "7"
    assert inputs.provenance["precision of training"] == "bf16-mixed"
    assert inputs.provenance["precision of scoring"] == "float32"
    assert inputs.simulated


def test_candidates_are_the_ranked_ones_where_there_are_any(run_directory: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    shutil.copytree(run_directory / "results", results)
    ranked = gather(str(results), None).candidates
    assert ranked is not None
    ranked.parameters["p_astro"] = np.linspace(1, 0, len(ranked))
    ranked.write(str(results / "candidates.hdf5"))
    again = gather(str(results), None).candidates
    assert again is not None
    np.testing.assert_array_equal(again["p_astro"], ranked["p_astro"])


def test_a_report_has_the_bank_and_the_values_that_a_study_chose(run_directory: Path, tmp_path: Path) -> None:
    train, results = tmp_path / "train", str(run_directory / "results")
    train.mkdir()
    shutil.copy(run_directory / "train" / "bank.hdf5", train / "bank-1.hdf5")
    assert gather(results, None, str(train), bank_file="bank-1.hdf5").bank is not None
    (train / "model.pt").write_bytes(b"")
    storage.sign(str(train / "model.pt"), {"bank.size": 8})
    (train / CHOSEN).write_text(json.dumps({"values": {"bank.size": 16}, "bank": "bank-1.hdf5"}))
    assert gather(results, str(train), str(train)).bank is None  # no study made this model
    storage.sign(str(train / "model.pt"), {"bank.size": 8, "tune.trials": 3})
    inputs = gather(results, str(train), str(train))
    assert inputs.bank is not None
    assert (inputs.configuration or {})["bank.size"] == 16


def test_a_broken_artifact_is_named(tmp_path: Path) -> None:
    storage.write_text(str(tmp_path / "background.hdf5"), "no HDF5")
    with pytest.raises(StorageError, match=r"background\.hdf5 is no HDF5 file"):
        gather(str(tmp_path), None)


def test_a_record_of_run_times_that_was_cut_short_costs_no_report(run_directory: Path, tmp_path: Path) -> None:
    shutil.copytree(run_directory / "results" / "times", tmp_path / "times")
    (tmp_path / "times" / "Train.json").write_text('{"task": "Train", "sec')
    assert list(gather(str(tmp_path), None).run_times) == ["ScoreSlides"]


def test_metrics_that_are_no_numbers_are_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("epoch,train_loss\n0,0.7\n1,low\n")
    with pytest.raises(StorageError, match=r"metrics\.csv is no table of metrics .*'low'"):
        read_metrics(str(tmp_path / "metrics.csv"))


def test_data_alone_say_how_they_were_made(run_directory: Path, tmp_path: Path) -> None:
    inputs = gather(str(tmp_path), None, None, str(run_directory / "test"))
    assert inputs.simulated
    assert inputs.noise is not None
    assert inputs.background is None


def test_provenance_tells_apart_who_made_the_results_and_who_the_report(tmp_path: Path) -> None:
    record = {"task": "Train", "seconds": 3.0, "ended": "2026-01-01 00:00:00", "code": "aframe 0.0.1, torch 2.0"}
    storage.write_text(str(tmp_path / "times" / "Train.json"), json.dumps(record))
    provenance = gather(str(tmp_path), None).provenance
    assert provenance["results made by"] == "aframe 0.0.1, torch 2.0"
    assert provenance["this report made by"] == versions.code()
