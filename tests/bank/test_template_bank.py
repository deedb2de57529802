import dataclasses
import math

import h5py
import numpy as np
import pytest
import torch

from aframe import storage
from aframe.bank.slices import Shape, SlicedTemplates
from aframe.bank.template_bank import TemplateBank
from aframe.errors import ParameterMismatchError, StorageError


@pytest.fixture
def bank():
    series = torch.randn(3, 64, dtype=torch.complex64, generator=torch.Generator().manual_seed(0)) / 8
    columns = {"mass_1": [20.0, 30.0, 40.0], "mass_2": [10.0] * 3, "chi_1": [0.5, 0.0, -0.5], "chi_2": [0.0] * 3}
    return TemplateBank(
        series, {name: np.array(values) for name, values in columns.items()}, np.array([12.2, 14.7, 16.8]), 1024.0,
        0.25, np.linspace(0.8, 1.0, 101), np.linspace(5.0, 50.0, 101),
        np.geomspace(1e-42, 1e-46, 2 * 513).reshape(2, 513), series[:2, :16], series[:1, :8],
    )  # fmt: skip


def test_a_bank_comes_back(bank, tmp_path):
    path = str(tmp_path / "bank.hdf5")
    bank.write(path, {"bank.size": 3})
    again = TemplateBank.read(path)
    assert again.templates.dtype == torch.complex64
    torch.testing.assert_close(again.templates, bank.templates, atol=1e-6, rtol=1e-3)
    torch.testing.assert_close(again.pulses, bank.pulses, atol=1e-6, rtol=1e-3)
    torch.testing.assert_close(again.octaves, bank.octaves, atol=1e-6, rtol=1e-3)
    assert (again.sample_rate, again.after) == (bank.sample_rate, bank.after)
    assert (again.mean_match, again.quantile_10, again.quantile_01) == pytest.approx((0.9, 0.82, 0.802))
    for name in ("chirp_mass", "match", "signal_chirp_mass", "psds"):
        np.testing.assert_array_equal(getattr(again, name), getattr(bank, name))
    assert again.parameters.keys() == bank.parameters.keys()
    for name, column in bank.parameters.items():
        np.testing.assert_array_equal(again.parameters[name], column)
    assert (tmp_path / "bank.hdf5").stat().st_size < 3 * 64 * 4 + 30000
    storage.check_parameters(path, {"bank.size": 3})
    with pytest.raises(ParameterMismatchError, match=r"bank\.size = 3, .*bank\.size = 4"):
        storage.check_parameters(path, {"bank.size": 4})


def test_a_bank_of_slices_comes_back(bank, tmp_path):
    path, random = str(tmp_path / "bank.hdf5"), torch.Generator().manual_seed(1)
    shapes = (Shape(first=128, decimation=8, size=300), Shape(first=2400, decimation=2, size=48))
    series = tuple(torch.randn(3, shape.size, dtype=torch.complex64, generator=random) for shape in shapes)
    dataclasses.replace(bank, templates=SlicedTemplates(2496, shapes, series), joining_share=0.25).write(path, {})
    again = TemplateBank.read(path)
    assert again.template_size == 2496
    assert again.joining_share == 0.25
    assert again.templates.shapes == shapes
    assert len(again.templates) == 3
    for one, other in zip(again.templates.series, series, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-3)
    with h5py.File(path, "r+") as file:
        values = file["slices/1"][:2]
        attributes = dict(file["slices/1"].attrs)
        del file["slices/1"]
        file["slices/1"] = values
        file["slices/1"].attrs.update(attributes)
    with pytest.raises(StorageError, match="slices differ in number; make the bank again"):
        TemplateBank.read(path)


def test_an_earlier_bank_does_not_tell_how_its_placement_ended(bank, tmp_path):
    path = tmp_path / "bank.hdf5"
    bank.write(str(path), {})
    with h5py.File(path, "r+") as file:
        del file.attrs["joining_share"]
    again = TemplateBank.read(str(path))
    assert math.isnan(again.joining_share)
    assert again.template_size == 64


def test_other_files_are_refused_in_one_line(bank, tmp_path):
    path = tmp_path / "bank.hdf5"
    with pytest.raises(StorageError, match="does not exist: run the step"):
        TemplateBank.read(str(path))
    with h5py.File(path, "w") as file:
        file["H1"] = [1.0]
    with pytest.raises(
        StorageError, match=r"is no bank of templates: it lacks templates, pulses, octaves, parameters/mass_1"
    ):
        TemplateBank.read(str(path))
    bank.write(str(path), {})
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(StorageError, match="is not a complete HDF5 file"):
        TemplateBank.read(str(path))
    dataclasses.replace(bank, chirp_mass=bank.chirp_mass[:2]).write(str(path), {})
    with pytest.raises(StorageError, match="differ in number; make the bank again"):
        TemplateBank.read(str(path))
    for psds in (bank.psds[0], -bank.psds, np.full((2, 513), np.nan), np.empty((2, 0))):
        dataclasses.replace(bank, psds=psds).write(str(path), {})
        with pytest.raises(StorageError, match="its PSDs are no positive numbers; make the bank again"):
            TemplateBank.read(str(path))
