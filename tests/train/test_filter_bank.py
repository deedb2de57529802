import math
import warnings

import pytest
import torch

from aframe.errors import ConfigurationError
from aframe.preprocessing import MINIMUM_PHASE, PHASES, ZERO_PHASE
from aframe.train.architectures.filter_bank import FilterBank
from aframe.train.architectures.folding import fold_filters
from aframe.whitening import minimum_phase

SIZE, STEP = 512, 16
FREQUENCY = torch.linspace(0, 0.5, SIZE + 1, dtype=torch.float64)
"""Of templates with as many zeros behind them, in units of the sample rate."""

REFERENCE = (0.12 / FREQUENCY.clamp_min(0.02)) ** 3 + 1
OTHER = 3 * (1 + (FREQUENCY / 0.12) ** 3)
"""PSDs that are low at high and at low frequencies."""


def chirp() -> torch.Tensor:
    """Analytic chirp without whitening, over most of the band."""
    time = torch.arange(SIZE, dtype=torch.float64) / SIZE
    return torch.polar(torch.hann_window(SIZE, dtype=torch.float64), 2 * torch.pi * SIZE * (0.03 + 0.13 * time) * time)


def whitened(series: torch.Tensor, psd: torch.Tensor, phase: str = ZERO_PHASE) -> torch.Tensor:
    """Series over the root of a PSD, not normalised."""
    colour = psd.rsqrt() if phase == ZERO_PHASE else minimum_phase(-0.5 * psd.log())
    both = torch.cat([colour, colour[1:-1].flip(0).conj()])
    return torch.fft.ifft(torch.fft.fft(series, n=2 * SIZE) * both)[:SIZE]


def norm(series: torch.Tensor) -> float:
    """Norm of either quadrature."""
    return math.sqrt(float(series.abs().square().sum()) / 2)


def bank_of(psds: torch.Tensor | None, phase: str = ZERO_PHASE) -> FilterBank:
    template = whitened(chirp(), REFERENCE, phase)
    filters = FilterBank.of((template / norm(template))[None].to(torch.complex64), 2, STEP, 8)
    filters.set_reference(REFERENCE, phase)
    if psds is not None:
        filters.adapt(psds)
    return filters


@pytest.mark.parametrize("phase", PHASES)
def test_each_detector_keeps_the_snr_that_its_own_psd_allows(phase: str) -> None:
    """A signal that is whitened by the detector's PSD has its full SNR, and less with the reference's template."""
    streams, snr, start = torch.zeros(1, 2, 1400), 10.0, 400
    for ifo, psd in enumerate((REFERENCE, OTHER)):
        signal = whitened(chirp() * complex(math.cos(1.0), math.sin(1.0)), psd, phase)
        streams[0, ifo, start : start + SIZE] = (snr * signal / norm(signal)).real
    plain, adapted = (
        bank_of(psds, phase)(streams)[0, :, 0].amax(1) for psds in (None, torch.stack([REFERENCE, OTHER]))
    )
    assert plain[0].item() == pytest.approx(snr**2 / 2, rel=0.02)
    assert plain[1].item() < 0.9 * snr**2 / 2
    torch.testing.assert_close(adapted, torch.full((2,), snr**2 / 2), rtol=0.02, atol=0)


def test_white_noise_has_mean_one_whatever_the_psd() -> None:
    filters = bank_of(torch.stack([REFERENCE, OTHER]))
    each = torch.stack([filters.filters(ifo, slice(None))[0] for ifo in range(2)])
    torch.testing.assert_close(each.abs().square().sum(1), torch.full((2,), 2.0))
    assert (each[0] - each[1]).abs().max() > 0.03
    # an average over the samples of 16 is less than the largest of them, which has 1 + 1/2 + ... at most
    noise = torch.randn(1, 2, 100_000, generator=torch.Generator().manual_seed(0))
    measured = filters(noise)[0].mean((1, 2))
    assert ((measured > 1.2) & (measured < 3.5)).all()


def test_a_psd_counts_by_its_shape_and_not_by_its_level_or_grid() -> None:
    filters, others = bank_of(torch.stack([REFERENCE, OTHER])), bank_of(torch.stack([7e-46 * REFERENCE, 1e-40 * OTHER]))
    torch.testing.assert_close(others.colours, filters.colours, rtol=1e-5, atol=0)
    coarse = bank_of(torch.stack([REFERENCE, OTHER])[:, ::2])
    torch.testing.assert_close(coarse.filters(1, slice(None)), filters.filters(1, slice(None)), rtol=0, atol=2e-3)


def test_without_a_reference_the_templates_stay() -> None:
    template = whitened(chirp(), REFERENCE)
    filters = FilterBank.of((template / norm(template))[None].to(torch.complex64), 2, STEP, 8)
    filters.adapt(torch.stack([REFERENCE, OTHER]))
    assert (filters.colours == 1).all()


def test_strain_without_power_leaves_the_filters_finite() -> None:
    psd = torch.where(FREQUENCY < 0.06, torch.zeros(()), OTHER)
    filters = bank_of(torch.stack([psd, psd]))
    assert filters.filters(0, slice(None)).isfinite().all()


def test_adapting_again_forgets_the_first_psd() -> None:
    streams = torch.randn(1, 2, 2000, generator=torch.Generator().manual_seed(1))
    filters = bank_of(torch.stack([OTHER, OTHER]))
    first = filters(streams)
    filters.adapt(torch.stack([REFERENCE, OTHER]))
    second = filters(streams)
    torch.testing.assert_close(second[:, 1], first[:, 1])
    assert (second[:, 0] - first[:, 0]).abs().max() > 0.1
    torch.testing.assert_close(second, bank_of(torch.stack([REFERENCE, OTHER]))(streams))


def test_a_bank_keeps_its_phase_and_one_of_before_has_zero_phase() -> None:
    psds, streams = torch.stack([OTHER, OTHER]), torch.randn(1, 2, 2000, generator=torch.Generator().manual_seed(3))
    saved, restored = bank_of(psds, MINIMUM_PHASE), bank_of(None)
    restored.load_state_dict(saved.state_dict())
    torch.testing.assert_close(restored(streams), saved(streams))
    earlier = {name: values for name, values in bank_of(psds).state_dict().items() if name != "is_minimum_phase"}
    restored.load_state_dict(earlier)
    torch.testing.assert_close(restored(streams), bank_of(psds)(streams))


@pytest.mark.parametrize("phase", PHASES)
def test_folded_filters_are_those_of_each_detector(phase: str) -> None:
    filters = bank_of(torch.stack([REFERENCE, OTHER]), phase)
    fold_filters(filters)
    assert filters.folded is not None
    assert filters.folded.shape == (2, 2, 1, SIZE)
    torch.testing.assert_close(torch.complex(*filters.folded[1]), filters.filters(1, slice(None)))
    assert "folded" not in filters.state_dict()
    streams = torch.randn(1, 2, 1500, generator=torch.Generator().manual_seed(2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        traced = torch.jit.trace(filters, streams)
    torch.testing.assert_close(traced(streams), filters(streams), rtol=1e-3, atol=1e-3)


def test_steps_are_multiples_of_the_slowest_rate() -> None:
    with pytest.raises(ConfigurationError, match="multiples of 8 samples"):
        FilterBank(2, 0, 0, (), 12, 8)
