import html

import numpy as np
import pytest
import torch

from aframe.events.significance import Background
from aframe.report.curves import training_groups
from aframe.report.training import draw_training, example_figure
from aframe.train.metrics import Validation, validation_metrics
from aframe.train.record import ExampleBatch, write_example_batch, write_validation

LIVETIME = 3e6


def validation(livetime):
    rng = np.random.default_rng(0)
    snr = rng.uniform(4, 30, 500)
    background = Background(rng.exponential(size=4000), livetime)
    windows, views = torch.from_numpy(rng.normal(size=5000)).float(), torch.from_numpy(rng.normal(3, 1, 1000)).float()
    return Validation(windows, background, views, torch.arange(1000) // 2, snr - 5, snr, rng.uniform(5, 60, 500))


@pytest.fixture
def batch():
    windows = np.random.default_rng(1).normal(size=(12, 3, 100)).astype(np.float32)
    return ExampleBatch(("H1", "L1", "V1"), 100.0, windows, np.arange(12) % 2.0, np.arange(12) % 4 == 0)


@pytest.mark.parametrize(
    ("livetime", "origin"), [(LIVETIME, "is measured"), (LIVETIME / 100, "extrapolation of the background's tail")]
)
def test_a_training_is_drawn_from_its_files(tmp_path, batch, livetime, origin):
    scored = validation(livetime)
    metrics = {"epoch": 0, "step": 10, "train_loss": 0.5, **validation_metrics(scored, 1e-3)}
    (tmp_path / "metrics.csv").write_text(",".join(metrics) + "\n" + ",".join(str(x) for x in metrics.values()) + "\n")
    write_validation(str(tmp_path / "validation.hdf5"), scored)
    write_example_batch(str(tmp_path / "example_batch.hdf5"), batch)
    written = draw_training(str(tmp_path))
    assert [path.rpartition("/")[2] for path in written] == ["training.png", "training.html", "example_batch.png"]
    for name in ("training.png", "example_batch.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    page = html.unescape((tmp_path / "training.html").read_text())
    assert origin in page
    for word in ("AUROC", "train loss", "by network SNR", "by chirp mass", "found against network SNR"):
        assert word in page


def test_missing_files_are_not_drawn(tmp_path):
    assert draw_training(str(tmp_path)) == []
    (tmp_path / "metrics.csv").write_text("epoch,step,train_loss,valid_found\n0,1,0.6,nan\n")
    assert len(draw_training(str(tmp_path))) == 2


def test_example_windows_are_in_the_column_of_their_kind(batch):
    figure = example_figure(batch)
    titles = [axes.get_title() for axes in figure.axes[:3]]
    assert titles == ["signal", "noise", "no coincident signal"]
    first = {"signal": 1, "noise": 0, "no coincident signal": 2}
    for axes, title in zip(figure.axes[:3], titles, strict=True):
        assert [line.get_label() for line in axes.lines] == ["H1", "L1", "V1"]
        np.testing.assert_array_equal(axes.lines[1].get_ydata(), batch.windows[first[title], 1])


def test_metrics_are_grouped_by_quantity():
    names = ["train_loss", "valid_auroc", "valid_found", "valid_found_snr_5_7", "valid_found_chirp_mass_40_up", "loss"]
    groups = training_groups([*names, "learning_rate", "background_days", "found_is_extrapolated"])
    assert [sorted(group) for group in groups.values()] == [
        ["loss", "train_loss"], ["valid_auroc", "valid_found"], ["valid_found_snr_5_7"],
        ["valid_found_chirp_mass_40_up"],
    ]  # fmt: skip
