import contextlib
import csv
import io
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from processes_of_runs import wait_for
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from aframe import cli, storage
from aframe.bank.template_bank import TemplateBank
from aframe.errors import ConfigurationError, MistakesError, ParameterMismatchError, TrainingError
from aframe.machine import precision
from aframe.steps import training_cli
from aframe.steps.training_data import RunDataModule
from aframe.train import model
from aframe.train.architectures import MatchedFilterNetwork
from aframe.train.metrics import validation_metrics
from aframe.train.module import AframeModule


def rows(path):
    with path.open() as stream:
        return list(csv.DictReader(stream))


def training(*options, **streams):
    """Training in a separate process."""
    command = [sys.executable, "-m", "aframe.cli", "train", "fit", *options]
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}  # sums depend on it in the last bit
    return subprocess.Popen(command, env=environment, text=True, **streams)


@contextlib.contextmanager
def forked_training(yaml, errors):
    """Training in a process that is forked from this one, and thus need not import Lightning again.

    Args:
        yaml: The training file.
        errors: File for the standard error.
    """

    def fit():
        torch.set_num_threads(1)
        with open(errors, "w") as stream, contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(stream):
            cli.main(["train", "fit", "--config", yaml])

    process = multiprocessing.get_context("fork").Process(target=fit)
    process.start()
    try:
        yield process
        process.join(120)
        assert not process.is_alive()
    finally:
        process.kill()
        process.join()


def kill_after_first_epoch(yaml, directory):
    """Start training in a separate process, and kill it when it has a checkpoint."""
    with forked_training(yaml, os.devnull) as process:
        while not (directory / "checkpoints" / "last.ckpt").exists():
            assert process.is_alive()
            time.sleep(0.005)
        process.kill()


def losses(directory):
    """Loss at each step, from TensorBoard."""
    events = EventAccumulator(str(directory / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    return {event.step: event.value for event in events.Scalars("loss")}


def changed(prepared, name, *changes):
    """Copy of the training file with other values."""
    text = (prepared / "train.yaml").read_text()
    for key, value in changes:
        text, number = re.subn(rf"(?m)^( +){key}: .*$", rf"\g<1>{key}: {value}", text)
        assert number == 1, key
    path = prepared / f"{name}.yaml"
    path.write_text(text)
    return str(path)


def test_a_training_that_was_killed_continues_as_if_it_had_not_been(prepared, run):
    yaml = str(prepared / "train.yaml")
    whole = run("whole")
    training_cli.main(["fit", "--config", yaml])
    killed = run("killed")
    kill_after_first_epoch(yaml, killed)
    assert not (killed / "model.pt").exists()
    training_cli.main(["fit", "--config", yaml])
    expected, actual = (model.load(str(d / "model.pt")) for d in (whole, killed))
    assert expected.preprocessing == actual.preprocessing
    for name, tensor in expected.network.state_dict().items():
        assert torch.equal(actual.network.state_dict()[name], tensor), name
    table = rows(whole / "metrics.csv")
    assert rows(killed / "metrics.csv") == table
    assert [row["epoch"] for row in table] == ["0", "1", "2", "3"]
    assert [row["step"] for row in table] == ["12", "24", "36", "48"]
    metrics = ("train_loss", "valid_auroc", "valid_efficiency", "valid_found", "found_is_extrapolated")
    assert {"epoch", "step", "learning_rate", *metrics} <= set(table[0])
    assert {"example_batch.hdf5", "validation.hdf5", "tensorboard"} <= set(os.listdir(whole))
    assert all(float(row["train_loss"]) > 0 for row in table)
    assert 0.4 < float(table[-1]["valid_auroc"]) <= 1
    assert float(table[-1]["learning_rate"]) < 0.01 * max(float(row["learning_rate"]) for row in table)

    # complete: training again changes nothing; other parameters are refused
    before = (whole / "model.pt").read_bytes()
    run("whole")
    training_cli.main(["fit", "--config", yaml])
    assert model.load(str(whole / "model.pt")).network.state_dict().keys() == expected.network.state_dict().keys()
    assert rows(whole / "metrics.csv") == table
    assert len((whole / "model.pt").read_bytes()) == len(before)
    other = prepared / "other.yaml"
    other.write_text((prepared / "train.yaml").read_text().replace("weight_decay: 0.02", "weight_decay: 0.03"))
    with pytest.raises(ParameterMismatchError, match=r"train\.model\.weight_decay = 0\.02"):
        training_cli.main(["fit", "--config", str(other)])
    for option in (
        ["--model.weight_decay", "0.03"],
        ["--model.weight_decay=0.03"],
    ):  # on the command line too
        with pytest.raises(ParameterMismatchError, match=r"now says train\.model\.weight_decay = 0\.03"):
            training_cli.main(["fit", "--config", yaml, *option])
    training_cli.main(["fit", "--config", yaml, "--model.weight_decay", "0.02", "--data.background_memory=disk"])


def test_a_preempted_training_continues_from_the_very_step(prepared, run):
    """Training stops in the middle of an epoch. It then reaches the same losses, step by step, and the same model."""
    yaml = changed(prepared, "steps", ("max_epochs", "3\n  log_every_n_steps: 1"), ("batches_per_epoch", 40))
    whole, ended = run("uninterrupted"), run("preempted")
    run("uninterrupted")
    training_cli.main(["fit", "--config", yaml])
    run("preempted")
    with forked_training(yaml, prepared / "errors.txt") as process:
        while not (ended / "checkpoints" / "last.ckpt").exists():
            assert process.is_alive()
            time.sleep(0.002)
        time.sleep(0.2)
        process.terminate()
    assert process.exitcode == 1
    last_line = (prepared / "errors.txt").read_text().strip().splitlines()[-1]
    assert last_line.startswith("error: training was asked to end (SIGTERM): run again to continue")
    step = torch.load(ended / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert 40 < step < 120
    assert step % 40, "the signal came between two epochs: the test shows nothing"
    assert max(losses(ended)) == step - 1
    training_cli.main(["fit", "--config", yaml])
    assert losses(ended) == losses(whole)
    assert list(losses(whole)) == list(range(120))
    assert rows(ended / "metrics.csv") == rows(whole / "metrics.csv")
    expected, actual = (model.load(str(d / "model.pt")).network.state_dict() for d in (whole, ended))
    assert all(torch.equal(actual[name], tensor) for name, tensor in expected.items())


def written(path):
    """Time of a file's last change, ns; 0 without the file."""
    return path.stat().st_mtime_ns if path.exists() else 0


def ask_to_end(process, rank):
    """Send SIGTERM to one of two training processes, and return their standard error."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    other = next(int(c) for c in children if "train" in Path(f"/proc/{c}/cmdline").read_text())
    os.kill((process.pid, other)[rank], signal.SIGTERM)
    try:
        output = process.communicate(timeout=120)[1]
        wait_for(lambda: not Path(f"/proc/{other}/exe").exists(), 60)  # a finished process has none
    finally:
        process.kill()
    return output


@pytest.mark.parametrize("terminated", [(1,), pytest.param((0, 1), marks=pytest.mark.thorough)])
def test_two_processes_end_together_continue_and_validate_as_one_does(prepared, run, terminated):
    """One process, or one after the other, gets SIGTERM. After both continue, they write one model."""
    epochs = ("max_epochs", "5\n  log_every_n_steps: 1")
    yaml = changed(prepared, "ddp", epochs, ("batches_per_epoch", 20), ("devices", "2\n  strategy: ddp"))
    directory, reached = run("ddp"), 0
    last = directory / "checkpoints" / "last.ckpt"
    for rank in terminated:
        before = written(last)
        with training("--config", yaml, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            while written(last) == before:
                assert process.poll() is None
                time.sleep(0.002)
            time.sleep(0.2)
            output = ask_to_end(process, rank)
        assert process.returncode == 1
        assert "error: training was asked to end (SIGTERM): run again to continue" in output
        step = torch.load(last, weights_only=True)["global_step"]
        assert reached + 1 < step < 100
        assert step % 20
        reached = step
    with training("--config", yaml, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        out, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert out.count("Train: epoch 5 of 5") == 1
    assert [name for name in os.listdir(directory) if name.startswith("model")] == ["model.pt"]
    table = rows(directory / "metrics.csv")
    assert [row["epoch"] for row in table] == ["0", "1", "2", "3", "4"]
    checkpoint = torch.load(last, weights_only=True)["state_dict"]
    trained = model.load(str(directory / "model.pt"))
    assert all(torch.equal(checkpoint[f"network.{name}"], x) for name, x in trained.network.state_dict().items())
    data = RunDataModule(validation_background=float("inf"))
    data.setup("validate")
    validated = data.validation.joined([data.validation.score(trained.network, 200000.0, torch.device("cpu"), (0, 1))])
    expected = validation_metrics(validated, 1e-3)
    for name, value in expected.items():
        assert float(table[-1][name]) == pytest.approx(value, abs=1e-6, nan_ok=True), name


def bank_yaml(prepared, monkeypatch, **trainer):
    """Training file of a head on matched filters, for a configuration with a bank, which is made."""
    configuration = prepared / "bank.cfg"
    keys = "[luigi_bank]\nsize = 16\ntemplate_length = 1\nafter = 0.125\n"
    configuration.write_text((prepared / "sandbox.cfg").read_text() + "\n" + keys)
    monkeypatch.setenv("LAW_CONFIG_FILE", str(configuration))
    content = yaml.safe_load((prepared / "train.yaml").read_text())
    content["model"]["architecture"] = {"class_path": "MatchedFilterNetwork", "init_args": {"groups": 8}}
    content["trainer"] |= {"max_epochs": 6, **trainer}
    content["data"] |= {"first_coalescence": 0.92, "last_coalescence": 1.3, "snr_minimum": 6}
    content["data"] |= {"mined_slides": 6, "mined_noise": 60, "mined_signals": 64}
    path = prepared / f"bank{len(trainer)}.yaml"
    path.write_text(yaml.safe_dump(content))
    cli.main(["waveforms", "--cfg", str(configuration), "--stage", "bank"])
    return str(path)


def test_a_head_on_matched_filters_learns_from_the_loudest_noise(prepared, run, monkeypatch):
    directory = run("bank")
    path = bank_yaml(prepared, monkeypatch)
    training_cli.main(["fit", "--config", path])
    trained = model.load(str(directory / "model.pt")).network
    assert (trained.templates, trained.template_size) == (16, 512)
    assert len(trained.bias.unique()) > 1
    assert trained.head[-1].weight.abs().sum() > 0
    first, *between, last = rows(directory / "metrics.csv")
    assert float(last["train_loss"]) < float(first["train_loss"])
    again = run("bank again")
    training_cli.main(["fit", "--config", path])
    assert rows(again / "metrics.csv") == [first, *between, last]


def test_templates_are_trained_on_request(prepared, run, monkeypatch):
    directory = run("bank that learns")
    path = Path(bank_yaml(prepared, monkeypatch, max_epochs=1))
    content = yaml.safe_load(path.read_text())
    content["model"]["architecture"]["init_args"]["trainable"] = True
    path.write_text(yaml.safe_dump(content))
    training_cli.main(["fit", "--config", str(path)])
    trained = model.load(str(directory / "model.pt")).network
    placed = MatchedFilterNetwork(trained.num_ifos, trained.kernel_size, groups=8)
    bank = TemplateBank.read(str(prepared / "train_data" / "bank.hdf5"))
    placed.set_bank(bank.templates, torch.from_numpy(bank.chirp_mass))
    change = (trained.filters.bank - placed.filters.bank).abs().amax().item()
    assert 0 < change < 0.02 * placed.filters.bank.abs().amax().item()


@pytest.mark.thorough
def test_a_head_on_matched_filters_learns_in_two_processes(prepared, run, monkeypatch):
    directory = run("bank of two")
    with training(
        "--config", bank_yaml(prepared, monkeypatch, devices=2, strategy="ddp"), stderr=subprocess.PIPE
    ) as two:
        errors = two.communicate()[1]
    assert two.returncode == 0, errors
    trained = model.load(str(directory / "model.pt")).network
    assert len(trained.bias.unique()) > 1
    first, *_, last = rows(directory / "metrics.csv")
    assert float(last["train_loss"]) < float(first["train_loss"])


def test_a_loss_that_is_no_number_is_an_error_and_spoils_no_checkpoint(prepared, run):
    yaml = changed(prepared, "nan", ("learning_rate", "1.0e+38"), ("max_epochs", 2), ("gradient_clip_val", "0.0"))
    directory = run("nan")
    with pytest.raises(TrainingError, match=r"no longer a number, at step \d+: .* half the model.learning_rate"):
        training_cli.main(["fit", "--config", yaml])
    assert not (directory / "checkpoints" / "last.ckpt").exists()


def test_too_little_memory_is_an_error_with_a_remedy(prepared, run, monkeypatch):
    run("memory")
    monkeypatch.setattr(AframeModule, "training_step", lambda *_: torch.empty(2**46))
    with pytest.raises(TrainingError, match=r"memory ran out \(.*\): set data.background_memory"):
        training_cli.main(["fit", "--config", str(prepared / "train.yaml")])


def test_other_errors_are_not_hidden(prepared, run, monkeypatch):
    run("other")
    monkeypatch.setattr(AframeModule, "training_step", lambda *_: torch.zeros(3) + torch.zeros(4))
    with pytest.raises(RuntimeError, match="size of tensor"):
        training_cli.main(["fit", "--config", str(prepared / "train.yaml")])


def test_where_a_training_runs_may_change(prepared, run):
    """Memory and compilation are no parameters of the result. A training continues with other values."""
    whole, directory = run("whole memory"), run("memory changes")
    training_cli.main(["fit", "--config", changed(prepared, "two", ("max_epochs", 2))])
    kill_after_first_epoch(changed(prepared, "two", ("max_epochs", 2)), directory)
    other = changed(prepared, "disk", ("max_epochs", 2), ("batch_size", "16\n  background_memory: disk"))
    training_cli.main(["fit", "--config", other])
    run("whole memory")
    training_cli.main(["fit", "--config", changed(prepared, "two", ("max_epochs", 2))])
    assert rows(directory / "metrics.csv") == rows(whole / "metrics.csv")


def test_an_unknown_key_is_an_error(prepared, run):
    run("unknown")
    path = prepared / "unknown.yaml"
    path.write_text((prepared / "train.yaml").read_text().replace("batch_size:", "batchsize:"))
    with pytest.raises(MistakesError, match=r"unknown\.yaml:\d+: unknown key 'batchsize' in data .*'batch_size'"):
        training_cli.main(["fit", "--config", str(path)])


def test_a_training_without_yaml_is_an_error(run):
    run("none")
    with pytest.raises(ConfigurationError, match="needs --config FILE"):
        training_cli.main(["fit"])


@pytest.mark.parametrize("moment", ["validation_step", "on_train_batch_end"])
def test_a_training_that_is_ended_between_two_epochs_lacks_nothing(prepared, run, monkeypatch, moment):
    """SIGTERM arrives during the first validation, or in the last step before it."""
    yaml = changed(prepared, "between", ("max_epochs", 3))
    whole, ended = run("whole between"), run(f"ended in {moment}")
    run("whole between")
    training_cli.main(["fit", "--config", yaml])
    run(f"ended in {moment}")
    original = getattr(AframeModule, moment)

    def then_end(self, *arguments):
        if self.trainer.current_epoch == 0 and arguments[-1] in (0, 11) and self.trainer.global_step == 12:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(AframeModule, moment, then_end)
        with pytest.raises(TrainingError, match="asked to end"):
            training_cli.main(["fit", "--config", yaml])
    training_cli.main(["fit", "--config", yaml])
    assert rows(ended / "metrics.csv") == rows(whole / "metrics.csv")
    expected, actual = (model.load(str(d / "model.pt")).network.state_dict() for d in (whole, ended))
    assert all(torch.equal(actual[name], tensor) for name, tensor in expected.items())


def test_a_training_keeps_the_precision_that_it_began_with(prepared, run, monkeypatch, capsys):
    yaml, directory = changed(prepared, "auto", ("precision", "auto"), ("max_epochs", 1)), run("auto")
    monkeypatch.setattr(precision, "slowdown", lambda kind, _: 50.0 if kind == torch.bfloat16 else 1.0)
    training_cli.main(["fit", "--config", yaml])
    line = "Train: precision 32-true; this processor emulates bfloat16: products take about 50 times as long"
    assert line in capsys.readouterr().out
    assert model.load(str(directory / "model.pt")).trained_in == "32-true"
    assert storage.made_with(str(directory / "model.pt"))["train.trainer.precision"] == "32-true"
    monkeypatch.setattr(precision, "slowdown", lambda *_: 0.5)  # continues on a machine of another kind
    training_cli.main(["fit", "--config", yaml])
    assert "Train: precision 32-true; this processor has instructions for bfloat16" in capsys.readouterr().out
    with pytest.raises(ParameterMismatchError, match=r"train\.trainer\.precision = '32-true'"):
        training_cli.main(["fit", "--config", yaml, "--trainer.precision", "bf16-mixed"])


def test_a_precision_by_name_is_used_and_causes_a_warning(prepared, run, monkeypatch, capsys):
    yaml, directory = changed(prepared, "named", ("precision", "bf16-mixed"), ("max_epochs", 1)), run("named")
    monkeypatch.setattr(precision, "slowdown", lambda kind, _: 50.0 if kind == torch.bfloat16 else 1.0)
    training_cli.main(["fit", "--config", yaml, "--data.batches_per_epoch", "2"])
    output = capsys.readouterr()
    assert "Train: precision bf16-mixed" in output.out
    emulated = "bfloat16, which this processor emulates: products take about 50 times as long"
    assert f"warning: training computes in {emulated}" in output.err
    assert model.load(str(directory / "model.pt")).trained_in == "bf16-mixed"
    assert not (directory / "precision.json").exists()


def test_a_precision_that_cannot_be_computed_in_is_refused_with_its_line(prepared, run):
    yaml = changed(prepared, "wrong", ("precision", "16-mixed"))
    run("wrong")
    with pytest.raises(MistakesError) as refusal:
        training_cli.main(["fit", "--config", yaml])
    [line] = refusal.value.mistakes
    assert re.fullmatch(
        rf"{yaml}:\d+: trainer.precision = 16-mixed is for GPUs, and this training is on a processor: set auto", line
    )
