import numpy as np
import pytest
import torch
from scipy import stats

from aframe.errors import DataError
from aframe.train.background import WhitenedBackground
from aframe.whitening import WhitenedStream

CPU = torch.device("cpu")


def ramps(sizes):
    """Stretches whose samples say where they are: detector k has k million + the place in all stretches together."""
    starts = np.cumsum([0, *sizes])
    taps = torch.zeros(10, 8)
    taps[:, 4] = torch.arange(10.0)
    stretches = [
        [
            WhitenedStream(1e6 * k + torch.arange(start, start + size).float(), taps[: -(-size // 100)], 0, 100, 4)
            for k in range(2)
        ]
        for start, size in zip(starts, sizes, strict=False)
    ]
    return WhitenedBackground.from_streams(iter(stretches), torch.empty(2, sum(sizes)), 16)


def test_windows_lie_in_one_stretch_and_have_its_filter():
    windows, responses = ramps([250, 30, 430]).sample(6000, 40, torch.Generator().manual_seed(0), CPU)
    assert windows.shape == (6000, 2, 40)
    assert (windows.diff(dim=-1) == 1).all()
    first = (windows[..., 0] - torch.tensor([0, 1e6])).long()
    assert (((first >= 0) & (first + 40 <= 250)) | ((first >= 280) & (first + 40 <= 710))).all()
    local = torch.where(first < 250, first, first - 280)
    expected = (local + 20) // 100  # the filter of the block that the window's middle lies in
    torch.testing.assert_close(responses, expected[..., None].float().expand(-1, -1, 9))
    # every start alike, and one detector's says nothing of the other's
    places = torch.where(first < 250, first, first - 280 + 211)
    assert stats.kstest(places[:, 0].numpy(), stats.randint(0, 602).cdf).pvalue > 1e-3
    assert abs(float(torch.corrcoef(places.T.double())[0, 1])) < 4.5 / 6000**0.5
    assert (first[:, 0] == first[:, 1]).float().mean() < 0.02


def test_background_shorter_than_a_window_is_refused():
    with pytest.raises(DataError, match="as long as a window of 40 samples"):
        ramps([30, 20]).sample(1, 40, torch.Generator(), CPU)
