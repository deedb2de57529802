import pytest
import torch

from aframe.train.architectures.peaks import Peaks, joined, pack, peaks_of_steps, unpack


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("bins", [6, 11, 12, 16])
@pytest.mark.parametrize("templates", [1, 7, 24])
def test_places_come_back_from_any_precision(dtype, bins, templates):
    places = torch.randint(0, bins, (3, 2, templates, 5), generator=torch.Generator().manual_seed(bins))
    places[0], places[1] = 0, bins - 1
    packed = pack(places.to(dtype), bins)
    assert packed.dtype == dtype
    assert packed.shape[2] == -(-templates // 2)
    numbers = torch.arange(templates).flip(0).expand(3, 2, 5, templates)
    back = unpack(packed.movedim(2, -1), numbers, bins)
    assert torch.equal(back, places.flip(2).movedim(2, -1).float())


@pytest.mark.parametrize("is_exported", [True, False])
@pytest.mark.parametrize(
    ("size", "stride", "bin_size"), [(24, 16, 2), (12, 8, 1), (6, 4, 1), (48, 32, 4), (152, 128, 8)]
)
def test_the_largest_value_of_a_step_and_its_bin(size, stride, bin_size, is_exported):
    power = torch.rand((2, 3, 40 * stride + size), generator=torch.Generator().manual_seed(1)) * 30
    power[0, 0] = 0
    peaks = peaks_of_steps(power, size, stride, bin_size, is_exported)
    steps = power.unfold(-1, size, stride)
    torch.testing.assert_close(peaks.power, steps.amax(-1), rtol=2e-5, atol=1e-30)
    exact = steps.unflatten(-1, (-1, bin_size)).amax(-1).argmax(-1).float()
    assert torch.equal(peaks.place[1], exact[1])
    assert ((peaks.place >= 0) & (peaks.place < size // bin_size)).all()


def test_power_and_place_stay_together():
    first, second = (Peaks(torch.full((2,), value), torch.full((2,), 10 * value)) for value in (1.0, 2.0))
    both = joined([first, second], torch.cat).each(lambda x: x[1:3]).small()
    assert (both.power.tolist(), both.place.tolist()) == ([1.0, 2.0], [10, 20])
    assert (both.power.dtype, both.place.dtype) == (torch.float16, torch.uint8)
