import numpy as np
import pytest
import torch

from aframe.errors import DataError
from aframe.train.architectures import MatchedFilterNetwork
from aframe.train.background import WhitenedBackground
from aframe.train.mining import count_weights, loudest_steps, measure_longest, mine_noise
from tests.train.small_bank import KERNEL, chirps


@pytest.fixture
def network() -> MatchedFilterNetwork:
    return chirps()


def test_the_loudest_pairs_of_all_slides_are_the_examples(network: MatchedFilterNetwork) -> None:
    steps, slides = 4500, 6
    measured = torch.rand((2, 8, steps), generator=torch.Generator().manual_seed(1)).half()
    shifts = torch.linspace(16, steps - 1024, slides).round().long().tolist()
    planted = [(shifts[0], 2000), (shifts[3], 700), (shifts[3], 20)]
    for height, (shift, place) in enumerate(planted):
        measured[0, 3, place] = 20.0 + 8 * height
        measured[1, 3, place + shift] = 20.0 + 8 * height
    with torch.no_grad():
        network.bias[3] = 1.0  # the bias counts
    places = mine_noise(network, measured, slides, 3, lambda *_: None)
    assert places.tolist() == [[place, place + shift] for shift, place in planted[::-1]]


def test_a_loud_event_is_one_example(network: MatchedFilterNetwork) -> None:
    measured = torch.rand((2, 8, 4500), generator=torch.Generator().manual_seed(1)).half()
    measured[:, 2, 1000:1010] = 30.0
    one, other = mine_noise(network, measured, 1, 5, lambda *_: None).unbind(1)
    loudness = torch.minimum(measured[0][:, one], measured[1][:, other]).amax(0)
    assert (loudness > 20).sum() <= 1


def test_a_short_background_is_refused(network: MatchedFilterNetwork) -> None:
    with pytest.raises(DataError, match="too few to slide"):
        mine_noise(network, torch.zeros(2, 8, 2000), 4, 10, lambda *_: None)
    with pytest.raises(DataError, match="has 0 steps"):
        mine_noise(network, torch.zeros(2, 8, 0), 4, 10, lambda *_: None)


def test_no_example_is_there_twice_where_more_slides_are_asked_for_than_fit(network: MatchedFilterNetwork) -> None:
    measured = torch.rand((2, 8, 4100), generator=torch.Generator().manual_seed(1)).half()
    assert len(mine_noise(network, measured, 4000, 300, lambda *_: None).unique(dim=0)) == 300


def test_common_signals_weigh_more(network: MatchedFilterNetwork) -> None:
    signals = torch.zeros(30, 2, 8)
    signals[:20, :, 5] = 15.0  # third group
    signals[20:25, :, 1] = 15.0  # first
    signals[25:, :, 7] = 5.0  # too quiet to count
    count_weights(network, signals.half())
    shares = np.array([6, 1, 21, 1]) / 29 * 4
    np.testing.assert_allclose(network.bias.detach().numpy(), np.log(shares).repeat(2), rtol=1e-6)


def test_the_loudest_step_of_a_window_is_taken_with_its_strain(network: MatchedFilterNetwork) -> None:
    measured = torch.rand(2, 2, 8, 5)
    measured[0, :, 4, 3] += 9
    measured[1, :, 0, 1] += 9
    windows = torch.randn((2, 2, KERNEL), generator=torch.Generator().manual_seed(5))
    loudest = loudest_steps(network, measured, windows)
    assert torch.equal(loudest.measured, torch.stack([measured[0, ..., 3], measured[1, ..., 1]]).half())
    step, size = network.step_size, network.receptive_field
    strain = [windows[0, :, 3 * step : 3 * step + size], windows[1, :, step : step + size]]
    assert torch.equal(loudest.strain, torch.stack(strain).half())


def test_the_steps_of_a_stretch_are_what_their_strain_measures(network: MatchedFilterNetwork) -> None:
    streams = torch.randn((2, 40_000), generator=torch.Generator().manual_seed(3))
    stretches = torch.tensor([[0, 10_000], [10_000, 30_000]])
    background = WhitenedBackground(streams, stretches, torch.zeros(2, 2, 3), torch.tensor([0, 1]), 40_000, 30_000)
    stretch = measure_longest(network, background, torch.device("cpu"), lambda *_: None)
    assert stretch.measured.shape == (2, 8, network.steps(30_000))
    steps = stretch.steps(network, torch.tensor([[3, 700], [0, network.steps(30_000) - 1]]))
    again = network.measure(steps.strain.float())[..., 0]
    torch.testing.assert_close(again, steps.measured.float(), rtol=5e-3, atol=5e-3)
