import numpy as np
import pytest
import torch

from aframe.errors import DataError
from aframe.train.architectures import MatchedFilterNetwork
from aframe.train.architectures.peaks import Peaks
from aframe.train.augmentation import BatchMixture
from aframe.train.background import WhitenedBackground
from aframe.train.mining import (
    ExampleCounts,
    MeasuredExamples,
    collect_examples,
    count_weights,
    loudest_steps,
    mine_noise,
    ordinary_noise,
)

SIZE, KERNEL = 64, 256


@pytest.fixture
def network() -> MatchedFilterNetwork:
    """Eight chirps in four groups, the higher the later."""
    time = torch.arange(SIZE) / SIZE
    phases = [2 * torch.pi * (4 + k) * time * (1 + 0.2 * time) for k in range(8)]
    templates = torch.stack([torch.polar(torch.hann_window(SIZE), phase) for phase in phases])
    network = MatchedFilterNetwork(2, KERNEL, groups=4)
    network.set_bank(templates / (templates.abs().square().sum(1, keepdim=True) / 2).sqrt(), torch.arange(8) + 5.0)
    return network.eval()


def background(size: int) -> WhitenedBackground:
    streams = torch.randn((2, size), generator=torch.Generator().manual_seed(3))
    stretches = torch.tensor([[0, size // 4], [size // 4, size - size // 4]])
    return WhitenedBackground(streams, stretches, torch.zeros(2, 2, 3), torch.tensor([0, 1]), size, size)


def peaks(power: torch.Tensor) -> Peaks:
    """Peaks with places that tell their powers apart."""
    return Peaks(power.half(), (power * 7).remainder(12).byte())


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
    noise = mine_noise(network, [peaks(measured[..., :50]), peaks(measured)], slides, 3, lambda *_: None)
    assert noise.power.shape == (3, 2, 8)
    for found, all_steps in zip(noise, peaks(measured), strict=True):
        expected = [torch.stack([all_steps[0, :, p], all_steps[1, :, p + s]]) for s, p in planted[::-1]]
        assert torch.equal(found, torch.stack(expected))


def test_a_loud_event_is_one_example(network: MatchedFilterNetwork) -> None:
    measured = torch.rand((2, 8, 4500), generator=torch.Generator().manual_seed(1)).half()
    measured[:, 2, 1000:1010] = 30.0
    noise = mine_noise(network, [peaks(measured)], 1, 5, lambda *_: None)
    assert (noise.power.amax(2) > 20).all(1).sum() <= 1


def test_a_short_background_is_refused(network: MatchedFilterNetwork) -> None:
    with pytest.raises(DataError, match="too few to slide"):
        mine_noise(network, [peaks(torch.zeros(2, 8, 4000))], 4, 10, lambda *_: None)
    with pytest.raises(DataError, match="has 0 steps"):
        mine_noise(network, [], 4, 10, lambda *_: None)


def test_no_example_is_there_twice_where_more_slides_are_asked_for_than_fit(network: MatchedFilterNetwork) -> None:
    measured = torch.rand((2, 8, 4100), generator=torch.Generator().manual_seed(1)).half()
    noise = mine_noise(network, [peaks(measured)], 4000, 300, lambda *_: None)
    assert len(noise.power.flatten(1).unique(dim=0)) == 300


def test_common_signals_weigh_more(network: MatchedFilterNetwork) -> None:
    signals = torch.zeros(30, 2, 8)
    signals[:20, :, 5] = 15.0  # third group
    signals[20:25, :, 1] = 15.0  # first
    signals[25:, :, 7] = 5.0  # too quiet to count
    count_weights(network, signals.half())
    shares = np.array([6, 1, 21, 1]) / 29 * 4
    np.testing.assert_allclose(network.bias.detach().numpy(), np.log(shares).repeat(2), rtol=1e-6)


def test_the_loudest_step_of_a_window_is_taken(network: MatchedFilterNetwork) -> None:
    measured = torch.rand(2, 2, 8, 5)
    measured[0, :, 4, 3] += 9
    measured[1, :, 0, 1] += 9
    loudest = loudest_steps(network, Peaks(measured, -measured))
    expected = torch.stack([measured[0, ..., 3], measured[1, ..., 1]])
    assert torch.equal(loudest.power, expected)
    assert torch.equal(loudest.place, -expected)


def test_examples_are_collected_from_streams(network: MatchedFilterNetwork) -> None:
    windows = torch.randn((6, 2, KERNEL), generator=torch.Generator().manual_seed(5))
    windows[..., 100:164] += 9 * network.bank[0, network.rows[6]]
    examples = collect_examples(
        network, background(200_000), lambda k: windows[2 * k : 2 * k + 2], ExampleCounts(5, 40, 6), torch.device("cpu")
    )
    assert examples.noise.power.shape == examples.noise.place.shape == (40, 2, 8)
    assert examples.signals.power.shape == (6, 2, 8)
    assert examples.signals.power.float().sum(1).argmax(1).tolist() == [6] * 6
    assert (examples.signals.place[:, :, 6] < network.bins).all()
    one, other = examples.signals.place[:, :, 6].int().unbind(1)
    assert (one - other).abs().max() <= 1  # at the same time in both detectors
    loudness = (examples.noise.power.float().sum(1) + network.bias.detach()).amax(1)
    assert loudness.min() > 7  # of 8 templates in 5 slides: exp(-7) of a million steps


def test_batches_depend_on_the_generator_alone() -> None:
    examples = _examples()
    mixture = BatchMixture(0.25, 0.0, 0.0)
    first, again = (examples.batch(mixture, 40, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first.measured.power, again.measured.power)
    assert torch.equal(first.measured.place, again.measured.place)
    assert 3 < first.labels.sum() < 20
    assert ((first.measured.power[:, 0, 0] >= 100) == (first.labels == 1)).all()


def test_muted_and_swapped_signals_are_negatives() -> None:
    muted = _examples().batch(BatchMixture(0.0, 0.0, 1.0), 30, torch.Generator().manual_seed(7))
    assert not muted.labels.any()
    assert (muted.measured.power[:, 1] >= 200).all()  # the loudest detector
    assert (muted.measured.power[:, 0] < 0).all()
    assert len(muted.measured.power[:, 0].unique()) > 3
    assert (muted.measured.place == (muted.measured.power * 7).remainder(12)).all()  # each has its place
    swapped = _examples().batch(BatchMixture(0.0, 1.0, 0.0), 30, torch.Generator().manual_seed(7))
    assert not swapped.labels.any()
    one, other = swapped.measured.power[:, 0, 0] - 100, swapped.measured.power[:, 1, 0] - 200
    assert set(one.tolist()) == set(other.tolist()) == {0, 1, 2, 3, 4}
    assert not torch.equal(one, other)


def test_ordinary_noise_pairs_different_times() -> None:
    steps = torch.arange(1000.0).expand(2, 3, 1000)
    ordinary = ordinary_noise([Peaks(steps[..., :10], steps[..., :10]), Peaks(steps, steps + 1)], 100)
    assert ordinary.power.shape == (100, 2, 3)
    assert (ordinary.power[:, 0] - ordinary.power[:, 1]).abs().min() == 500
    assert torch.equal(ordinary.place, ordinary.power + 1)


def _examples() -> MeasuredExamples:
    """Noise from 0, signals from 100 in the first detector and from 200 in the second, ordinary noise below 0."""
    noise, signals, ordinary = torch.arange(10.0), 100 + torch.arange(5.0), -1 - torch.arange(8.0)
    both = torch.stack([signals, signals + 100], dim=1)
    return MeasuredExamples(
        *(peaks(each.unsqueeze(-1)) for each in (noise[:, None].expand(10, 2), both, ordinary[:, None].expand(8, 2)))
    )
