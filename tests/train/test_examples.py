import torch

from aframe.train.architectures.coherence import FEATURES
from aframe.train.augmentation import BatchMixture
from aframe.train.background import WhitenedBackground
from aframe.train.examples import COMPOSED, ExampleCounts, Examples, MeasuredExamples, collect_examples
from tests.train.small_bank import KERNEL, chirps


def test_examples_are_collected_from_streams() -> None:
    network, size = chirps(), 200_000
    streams = torch.randn((2, size), generator=torch.Generator().manual_seed(3))
    background = WhitenedBackground(
        streams, torch.tensor([[0, size]]), torch.zeros(2, 1, 3), torch.tensor([0]), size, size
    )
    windows = torch.randn((12, 2, KERNEL), generator=torch.Generator().manual_seed(5))
    windows[..., 100:164] += 9 * network.filters.bank[0, network.filters.rows[6]]
    examples = collect_examples(
        network, background, lambda k: windows[2 * k : 2 * k + 2], ExampleCounts(5, 40, 12), torch.device("cpu")
    )
    assert examples.noise.measured.shape == (40, 2, 8)
    assert examples.signals.measured.shape == (12, 2, 8)
    assert examples.signals.measured.float().sum(1).argmax(1).tolist() == [6] * 12
    loudness = (examples.noise.measured.float().sum(1) + network.bias.detach()).amax(1)
    assert loudness.min() > 7  # of 8 templates in 5 slides: exp(-7) of a million steps
    for kind in (examples.muted, examples.swapped):
        assert kind.measured.shape == (COMPOSED, 2, 8)
        assert kind.coherence.shape == (COMPOSED, 1, FEATURES)
    delay, _, _, weaker, stronger, *_ = examples.signals.coherence[:, 0].unbind(1)
    assert delay.abs().max() < 0.5  # at about the same time in both detectors
    assert (weaker <= stronger).all()
    seen = examples.muted.measured.float().amax(2).sort(1).values
    assert (seen[:, 1] > 40).all()  # the signal in one detector
    assert seen[:, 0].mean() < 8  # ordinary noise in the other
    swapped = examples.swapped.measured[:, :, 6].float()
    assert (swapped > 20).all()
    assert len(swapped[:, 0].unique()) == len(swapped[:, 1].unique()) == 12
    assert len(swapped.unique(dim=0)) > 100


def test_of_three_detectors_one_alone_sees_a_muted_signal() -> None:
    network, size = chirps(3), 270_000
    streams = torch.randn((3, size), generator=torch.Generator().manual_seed(3))
    background = WhitenedBackground(
        streams, torch.tensor([[0, size]]), torch.zeros(3, 1, 3), torch.tensor([0]), size, size
    )
    windows = torch.randn((12, 3, KERNEL), generator=torch.Generator().manual_seed(5))
    windows[:, :2, 100:164] += 12 * network.filters.bank[0, network.filters.rows[6]]  # the third hears nothing
    examples = collect_examples(
        network, background, lambda k: windows[2 * k : 2 * k + 2], ExampleCounts(1, 40, 12), torch.device("cpu")
    )
    seen = examples.muted.measured.float().amax(2).sort(1).values
    assert (seen[:, 2] > 40).all()
    assert seen[:, :2].mean() < 8
    signals = examples.signals.measured.float().amax(2)
    assert (signals[:, :2] > 40).all()  # two of three that fit are a signal
    assert signals[:, 2].mean() < 10


def test_batches_depend_on_the_generator_alone() -> None:
    first, again = (_examples().batch(BatchMixture(0.25, 0.0, 0.0), 40, torch.Generator().manual_seed(7)) for _ in "ab")
    assert torch.equal(first.measured, again.measured)
    assert torch.equal(first.coherence, again.coherence)
    assert 3 < first.labels.sum() < 20
    assert ((first.measured[:, 0, 0] >= 300) == (first.labels == 1)).all()
    assert torch.equal(first.coherence[:, 0, 0], first.measured[:, 1, 2] + 1)  # each has its own


def test_muted_and_swapped_signals_are_negatives() -> None:
    for mixture, lowest in ((BatchMixture(0.0, 0.0, 1.0), 100), (BatchMixture(0.0, 1.0, 0.0), 200)):
        batch = _examples().batch(mixture, 30, torch.Generator().manual_seed(7))
        assert not batch.labels.any()
        assert ((batch.measured >= lowest) & (batch.measured < lowest + 5)).all()


def _examples() -> MeasuredExamples:
    """Noise from 0, muted signals from 100, swapped ones from 200, signals from 300."""
    kinds = []
    for first in (0, 100, 200, 300):
        values = (first + torch.arange(5.0))[:, None, None]
        kinds.append(Examples(values.expand(5, 2, 3).half(), values.expand(5, 1, 7) + 1))
    return MeasuredExamples(*kinds)


def test_a_short_training_measures_no_more_signals_than_it_draws():
    counts = ExampleCounts(800, 20_000, 4096)
    assert counts.enough_for(1000.0, 2) == ExampleCounts(800, 20_000, 2000)
    assert counts.enough_for(10.0, 2).signals == 512  # the weights of groups need some
    assert ExampleCounts(800, 20_000, 64).enough_for(10.0, 2).signals == 64
    assert [counts.enough_for(1000.0, epochs) for epochs in (None, -1, 100)] == [counts] * 3
