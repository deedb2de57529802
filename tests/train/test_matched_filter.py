import math

import numpy as np
import pytest
import scipy.signal
import torch

from aframe.errors import ConfigurationError
from aframe.preprocessing import Preprocessing, Whitening
from aframe.train import model
from aframe.train.architectures import MatchedFilterNetwork
from aframe.train.architectures.coherence import FEATURES
from aframe.train.architectures.contract import check_network
from aframe.train.architectures.cost import cost
from aframe.train.model import Model

SIZE = 256
"""Samples of a template."""

STEP, COINCIDENCE = 16, 8


def chirps(centres, size=SIZE):
    """Analytic chirps about frequencies in units of the sample rate, each quadrature of unit norm."""
    times = np.arange(size)
    taper = scipy.signal.windows.hann(size)
    phases = [2 * np.pi * (centre * times + 0.1 * centre * (times - size / 2) ** 2 / size) for centre in centres]
    waves = taper * np.exp(1j * np.array(phases))
    waves /= np.linalg.norm(waves, axis=1, keepdims=True) / math.sqrt(2)
    return torch.from_numpy(waves)


CENTRES = (0.05, 0.3, 0.06, 0.15, 0.16, 0.31)
"""Frequencies of templates at 1/8, 1/2, 1/8, 1/4, 1/4 and 1/2 of the sample rate."""

MASSES = torch.tensor([50.0, 5.0, 40.0, 20.0, 15.0, 6.0], dtype=torch.float64)
"""Chirp masses of the templates."""

ORDER = [1, 5, 4, 3, 2, 0]
"""The templates in the order of their chirp mass."""


def network(ifos=2, kernel_size=512, random_head=True, **options):
    filtering = MatchedFilterNetwork(
        ifos, kernel_size, **{"groups": 3, "step_size": STEP, "coincidence": COINCIDENCE, **options}
    )
    filtering.set_bank(chirps(CENTRES), MASSES)
    if random_head:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(5)
            for parameter in [filtering.bias, *filtering.head.parameters(), *filtering.ceiling.parameters()]:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return filtering


def noise(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def powers(stream, centre):
    """|z|²/2 at each start of a template, by the definition."""
    wave = chirps([centre])[0].numpy()
    return np.abs(np.correlate(stream.double().numpy(), wave, "valid")) ** 2 / 2


@pytest.mark.parametrize("size", [SIZE + 200, 3000, 70_000])
def test_each_step_has_the_largest_correlation_of_the_time_domain(size):
    filtering = network()
    assert filtering.decimations == [2, 2, 2]
    stream = noise(1, 2, size)
    measured = filtering.measure(stream)
    assert measured.shape == (1, 2, 6, filtering.steps(size))
    for ifo in range(2):
        for place, template in enumerate(ORDER):
            rate = {1: 2, 5: 2, 3: 4, 4: 4, 0: 8, 2: 8}[template]
            series = powers(stream[0, ifo], CENTRES[template])
            for step in {0, 1, measured.shape[-1] // 2, measured.shape[-1] - 1}:
                expected = series[step * STEP : (step + 1) * STEP + COINCIDENCE : rate].max()
                assert measured[0, ifo, place, step].item() == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_decimation_misses_little_of_a_peak():
    stream = noise(1, 1, 30_000)
    measured = network(1).measure(stream)[0, 0].double().numpy()
    for place, template in enumerate(ORDER):
        series = powers(stream[0, 0], CENTRES[template])
        steps = measured.shape[-1]
        exact = [series[k * STEP : (k + 1) * STEP + COINCIDENCE].max() for k in range(steps)]
        assert (measured[place] <= np.array(exact) * (1 + 1e-4) + 1e-4).all()
        assert measured[place].mean() > 0.93 * np.mean(exact)


def test_white_noise_has_mean_one():
    single = network(1, step_size=8, coincidence=0)
    filtered = single.measure(noise(1, 1, 200_000))[0, 0]
    slowest = [ORDER.index(0), ORDER.index(2)]  # one value in each step
    assert filtered[slowest].mean() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("template", range(6))
def test_the_peak_of_a_signal_is_half_its_squared_snr_at_its_step(template):
    snr, start = 12.0, 16 * 24
    stream = torch.zeros(1, 1, 1500)
    wave = chirps([CENTRES[template]])[0]
    phase = np.exp(0.7j)
    stream[0, 0, start : start + SIZE] = snr * (wave * phase).real
    measured = network(1).measure(stream)[0, 0, ORDER.index(template)]
    assert measured.max().item() == pytest.approx(snr**2 / 2, rel=0.01)
    assert (measured == measured.max()).nonzero().flatten().tolist() == [start // STEP - 1, start // STEP] or (
        measured.argmax().item() == start // STEP
    )


@pytest.mark.parametrize("ifos", [1, 2, 3])
@pytest.mark.parametrize("training", [True, False])
def test_scores_of_streams_are_those_of_windows(ifos, training):
    filtering = network(ifos).train(training)
    check_network(filtering, stride_size=32)
    stream = noise(2, ifos, 512 + 31 * 48)
    scores = filtering.fuse(filtering.encode(stream).unbind(1), 3)
    windows = stream.unfold(-1, 512, 48).permute(0, 2, 1, 3)
    expected = filtering(windows.flatten(0, 1)).reshape(2, 32)
    torch.testing.assert_close(scores, expected, atol=2e-3, rtol=1e-4)
    assert expected.std() > 0.1


def test_a_score_is_the_log_of_the_groups_sum_at_the_best_step():
    filtering = network()
    filtering.quiet = -3.0
    windows = noise(5, 2, 512)
    measured = filtering.measure(windows)
    groups = (measured.sum(1) + filtering.bias[:, None]).unflatten(1, (3, 2)).amax(2)
    roots = measured.unflatten(2, (3, 2)).amax(3).sqrt() - 3.5
    mass = filtering.chirp_mass[:, None].expand(5, 3, 15)
    low, high = roots.amin(1), roots.amax(1)
    correction = filtering.head(torch.stack([low, high, mass], -1))[..., 0]
    corrected = groups + correction
    ceiling = (low + 3.5) ** 2 + filtering.ceiling(torch.stack([low, (high / 3.5 + 1).log(), mass], -1))[..., 0]
    expected = (1 / (1 / corrected.exp() + 1 / ceiling.exp())).sum(1).log().amax(1) - 27
    assert correction.std() > 0.01
    for mode in (True, False):
        torch.testing.assert_close(filtering.train(mode)(windows), expected, atol=1e-3, rtol=1e-4)


def test_the_head_sees_loud_steps_alone_and_the_score_of_others_is_their_bound():
    filtering = network()
    with torch.no_grad():
        filtering.head[-1].bias.fill_(4.0)
        filtering.head[-1].weight.zero_()
        filtering.ceiling[-1].bias.fill_(90.0)
    one, other = filtering.encode(noise(40, 2, 512)).unbind(1)
    groups = (one + other)[:, :6].unflatten(1, (3, 2)).amax(2)
    bound = (one[:, :6].unflatten(1, (3, 2)).amax(2) + other[:, :6].unflatten(1, (3, 2)).amax(2)).amax(1)
    filtering.quiet = bound.quantile(0.4).item()
    share = ((bound - filtering.quiet) / 2).clamp(0, 1)
    expected = (1 - share) * bound + share * (groups.logsumexp(1) + 4.0) - 27
    assert (share == 0).any()
    assert (share == 1).any()
    assert (bound >= groups.amax(1)).all()
    for mode in (True, False):
        scores = filtering.train(mode).step_scores([one, other])
        torch.testing.assert_close(scores, expected, atol=1e-4, rtol=1e-4)


def test_a_new_head_corrects_nothing_and_learns():
    filtering = network(random_head=False)
    filtering.quiet = 1.0
    windows = noise(4, 2, 512)
    assert filtering.head(torch.randn(5, 3)).abs().max() == 0
    filtering(windows).sum().backward()
    learned = {name for name, each in filtering.named_parameters() if each.grad is not None and each.grad.any()}
    assert {"bias", "offset", "scale", "head.4.weight", "head.4.bias", "ceiling.4.bias"} <= learned


@pytest.mark.parametrize("ifos", [2, 3])
def test_a_glitch_is_not_louder_than_what_two_detectors_see(ifos):
    filtering = network(ifos, random_head=False).eval()
    levels = torch.full((ifos, 2, 3), 3.0)
    levels[0] = torch.tensor([[12.0], [30.0]])  # loud in one
    two = levels.clone()
    two[1] = levels[0]  # and in two
    glitches, signals = (filtering._statistic((x**2).sum(0), x) for x in (levels, two))
    assert (glitches <= 9 + 40 + math.log(3) + 1e-3).all()
    assert torch.allclose(signals[1], torch.tensor(940.0 + math.log(3)), atol=9.0)
    assert signals[0] > 150


def test_groups_are_ordered_by_chirp_mass():
    filtering = network()
    means = torch.tensor([math.log(5) + math.log(6), math.log(15) + math.log(20), math.log(40) + math.log(50)]) / 2
    expected = (means - means.mean()) / means.std(correction=0)
    torch.testing.assert_close(filtering.chirp_mass, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        filtering.filters.bank[0, filtering.filters.rows[0]].double(), chirps(CENTRES)[1].real, atol=1e-6, rtol=0
    )


def test_banks_that_do_not_fit_are_refused():
    filtering = MatchedFilterNetwork(2, 200, groups=3, step_size=16, coincidence=8)
    with pytest.raises(ConfigurationError, match=r"200 samples is too short for templates of 256.*needs 79 more"):
        filtering.set_bank(chirps(CENTRES), MASSES)
    with pytest.raises(ConfigurationError, match="6 templates are no multiple of groups = 4"):
        MatchedFilterNetwork(2, 512, templates=6, template_size=256, decimations=(6, 0, 0), groups=4)
    with pytest.raises(ConfigurationError, match="multiples of 8 samples"):
        MatchedFilterNetwork(2, 512, step_size=12)


def test_some_templates_are_repeated_where_they_do_not_fill_the_groups():
    filtering = MatchedFilterNetwork(2, 512, groups=4)
    filtering.set_bank(chirps(CENTRES), MASSES)
    assert filtering.templates == 8
    ordered = filtering.filters.bank[0, filtering.filters.rows]
    assert len(ordered.unique(dim=0)) == 6


def test_long_templates_that_learn_are_refused_with_the_length_that_would_do():
    filtering = MatchedFilterNetwork(2, 33536, trainable=True)
    with pytest.raises(ConfigurationError, match=r"less than 32768 samples, .* and these have 33024"):
        filtering.set_noise(4, 33024)


@pytest.mark.parametrize(("half", "tolerance"), [(False, 1e-6), (True, 2e-2)])
@pytest.mark.parametrize("trainable", [False, True])
def test_a_model_comes_back_with_its_bank(tmp_path, half, tolerance, trainable):
    filtering, path = network(kernel_size=512, trainable=trainable), str(tmp_path / "model.pt")
    whitening = Whitening(256.0, 4.0, 1.0, 1.0, 4.0, 20.0, None)
    model.save(Model(filtering, Preprocessing(("H1", "L1"), 2.0, 4.0, (0.5, 0.9), whitening)), path, {}, half)
    again = model.load(path).network
    assert isinstance(again, MatchedFilterNetwork)
    assert again.specification == filtering.specification
    windows = noise(4, 2, 512)
    torch.testing.assert_close(again(windows), filtering(windows).detach(), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize(("precision", "tolerance"), [(torch.bfloat16, 2e-2), (torch.float16, 3e-3)])
def test_a_network_of_low_precision_filters_in_single_precision(precision, tolerance):
    filtering, windows = network(), noise(4, 2, 512)
    expected = filtering.measure(windows)
    filtering.to(dtype=precision)
    measured = filtering.measure(windows.to(precision))
    assert measured.dtype == precision
    torch.testing.assert_close(measured.float(), expected, atol=tolerance, rtol=tolerance)
    assert filtering(windows.to(precision)).dtype == precision


@pytest.mark.parametrize("kernel_size", [512, 1001])
def test_templates_that_learn_are_drawn_to_signals_and_measure_as_others(kernel_size):
    fixed, learning = network(kernel_size=kernel_size), network(kernel_size=kernel_size, trainable=True)
    windows = noise(3, 2, kernel_size)
    measured = learning.measure(windows)
    assert measured.requires_grad
    torch.testing.assert_close(measured.detach(), fixed.measure(windows), atol=1e-3, rtol=1e-3)

    signal = 10 * chirps([0.055])[0].real.float()
    windows = torch.zeros(1, 2, kernel_size)
    windows[..., 100 : 100 + SIZE] = signal
    optimizer = torch.optim.Adam([learning.filters.bank], 1e-3)
    before, beginning = fixed.measure(windows).amax(), learning.filters.bank.detach().clone()
    for _ in range(60):
        optimizer.zero_grad()
        (-learning.measure(windows).sum(1).amax()).backward()
        optimizer.step()
    after = learning.eval().measure(windows).amax()
    assert before < 25
    assert 45 < after < 50  # half of the squared SNR at most
    filters = learning.filters.filters(0, slice(None))
    torch.testing.assert_close((filters.real * filters.imag).sum(1), torch.zeros(6), atol=1e-3, rtol=0)
    assert (learning.filters.bank.detach() - beginning).abs().amax((0, 2)).count_nonzero() == 1  # others stay


def test_a_glitch_overflows_no_precision():
    filtering = network(3).to(dtype=torch.float16)
    windows = (noise(2, 3, 512) * 1e3).half()
    assert filtering(windows).isfinite().all()


def test_the_bias_alone_counts_as_a_parameter_of_the_encoder():
    counted = cost(network(), stride_size=32)

    def perceptron(inputs):
        return 16 * inputs + 16 + 16 * 16 + 16 + 16 + 1

    assert (counted.encoder_parameters, counted.head_parameters) == (6, 2 * perceptron(3) + perceptron(FEATURES) + 2)
