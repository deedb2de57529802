import json
from dataclasses import replace
from pathlib import Path

import h5py
import pytest
import torch
from terminal import environment_of, write_run

from aframe import storage
from aframe.errors import ParameterMismatchError
from aframe.inference.scorers import TorchScorer, choice
from aframe.inference.scorers.onnx_runtime import OnnxScorer
from aframe.runs.artifacts import Artifacts
from aframe.runs.directories import Directories
from aframe.runs.stages import check_outputs
from aframe.settings.read import load_config
from aframe.steps import engines
from aframe.steps.export import export_model
from aframe.steps.planning import time_slides
from aframe.steps.scoring import trained_model
from aframe.train import model
from aframe.train.architectures import FactorisedNetwork, JointResNet


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, operators_read_once: None) -> Artifacts:
    """A run with an exported network with random weights and ``engine = auto``."""
    changes = ("inference.engine=auto", "inference.precision=auto", "export.platform=onnxruntime")
    directory = write_run(tmp_path_factory.mktemp("engines") / "run", *changes)
    environment = environment_of(directory)
    artifacts = Artifacts(load_config(str(directory / "sandbox.cfg")), Directories.from_environment(environment))
    preprocessing = replace(time_slides(artifacts).preprocessing, coalescence=(0.5, 1.0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = FactorisedNetwork(2, preprocessing.kernel_size, (4, 6), (1, 1), (3, 3), embedding_size=4, head_size=4)
    model.save(model.Model(network.eval(), preprocessing), artifacts.model, artifacts.model_parameters)
    export_model(artifacts)
    engines.settle_precision(artifacts, "cpu", announce=False)
    return artifacts


def test_an_engine_is_measured_once_in_a_run_and_printed(run, monkeypatch, capsys):
    monkeypatch.setattr(choice, "MEASUREMENT_TIME", 0.2)
    trained = trained_model(run)
    name = engines.choose_engine(run, trained, "cpu")
    assert name in ("torch", "onnx")
    output = capsys.readouterr().out
    assert output.startswith(f"engine = auto: {name} is the fastest on ")
    assert "torch " in output
    assert "onnx " in output
    (path,) = Path(run.directories.results).glob("engine-*.json")
    rates = json.loads(path.read_text())["windows_per_second"]
    assert rates[name] == max(rates.values())
    other = {"torch": "onnx", "onnx": "torch"}[name]
    path.write_text(json.dumps({"engine": other, "windows_per_second": rates}))
    scorer = engines.make_scorer(run, trained, "cpu", None)  # the stored choice, not another measurement
    assert isinstance(scorer, {"torch": TorchScorer, "onnx": OnnxScorer}[other])
    assert capsys.readouterr().out == ""


def test_a_choice_made_for_another_model_is_refused(run):
    trained = trained_model(run)
    engines.choose_engine(run, trained, "cpu")
    changed = replace(run.config, export=replace(run.config.export, model_name="another"))
    with pytest.raises(ParameterMismatchError, match=r"engine-.*\.json was made with export\.model_name"):
        engines.choose_engine(replace(run, config=changed), trained, "cpu")


def test_a_batch_size_is_measured_once_in_a_run_and_printed(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(choice, "MEASUREMENT_TIME", 0.05)
    chosen = replace(run.config, inference=replace(run.config.inference, engine="torch", batch_size="auto"))
    auto = replace(run, config=chosen, directories=replace(run.directories, results=str(tmp_path)))
    engines.settle_precision(auto, "cpu", announce=False)
    preprocessing = trained_model(run).preprocessing
    with torch.random.fork_rng(devices=[]):
        joint = model.Model(JointResNet(2, preprocessing.kernel_size, (1,)).eval(), preprocessing)
    scorer = engines.make_scorer(auto, joint, "cpu", None)
    assert scorer.network.batch_size in choice.BATCH_SIZES
    assert capsys.readouterr().out.startswith(f"batch_size = auto: {scorer.network.batch_size} is the fastest on ")
    (path,) = tmp_path.glob("batch_size-*.json")
    record = json.loads(path.read_text())
    assert str(record["batch_size"]) in record["windows_per_second"]
    path.write_text(json.dumps(record | {"batch_size": 48}))  # the stored choice, not another measurement
    assert engines.make_scorer(auto, joint, "cpu", None).network.batch_size == 48
    assert capsys.readouterr().out == ""
    engines.make_scorer(auto, trained_model(auto), "cpu", None)  # a factorised network has no batches
    another = {"float32": "bfloat16", "bfloat16": "float32"}[auto.precision("scoring")]
    other = replace(auto, config=replace(chosen, inference=replace(chosen.inference, precision=another)))
    with pytest.raises(ParameterMismatchError, match=r"batch_size-.*\.json was made with inference\.precision"):
        engines.make_scorer(other, joint, "cpu", None)


def test_embeddings_are_cached_if_encoded_and_configured(run):
    trained = trained_model(run)
    caching = replace(run, config=replace(run.config, inference=replace(run.config.inference, embeddings_cache=2.0)))
    assert engines.embedding_cache(run, TorchScorer(trained), "cpu") is None
    joint = TorchScorer(model.Model(JointResNet(2, trained.preprocessing.kernel_size, (1,)), trained.preprocessing))
    assert engines.embedding_cache(caching, joint, "cpu") is None
    cache = engines.embedding_cache(caching, TorchScorer(trained), "cpu")
    assert cache is not None
    assert cache.limit == 2e9
    assert cache.directory.startswith(f"{run.directories.results}/embeddings/")
    assert cache.made_by["model"] == storage.sha256(run.model)
    assert caching.unit_parameters == run.unit_parameters  # the size of the cache changes no result


def pretend(monkeypatch, factor):
    """Set the ratio of bfloat16's time to float32's."""
    from aframe.machine import precision

    monkeypatch.setattr(precision, "slowdown", lambda kind, _: factor if kind == torch.bfloat16 else 1.0)


def test_the_precision_of_scoring_is_that_of_the_first_machine(run, tmp_path, monkeypatch, capsys):
    auto = replace(run, directories=replace(run.directories, results=str(tmp_path)))
    assert auto.unit_parameters["inference.precision"] == "auto"
    pretend(monkeypatch, 50.0)
    assert engines.settle_precision(auto, "cpu") == torch.float32
    reason = "this processor emulates bfloat16: products take about 50 times as long"
    assert capsys.readouterr().out == f"Scoring: precision float32; {reason}\n"
    assert auto.unit_parameters["inference.precision"] == "float32"
    record = json.loads((tmp_path / "precision.json").read_text())
    assert record["bfloat16_over_float32_time"] == 50.0
    pretend(monkeypatch, 0.3)  # a machine of another kind
    assert engines.settle_precision(auto, "cpu") == torch.float32
    assert capsys.readouterr().out == ""


def test_a_machine_that_emulates_the_precision_of_the_run_says_what_it_costs(run, tmp_path, monkeypatch, capsys):
    auto = replace(run, directories=replace(run.directories, results=str(tmp_path)))
    pretend(monkeypatch, 0.3)
    assert engines.settle_precision(auto, "cpu") == torch.bfloat16
    assert "Scoring: precision bfloat16; this processor has instructions" in capsys.readouterr().out
    pretend(monkeypatch, 70.0)
    engines._warn_of_emulation.cache_clear()
    for _ in range(2):
        assert engines.settle_precision(auto, "cpu") == torch.bfloat16
    [warning] = capsys.readouterr().err.splitlines()
    emulated = "bfloat16, which this processor emulates: products take about 70 times as long"
    assert warning == f"warning: this run is scored in {emulated}"


def test_before_a_run_only_a_configured_precision_causes_a_warning(run, tmp_path, monkeypatch, capsys):
    pretend(monkeypatch, 70.0)
    elsewhere = replace(run.directories, results=str(tmp_path), train_run=str(tmp_path))
    engines._warn_of_emulation.cache_clear()
    engines.warn_of_emulation(replace(run, directories=elsewhere), "")
    assert capsys.readouterr().err == ""
    inference = replace(run.config.inference, precision="bfloat16")
    named = replace(run, directories=elsewhere, config=replace(run.config, inference=inference))
    engines.warn_of_emulation(named, "")
    assert capsys.readouterr().err.startswith("warning: this run is scored in bfloat16, which this processor emulates")
    assert not (tmp_path / "precision.json").exists()


def test_a_record_that_fits_no_output_is_named(run, tmp_path):
    """Otherwise the error would blame the configuration, which has ``auto``."""
    auto = replace(run, directories=replace(run.directories, results=str(tmp_path)))
    (tmp_path / "units").mkdir()
    with h5py.File(tmp_path / "units" / "0lag-0.hdf5", "w") as file:
        parameters = auto.unit_parameters | {"inference.precision": "float32"}
        file.attrs["aframe_parameters"] = json.dumps(parameters)
    (tmp_path / "precision.json").write_text('{"precision": "bfloat16"}')
    message = (
        f"precision = 'float32'.*'bfloat16'.*; {tmp_path}/precision.json sets the value of auto: delete or mend it"
    )
    with pytest.raises(ParameterMismatchError, match=message):
        check_outputs(auto)


def test_a_precision_by_name_is_obeyed(run, tmp_path, monkeypatch, capsys):
    named = replace(
        run,
        config=replace(run.config, inference=replace(run.config.inference, precision="bfloat16")),
        directories=replace(run.directories, results=str(tmp_path)),
    )
    pretend(monkeypatch, 70.0)
    engines._warn_of_emulation.cache_clear()
    assert engines.settle_precision(named, "cpu") == torch.bfloat16
    assert "which this processor emulates" in capsys.readouterr().err
    assert named.unit_parameters["inference.precision"] == "bfloat16"
    assert not (tmp_path / "precision.json").exists()
