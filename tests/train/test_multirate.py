import math

import pytest
import torch
from long_chirps import SIZE, chirps

from aframe.bank import slices
from aframe.bank.slices import SlicedTemplates, cut, plan
from aframe.errors import ConfigurationError
from aframe.preprocessing import MINIMUM_PHASE, PHASES, ZERO_PHASE, Preprocessing, Whitening
from aframe.train import model
from aframe.train.architectures import MatchedFilterNetwork, multirate
from aframe.train.architectures.contract import check_network
from aframe.train.architectures.folding import fold_filters
from aframe.train.architectures.multirate import MultirateBank, bank_of
from aframe.train.mining import loudest_steps
from aframe.train.model import Model
from aframe.whitening import minimum_phase

TEMPLATES, STEP, COINCIDENCE = 24, 32, 16
KERNEL = SIZE + 512

FREQUENCY = torch.linspace(0, 0.5, SIZE + 1, dtype=torch.float64)
REFERENCE = (0.03 / FREQUENCY.clamp_min(0.005)) ** 2 + 1
OTHER = 3 * (1 + (FREQUENCY / 0.05) ** 2)
"""PSDs that are low at high and at low frequencies."""


@pytest.fixture(autouse=True)
def short_ones_are_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "LEAST_SIZE", SIZE)


def bank(ifos: int = 1) -> MultirateBank:
    result = bank_of(chirps(TEMPLATES), ifos, STEP, COINCIDENCE)
    assert isinstance(result, MultirateBank)
    return result


def network(**options: object) -> MatchedFilterNetwork:
    filtering = MatchedFilterNetwork(2, KERNEL, groups=4, step_size=STEP, coincidence=COINCIDENCE, **options)
    filtering.set_bank(chirps(TEMPLATES), torch.arange(float(TEMPLATES), 0, -1))
    return filtering.eval()


def noise(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def full_rate(stream: torch.Tensor, templates: torch.Tensor, every: int) -> torch.Tensor:
    """Largest |z|²/2 in each step of correlations with whole templates, at one in some samples."""
    size = 2 * len(stream)
    z = torch.fft.ifft(torch.fft.fft(stream.double(), n=size) * torch.fft.fft(templates, n=size).conj())
    power = (z[:, : len(stream) - SIZE + 1 : every].abs().square() / 2).float()
    return torch.nn.functional.max_pool1d(power, (STEP + COINCIDENCE) // every, STEP // every)


def test_every_template_keeps_99_percent_of_its_squared_snr() -> None:
    filters, snr, start = bank(), 12.0, 1280
    streams = torch.zeros(TEMPLATES, 1, SIZE + 2560)
    phases = torch.polar(torch.ones(TEMPLATES), torch.arange(float(TEMPLATES)))
    streams[:, 0, start : start + SIZE] = snr * (chirps(TEMPLATES) * phases[:, None]).real
    measured = filters(streams)[:, 0].amax(2)
    kept = measured.diagonal() / (snr**2 / 2)
    assert kept.min() > 0.99
    assert kept.max() < 1.003
    assert len(filters._bases_of(streams.device)[0]) == 1
    basis = filters._bases_of(streams.device)[0][0]
    assert all(len(each) < 0.7 * TEMPLATES for each in basis.filters)


def test_noise_has_the_values_of_the_full_rate() -> None:
    filters, stream = bank(), noise(SIZE + 4000)
    measured = filters(stream[None, None])[0, 0]
    expected = full_rate(stream, chirps(TEMPLATES), filters.output)[:, : measured.shape[1]]
    assert (measured - expected).square().mean().sqrt() < 0.06 * expected.std()
    assert measured.mean() == pytest.approx(float(expected.mean()), rel=5e-3)


@pytest.mark.parametrize(("block", "at_once", "together"), [(7, 11, 3), (256, 1, 1)])
def test_blocks_of_templates_and_of_the_stream_change_nothing(
    monkeypatch: pytest.MonkeyPatch, block: int, at_once: int, together: int
) -> None:
    streams = noise(2, 1, SIZE + 2000)
    expected = bank()(streams)
    monkeypatch.setattr(multirate, "BLOCK", block)
    monkeypatch.setattr(multirate, "STEPS_AT_ONCE", at_once)
    monkeypatch.setattr(multirate, "STEPS_TOGETHER", together)
    tolerance = 1e-3 if block > TEMPLATES else 0.6  # other blocks lose other parts
    assert (bank()(streams) - expected).abs().max() < tolerance


def test_scores_of_streams_are_those_of_windows() -> None:
    filtering = network()
    check_network(filtering, stride_size=64)
    stream = noise(1, 2, KERNEL + 31 * 64)
    scores = filtering.fuse(filtering.encode(stream).unbind(1), 2)
    windows = stream[0].unfold(-1, KERNEL, 64).transpose(0, 1)
    torch.testing.assert_close(scores[0], filtering(windows), atol=2e-3, rtol=1e-4)
    assert scores.std() > 0.1


def test_windows_may_come_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    filters, windows = bank(2), noise(7, 2, KERNEL)
    alone = torch.cat([filters(each[None]) for each in windows])
    torch.testing.assert_close(filters(windows), alone, rtol=1e-4, atol=1e-4)
    monkeypatch.setattr(multirate, "STEPS_AT_ONCE", 2 * filters.steps(KERNEL))
    monkeypatch.setattr(multirate, "STEPS_TOGETHER", filters.steps(KERNEL))
    torch.testing.assert_close(filters(windows), alone, rtol=1e-4, atol=1e-4)


def test_spectra_of_few_numbers_of_steps_are_kept() -> None:
    filters = bank()
    for steps in (1, 2, 4, 8, 15, 16, 2):
        size = filters.receptive_field + (steps - 1) * STEP
        assert filters(noise(1, 1, size)).shape[-1] == steps
    assert [steps for steps, _ in filters._filterings] == [8, 16, 2]


def test_a_step_depends_on_its_receptive_field_alone() -> None:
    filters, streams = bank(), noise(1, 1, SIZE + 1000)
    others = streams.clone()
    begin = 10 * STEP
    others[..., :begin] = 30.0
    others[..., begin + filters.receptive_field :] = -30.0
    torch.testing.assert_close(filters(others)[..., 10], filters(streams)[..., 10], atol=0.04, rtol=0)  # of 30 and -30


def whitened(series: torch.Tensor, psd: torch.Tensor, phase: str) -> torch.Tensor:
    """Series over the root of a PSD, of unit norm per quadrature."""
    colour = psd.rsqrt() if phase == ZERO_PHASE else minimum_phase(-0.5 * psd.log())
    both = torch.cat([colour, torch.zeros(SIZE - 1)])
    result = torch.fft.ifft(torch.fft.fft(series.to(torch.complex128), n=2 * SIZE) * both)[:, :SIZE]
    return (result / (result.abs().square().sum(1, keepdim=True) / 2).sqrt()).to(torch.complex64)


@pytest.mark.parametrize("phase", PHASES)
def test_each_detector_keeps_the_snr_that_its_own_psd_allows(phase: str) -> None:
    filters, snr, start = bank_of(whitened(chirps(TEMPLATES), REFERENCE, phase), 2, STEP, COINCIDENCE), 12.0, 640
    assert filters.slices
    streams, rows = torch.zeros(3, 2, SIZE + 1280), torch.tensor([0, 11, 23])
    for ifo, psd in enumerate((REFERENCE, OTHER)):
        streams[:, ifo, start : start + SIZE] = snr * whitened(chirps(TEMPLATES), psd, phase)[rows].real
    filters.set_reference(REFERENCE, phase)
    assert bool(filters.is_minimum_phase) == (phase == MINIMUM_PHASE)
    plain = filters(streams).amax(3)[torch.arange(3), :, rows]
    filters.adapt(torch.stack([REFERENCE, OTHER]))
    adapted = filters(streams).amax(3)[torch.arange(3), :, rows]
    assert plain[:, 1].max() < 0.91 * snr**2 / 2
    torch.testing.assert_close(adapted, torch.full((3, 2), snr**2 / 2), rtol=0.015, atol=0)


def test_templates_may_come_in_slices() -> None:
    whole, masses = chirps(TEMPLATES), torch.arange(float(TEMPLATES), 0, -1)
    sliced = cut(whole, plan(whole))
    filtering = network()
    again = MatchedFilterNetwork(2, KERNEL, groups=4, step_size=STEP, coincidence=COINCIDENCE)
    again.set_bank(sliced, masses)
    assert again.slices == filtering.slices
    windows = noise(2, 2, KERNEL)
    torch.testing.assert_close(again.eval()(windows), filtering(windows))


@pytest.mark.parametrize(("half", "tolerance"), [(False, 1e-5), (True, 5e-2)])
def test_a_model_comes_back_with_its_slices(tmp_path, half: bool, tolerance: float) -> None:
    filtering, path = network(), str(tmp_path / "model.pt")
    whitening = Whitening(256.0, 4.0, 1.0, 1.0, 4.0, 20.0, None)
    model.save(Model(filtering, Preprocessing(("H1", "L1"), KERNEL / 256, 4.0, (0.5, 0.9), whitening)), path, {}, half)
    again = model.load(path).network
    assert isinstance(again, MatchedFilterNetwork)
    assert again.specification == filtering.specification
    assert len(again.slices) == 3
    windows = noise(3, 2, KERNEL)
    torch.testing.assert_close(again(windows), filtering(windows).detach(), atol=tolerance, rtol=tolerance)


def test_filters_of_other_templates_are_forgotten() -> None:
    filters, streams = bank(), noise(1, 1, SIZE + 500)
    before = filters(streams)
    state = {
        name: value.flip(1) if name.startswith("slice_") else value for name, value in filters.state_dict().items()
    }
    filters.load_state_dict(state)
    assert (filters(streams).flip(2) - before).abs().max() < 0.4
    assert (filters(streams) - before).abs().max() > 2


def test_loud_steps_are_not_followed_up_and_keep_no_strain() -> None:
    filtering, windows = network(), noise(3, 2, KERNEL)
    assert filtering.coherence is None
    assert filtering.known_glitches is None
    assert math.isinf(filtering.followed_from)
    steps = loudest_steps(filtering, filtering.measure(windows), windows)
    assert steps.measured.shape == (3, 2, TEMPLATES)
    assert steps.strain.shape == (3, 2, 0)


def test_a_network_without_a_bank_can_be_timed() -> None:
    filtering = MatchedFilterNetwork(2, KERNEL, groups=4)
    filtering.set_noise(TEMPLATES, SIZE)
    assert len(filtering.slices) == 3
    scores = filtering.eval()(noise(2, 2, KERNEL))
    assert scores.isfinite().all()


def test_short_templates_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "LEAST_SIZE", SIZE + 1)
    filters = bank_of(chirps(TEMPLATES), 2, STEP, COINCIDENCE)
    assert not isinstance(filters, MultirateBank)
    assert filters.slices == []


def test_training_of_slices_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=f"trainable: true needs templates of less than {SIZE} samples"):
        network(trainable=True)


def test_export_of_slices_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="which no exported model does: search with engine = torch"):
        fold_filters(network())
    with pytest.raises(ConfigurationError, match="which no exported model does"):
        torch.jit.trace(network(), noise(1, 2, KERNEL))


def test_slices_of_a_model_of_whole_templates_are_none() -> None:
    assert MatchedFilterNetwork(2, KERNEL, templates=8, template_size=64, decimations=(8, 0, 0), groups=4).slices == []


def test_sliced_templates_know_their_number() -> None:
    whole = chirps(5)
    assert len(cut(whole, plan(whole))) == 5
    assert isinstance(cut(whole, plan(whole)), SlicedTemplates)
