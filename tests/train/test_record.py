import numpy as np
import torch

from aframe.events.significance import Background
from aframe.train.metrics import Validation, monthly_threshold
from aframe.train.record import (
    ExampleBatch,
    read_example_batch,
    read_validation,
    write_example_batch,
    write_validation,
)


def test_an_example_batch_comes_back(tmp_path):
    windows = np.random.default_rng(0).normal(size=(4, 2, 64)).astype(np.float32)
    batch = ExampleBatch(("H1", "L1"), 512.0, windows, np.array([1.0, 0, 0, 1]), np.array([False, True, False, False]))
    write_example_batch(str(tmp_path / "batch.hdf5"), batch)
    again = read_example_batch(str(tmp_path / "batch.hdf5"))
    assert (again.ifos, again.sample_rate) == (("H1", "L1"), 512.0)
    for name in ("windows", "labels", "is_noise"):
        np.testing.assert_array_equal(getattr(again, name), getattr(batch, name))


def test_a_validation_comes_back_with_its_threshold(tmp_path):
    rng = np.random.default_rng(0)
    background = Background(rng.exponential(size=2000), 1e7)
    columns = [rng.normal(size=30) for _ in range(3)]
    scored = Validation(torch.zeros(5), background, torch.zeros(2), torch.zeros(2).long(), *columns)
    write_validation(str(tmp_path / "validation.hdf5"), scored)
    again = read_validation(str(tmp_path / "validation.hdf5"))
    for actual, expected in zip((again.statistic, again.snr, again.chirp_mass), columns, strict=True):
        np.testing.assert_array_equal(actual, expected)
    np.testing.assert_array_equal(again.background.statistics, background.statistics)
    assert again.background.livetime == 1e7
    assert (again.threshold, again.is_extrapolated) == (monthly_threshold(background).statistic, False)
