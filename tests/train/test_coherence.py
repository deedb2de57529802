import itertools
import math

import numpy as np
import pytest
import torch

from aframe.train.architectures import MatchedFilterNetwork
from aframe.train.architectures.coherence import FEATURES, FINER, Coherence, filtered, missed, steps_of
from tests.train.small_bank import KERNEL, SIZE, chirps


def noise(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def taught(ifos: int = 2, threshold: float = 9.0) -> MatchedFilterNetwork:
    """A network whose coherence counts, and which follows noise up."""
    network = chirps(ifos)
    network.quiet = network.followed = threshold
    random = torch.Generator().manual_seed(2)
    with torch.no_grad():
        network.offset.fill_(threshold)
        for parameter in network.coherence.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=random))
    return network


def test_filtered_strain_is_the_correlation_at_each_sample() -> None:
    network, strain = chirps(), noise(3, 2, 100)
    templates = torch.complex(*network.filters.bank[:, [[0, 1], [5, 3], [2, 4]]])
    outputs = filtered(strain, templates, 100 - SIZE + 1)[..., ::FINER]
    for step, ifo in itertools.product(range(3), range(2)):
        expected = np.correlate(strain[step, ifo].numpy(), templates[step, ifo].numpy(), "valid")
        np.testing.assert_allclose(outputs[step, ifo], expected, atol=1e-4)


def test_a_maximum_between_the_encoders_outputs_is_found() -> None:
    """Signals at even samples are seen whole, those between two outputs are missed in part."""
    network = chirps()
    rows = network.filters.rows[[7, 7, 7]]
    assert network.filters.rate_of(rows).tolist() == [2, 2, 2]
    templates = torch.complex(*network.filters.bank)[rows]
    strain = torch.zeros(3, 2, SIZE + 48 - 1)
    for step, first in enumerate((20, 21, 24)):
        strain[step, :, first : first + SIZE] = 8 * templates[step].real
    measured = network.measure(torch.nn.functional.pad(strain, (0, KERNEL)))[:, :, 7, 0]
    outputs = filtered(strain, templates[:, None].expand(-1, 2, -1), 48)
    more = missed(outputs, measured, network.filters.rate_of(rows))
    torch.testing.assert_close(measured + more, torch.full((3, 2), 32.0), rtol=0.01, atol=0)
    assert (more[[0, 2]] < 0.05).all()
    assert (more[1] > 0.15).all()
    assert not missed(outputs, torch.zeros(3, 2), network.filters.rate_of(rows)).any()


@pytest.mark.parametrize(("delay", "phase"), [(0, 0.0), (5, 1.0), (-8, -2.5)])
def test_the_delay_and_the_phase_of_a_signal_are_measured(delay: int, phase: float) -> None:
    network, strain = chirps(), torch.zeros(1, 2, 64 + 48 - 1)
    template = torch.complex(*network.filters.bank)[network.filters.rows[3]]
    strain[0, 0, 20 + delay : 84 + delay] = 8 * template.real
    strain[0, 1, 20:84] = 6 * (template * np.exp(1j * phase)).real
    features = network.coherence_of(strain, torch.tensor([3]), torch.tensor([[32.0, 18.0]]))[0, 0]
    assert features.shape == (FEATURES,)
    seen, cosine, sine, weaker, stronger, apart, _, mass = features.tolist()
    assert seen * 16 / 1.5 == delay
    assert np.angle(cosine + 1j * sine) == pytest.approx(-phase, abs=0.05)
    assert (weaker + 3.5, stronger + 3.5) == pytest.approx((6 / 2**0.5, 8 / 2**0.5), rel=0.02)
    assert apart == pytest.approx(0, abs=1e-3)
    assert mass == network.chirp_mass[1]


def test_detectors_that_see_a_signal_too_far_apart_for_light_lose_power() -> None:
    network, strain = chirps(), torch.zeros(1, 2, 64 + 48 - 1)
    template = torch.complex(*network.filters.bank)[network.filters.rows[6]]
    strain[0, 0, :64] = strain[0, 1, 30:94] = 8 * template.real
    delay, *_, apart, _, _ = network.coherence_of(strain, torch.tensor([6]), torch.tensor([[32.0, 32.0]]))[
        0, 0
    ].tolist()
    assert abs(delay) <= 1.5
    assert apart * 3 > 10


def test_new_coherence_adds_nothing_and_pairs_have_functions_of_their_own() -> None:
    coherence = Coherence(3, 8, 4)
    features = noise(5, 3, FEATURES).abs()
    assert not coherence(features).any()
    with torch.no_grad():
        coherence.weigh[-1].bias.copy_(torch.tensor([1.0, 10.0, 100.0]))
        coherence.weigh[-1].weight.add_(noise(3, 4))
    each = coherence.weigh(features)
    torch.testing.assert_close(coherence(features), each[:, 0, 0] + each[:, 1, 1] + each[:, 2, 2])
    assert coherence.pairs == [(0, 1), (0, 2), (1, 2)]


@pytest.mark.parametrize(("ifos", "threshold"), [(2, 9.0), (3, 13.0)])
def test_followed_scores_of_a_stream_are_those_of_its_windows(ifos: int, threshold: float) -> None:
    network, stream = taught(ifos, threshold), noise(2, ifos, KERNEL + 32 * 60)
    embeddings = network.encode(stream).unbind(1)
    scores = network.fuse(embeddings, 1)
    followed = network.follow_up(scores, embeddings, stream.unbind(1), 1)
    assert 0.05 < (followed != scores).float().mean() < 0.95
    windows = stream.unfold(-1, KERNEL, 32).transpose(1, 2).flatten(0, 1)
    expected = network.score(windows).reshape(followed.shape)
    torch.testing.assert_close(followed, expected, atol=2e-3, rtol=1e-3)


def test_a_followed_score_is_that_of_the_best_step_with_its_coherence() -> None:
    network, windows = taught(), noise(30, 2, KERNEL)
    embeddings = network.encode(windows).unbind(1)
    followed = network.score(windows)
    steps = network.step_scores(embeddings).detach()
    changed = 0
    for row, step in itertools.product(range(30), range(network.window_steps)):
        if steps[row, step] > network.followed_from:
            begin = step * network.step_size
            best = (embeddings[0] + embeddings[1])[row, :8, step].argmax()[None]
            measured = torch.cat([each[row, best, step] for each in embeddings])[None] - network.bias[best] / 2
            piece = windows[row, None, :, begin : begin + network.receptive_field]
            features = network.coherence_of(piece, best, measured)
            share = ((steps[row, step] + network.offset - 9.0) / 2).clamp(0, 1)
            steps[row, step] += (share * network.coherence(features)[0]).detach()
            changed += 1
    assert changed > 10
    torch.testing.assert_close(followed, steps.amax(1).detach(), atol=1e-4, rtol=1e-4)


def test_quiet_windows_and_networks_without_coherence_are_left_alone() -> None:
    network, windows = taught(), noise(4, 2, KERNEL)
    embeddings = network.encode(windows).unbind(1)
    quiet = torch.full((4, 1), network.followed_from - 1)
    assert network.follow_up(quiet, embeddings, windows.unbind(1), 1) is quiet
    plain = chirps(coherent=False)
    assert plain.coherence is None
    loud = torch.full((4, 1), 90.0)
    assert plain.follow_up(loud, embeddings, windows.unbind(1), 1) is loud
    assert chirps(1).coherence is None


@pytest.mark.parametrize(("power", "share"), [(1.0, 0.0), (4.0, 0.5), (9.0, 1.0)])
def test_coherence_raises_no_statistic_if_one_detector_sees_nothing(power: float, share: float) -> None:
    coherence, features = Coherence(2, 8, 4), torch.zeros(1, 1, FEATURES)
    features[..., 3] = power**0.5 - 3.5
    for worth, expected in ((2.0, 2.0 * share), (-2.0, -2.0)):
        torch.nn.init.constant_(coherence.weigh[-1].bias, worth)
        assert coherence(features).item() == pytest.approx(expected)


def test_the_steps_of_windows_are_taken_once() -> None:
    windows = torch.tensor([[True, True, False, False], [False, False, False, True]])
    row, step, places = steps_of(windows, 2, 3)
    assert list(zip(row.tolist(), step.tolist(), strict=True)) == [*((0, k) for k in range(5)), (1, 6), (1, 7), (1, 8)]
    assert places.tolist() == [[0, 1, 2], [2, 3, 4], [5, 6, 7]]


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_a_network_of_low_precision_follows_up_too(precision: torch.dtype) -> None:
    network, windows = taught(), noise(30, 2, KERNEL)
    expected = network.score(windows)
    scores = network.to(precision).score(windows.to(precision))
    assert scores.dtype == precision
    assert (scores.float() - expected).abs().mean() < 0.06


def test_without_coherence_no_score_is_followed_up() -> None:
    network, windows = chirps().eval(), noise(8, 2, KERNEL)
    network.quiet = network.followed = 9.0
    network.coherence = None
    assert network.followed_from == math.inf
    scores = network.score(windows)[:, None]
    embeddings = network.encode(windows).unbind(1)
    assert torch.equal(network.follow_up(scores, embeddings, windows.unbind(1), 1), scores)
