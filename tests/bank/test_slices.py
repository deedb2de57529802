import pytest
import torch
from long_chirps import SIZE, chirps

from aframe.bank import slices
from aframe.bank.slices import Shape, SlicedTemplates, cut, interpolation, is_long, plan


@pytest.fixture
def templates() -> torch.Tensor:
    return chirps(12)


@pytest.fixture
def sliced(templates: torch.Tensor) -> SlicedTemplates:
    return cut(templates, plan(templates))


def loss(templates: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Part of the squared SNR that filters lose beside the right templates."""
    overlap = (templates * others.conj()).sum(1).abs().square()
    return 1 - overlap / templates.abs().square().sum(1) / others.abs().square().sum(1)


def test_templates_from_thirty_two_seconds_at_1024_hz_on_are_long() -> None:
    assert not is_long(32 * 1024 - 1)
    assert is_long(32 * 1024)


def test_slices_follow_each_other_and_are_the_slower_the_earlier(sliced: SlicedTemplates) -> None:
    decimations = [shape.decimation for shape in sliced.shapes]
    assert decimations == sorted(decimations, reverse=True)
    assert decimations[0] >= 4 * decimations[-1]
    assert sliced.shapes[-1].stop == SIZE
    for shape, following in zip(sliced.shapes, sliced.shapes[1:], strict=False):
        assert following.first < shape.stop < following.first + SIZE // 32
    for shape, series in zip(sliced.shapes, sliced.series, strict=True):
        assert shape.first % shape.decimation == 0
        assert series.shape == (12, shape.size)
    assert sum(shape.size for shape in sliced.shapes) < SIZE / 4


def test_the_sum_of_the_slices_is_the_template(templates: torch.Tensor, sliced: SlicedTemplates) -> None:
    whole = sliced.whole()
    assert whole.shape == templates.shape
    assert loss(templates, whole).max() < 2e-3
    torch.testing.assert_close(whole.abs().square().sum(1), torch.full((12,), 2.0), rtol=4e-3, atol=0)


def test_the_last_slice_is_kept_whole_however_high_a_template_ends() -> None:
    time = torch.arange(SIZE, dtype=torch.float64)
    high = torch.polar(torch.ones_like(time), 2 * torch.pi * 0.38 * time).to(torch.complex64)
    assert plan(chirps(2))[-1].decimation == 1
    assert [shape.decimation for shape in plan(torch.cat([chirps(2), high[None]]))] == [2, 2, 1]


def test_templates_are_cut_a_few_at_once(
    templates: torch.Tensor, sliced: SlicedTemplates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "AT_ONCE", 5)
    again = cut(templates, sliced.shapes)
    for one, other in zip(again.series, sliced.series, strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(again.whole(), sliced.whole())


def test_rows_are_those_templates(sliced: SlicedTemplates) -> None:
    some = sliced.rows(torch.tensor([7, 2]))
    assert len(some) == 2
    torch.testing.assert_close(some.whole(), sliced.whole()[[7, 2]])
    both = SlicedTemplates.joined([sliced.rows(slice(0, 5)), sliced.rows(slice(5, 12))])
    torch.testing.assert_close(both.whole(), sliced.whole())


def test_power_is_that_of_the_whole_template(sliced: SlicedTemplates) -> None:
    torch.testing.assert_close(sliced.power(), sliced.whole().abs().square().sum(1), rtol=1e-3, atol=0)


@pytest.mark.parametrize("turned", [False, True])
def test_colours_are_those_of_the_whole_template(sliced: SlicedTemplates, turned: bool) -> None:
    frequency = torch.linspace(0, 0.5, SIZE + 1)
    colour = 1 + 30 * frequency**1.5
    if turned:  # a delay, as of a filter of minimum phase
        colour = torch.polar(colour, -2 * torch.pi * 3 * frequency)
    coloured = sliced.coloured(colour)
    both = torch.cat([colour, torch.zeros(SIZE - 1)])
    expected = torch.fft.ifft(torch.fft.fft(sliced.whole(), n=2 * SIZE) * both)[:, :SIZE]
    assert loss(expected, coloured.whole()).max() < 1e-3
    assert loss(sliced.whole(), coloured.whole()).min() > 0.02
    torch.testing.assert_close(coloured.whole().abs().square().sum(1), torch.full((12,), 2.0), rtol=2e-3, atol=0)


@pytest.mark.parametrize("frequency", [0.0, 0.4, 0.8])
def test_interpolation_of_a_tone_in_the_used_band_is_exact(frequency: float) -> None:
    shape, first, output = Shape(0, 8, 64), 131, 2
    series = torch.polar(torch.ones(64), 2 * torch.pi * frequency * torch.arange(64.0)).to(torch.complex64)
    weights = interpolation(shape, first, 150, output)
    assert len(weights) <= 64
    times = (first + output * torch.arange(150.0)) / shape.decimation
    expected = torch.polar(torch.ones(150), 2 * torch.pi * frequency * times)
    assert (series[: len(weights)] @ weights - expected).abs().max() < 5e-3
