import dataclasses

import numpy as np
import pytest
import torch

from aframe.bank import making, slices
from aframe.bank.making import check_memory, make_all, shapes_of
from aframe.bank.slices import Shape, SlicedTemplates
from aframe.errors import DataError
from aframe.train.architectures.multirate import bank_of


@pytest.fixture
def stars(draws):
    """Light binaries, whose templates are 32 s long."""
    columns = draws(6)
    columns |= {"mass_1": np.linspace(2, 8, 6), "mass_2": np.linspace(1.4, 6, 6)}
    total = columns["mass_1"] + columns["mass_2"]
    return columns | {"chirp_mass": (columns["mass_1"] * columns["mass_2"]) ** 0.6 / total**0.2}


@pytest.fixture
def long(maker):
    """Maker of templates of 32 s, long enough for slices."""
    return dataclasses.replace(maker, length=32.0)


def test_short_templates_stay_whole_and_do_not_depend_on_the_number_of_processes(maker, draws, monkeypatch):
    columns = draws(10)
    assert shapes_of(maker, columns) == ()
    whole, _ = make_all(maker, columns, (), 1)
    monkeypatch.setattr(making, "CHUNK", 3)
    parts, kept = make_all(maker, columns, (), 2)
    assert torch.equal(parts, whole)
    assert torch.equal(whole, maker.make(columns))
    np.testing.assert_array_equal(kept["mass_1"], columns["mass_1"])


def test_long_templates_are_slices_that_join_to_them(long, stars, monkeypatch):
    shapes = shapes_of(long, stars)
    assert len(shapes) > 1
    assert shapes[0].decimation > shapes[-1].decimation
    monkeypatch.setattr(making, "CHUNK", 4)
    templates, _ = make_all(long, stars, shapes)
    assert isinstance(templates, SlicedTemplates)
    assert len(templates) == 6
    whole = long.make(stars)
    kept = (templates.whole() * whole.conj()).sum(1).abs() / 2
    assert kept.min() > 0.99


@pytest.mark.parametrize("more", [0, 2, 5])
def test_filters_in_slices_see_templates_of_any_number_of_samples(long, stars, more):
    """A slice has one in some samples of a template, whose number need not be a multiple of that."""
    templates = torch.nn.functional.pad(long.make(stars), (more, 0))
    filters = bank_of(templates, 1, 32, 16)
    streams = torch.zeros(6, 1, templates.shape[1] + 512)
    streams[:, 0, 256 : 256 + templates.shape[1]] = 12 * templates.real
    measured = filters(streams)[torch.arange(6), 0, torch.arange(6)].amax(1)
    assert measured.min() > 0.98 * 12**2 / 2


def test_no_slice_is_slower_than_those_before_it():
    """An early slice of high frequency, as a flaw of a waveform has, leaves later ones fast as well."""
    age = torch.arange(slices.LEAST_SIZE, 0, -1, dtype=torch.float64)
    frequency = torch.where(age > slices.LEAST_SIZE / 2, 0.2, 0.01).double()
    tone = torch.polar(torch.ones_like(age), 2 * torch.pi * frequency.cumsum(0)).to(torch.complex64)[None]
    rates = [shape.decimation for shape in slices.plan(tone)]
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("cuts", [True, False])
def test_what_lal_refuses_is_left_out(long, maker, stars, cuts):
    stars["mass_2"][2] = -3.0
    used = long if cuts else maker
    templates, kept = make_all(used, stars, shapes_of(used, stars))
    assert len(templates) == len(kept["mass_1"]) == 5
    assert (kept["mass_2"] > 0).all()


def test_a_bank_that_does_not_fit_into_memory_is_refused(maker):
    """3328 samples of 8 bytes, twice, for 1000 templates are 53 MB."""
    check_memory(maker, (), 1000, 60e6)
    with pytest.raises(
        DataError, match=r"size = 1000 .* take 0\.1 GB of memory, and 0\.0 GB are free: lower size .* to 751 "
    ):
        check_memory(maker, (), 1000, 40e6)
    check_memory(maker, (Shape(first=0, decimation=8, size=416),), 1000, 40e6)
