import re
import time

import lightning
import pytest
import torch

from aframe.steps import training_cli
from aframe.train import callbacks, forecast


@pytest.fixture
def at_once(monkeypatch):
    """Has a training of a second be forecast."""
    monkeypatch.setattr(forecast, "MEASURED_TIME", 0.0)
    monkeypatch.setattr(forecast, "LEAST_TIME_LEFT", 0.0)


def fit(prepared):
    """Arguments of a training of two epochs."""
    return ["fit", "--config", str(prepared / "train.yaml"), "--trainer.max_epochs", "2"]


@pytest.mark.usefixtures("at_once")
def test_a_training_says_once_how_long_it_will_take(prepared, run, capsys):
    run("told")
    training_cli.main(fit(prepared))
    output = capsys.readouterr()
    lines = [line for line in output.out.splitlines() if " a step" in line]
    assert len(lines) == 1
    assert re.fullmatch(r"Train: [\d.e-]+ s a step, \d+ s left, and validations", lines[0])
    assert "warning" not in output.err


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(("possible", "is_slow"), [(1e-9, True), (1e3, False)])
def test_a_slow_training_warns_with_a_remedy(prepared, run, capsys, possible, is_slow):
    run(f"slow {is_slow}")
    measured = []

    def window_seconds(run, path, precision, device):
        measured.append((path, precision, device))
        return possible

    training_cli.main(fit(prepared), window_seconds)
    assert measured == [(str(prepared / "train.yaml"), "32-true", "cpu")]
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: training will take")]
    assert len(warnings) == is_slow
    if warnings:
        assert re.search(r"more, [\d.]+ times what this machine can do \(\d+ s\): .+", warnings[0])


@pytest.mark.usefixtures("at_once")
def test_a_training_goes_on_where_there_is_no_memory_to_measure(prepared, run, capsys):
    directory = run("full")

    def window_seconds(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    training_cli.main(fit(prepared), window_seconds)
    assert (directory / "model.pt").exists()
    assert "training will take" not in capsys.readouterr().err


def test_the_reason_is_the_first_that_can_be_seen(monkeypatch):
    monkeypatch.setattr(forecast, "is_emulated", lambda kind, _: "float16" in str(kind))
    monkeypatch.setattr(forecast, "described", lambda kind, _: "what is emulated")
    assert forecast.reason("bf16-mixed", "cpu", ("auto", "auto")) == (
        "it computes in what is emulated; set trainer.precision: auto"
    )
    monkeypatch.setattr(forecast.os, "getloadavg", lambda: (99.0, 1.0, 1.0))
    assert "load 99.0" in forecast.reason("32-true", "cpu", ("disk", "auto"))
    monkeypatch.setattr(forecast.os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    assert "background_memory" in forecast.reason("32-true", "cpu", ("disk", "auto"))
    assert "aframe doctor" in forecast.reason("32-true", "cpu", ("auto", "host"))


class Measured(lightning.LightningModule):
    """A module that takes half a minute, by its clock, before its first step, and a second for each step."""

    def __init__(self, clock):
        super().__init__()
        self.clock, self.layer = clock, torch.nn.Linear(1, 1)

    def on_train_start(self):
        self.clock.append(30.0)

    def training_step(self, batch, _):
        self.clock.append(1.0)
        return self.layer(batch[0]).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters())


@pytest.mark.usefixtures("at_once")
def test_the_time_left_does_not_count_what_comes_before_the_first_step(monkeypatch, tmp_path, capsys):
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: sum(clock))
    batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.zeros(4, 1)))
    trainer = lightning.Trainer(
        accelerator="cpu", max_epochs=3, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path,
        callbacks=[forecast.Forecast(None), callbacks.EpochLines()],
    )  # fmt: skip
    trainer.fit(Measured(clock), batches)
    lines = capsys.readouterr().out.splitlines()
    assert "Train: 1 s a step, 11 s left, and validations" in lines
    assert [line.rpartition(": ")[2] for line in lines if "epoch" in line] == ["8 s left", "4 s left", "0 s left"]
