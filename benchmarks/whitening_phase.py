"""SNR that whitening of zero and of minimum phase keep, of the demo's signals, and that matched filters recover."""

import numpy as np
import torch
from _rows import at_least, sized, tell

from aframe import seeding
from aframe.bank.matching import matcher_of
from aframe.bank.placement import place
from aframe.bank.templates import TemplateMaker
from aframe.preprocessing import PHASES, Whitening
from aframe.strain.noise_curves import asd_at, load_asd
from aframe.strain.simulate import simulate
from aframe.tensors import Psd, Taps
from aframe.train.architectures.filter_bank import FilterBank
from aframe.types import Array
from aframe.waveforms.polarizations import WaveformGenerator
from aframe.waveforms.priors import demo_bbh, draw
from aframe.whitening import WhitenedStream, power_spectral_density, smooth_psd, whitening_filter

RATE, LOWEST, HIGHPASS = 1024.0, 20.0, 32.0
TEMPLATE_LENGTH, AFTER, STEP, COINCIDENCE = 3.25, 0.25, 32, 16
CURVES = {"H1": "aLIGO_O4_high_asd.txt", "V1": "AdV_asd.txt"}
BLOCKS, SIGNALS, TEMPLATES = sized((8, 200, 256), (2, 24, 48))
"""Blocks of noise with a PSD each, signals, and largest number of templates."""

KEPT, RECOVERED, NO_LESS = at_least(0.93), at_least(0.92, of_full_amount=True), at_least(0.98)
"""Shares of the SNR that a filter keeps of the optimum above 20 Hz, and that the bank recovers of what it keeps; and
their product in minimum phase over that in zero phase."""


def whitening(phase: str) -> Whitening:
    """The demo's whitening, with a phase."""
    return Whitening(RATE, 64.0, 1.0, 1.0, 64.0, HIGHPASS, None, phase)


def noise_psds(ifo: str) -> Psd:
    """PSDs that blocks of a detector's noise are whitened by, shape (blocks, frequency)."""
    size = 64 * BLOCKS
    strain = torch.from_numpy(simulate(load_asd(CURVES[ifo]), ifo, 1e9, 1e9 + size, RATE, seed=1))
    return power_spectral_density(strain.unflatten(0, (BLOCKS, -1)), RATE, 1.0)


def kept(waves: torch.Tensor, taps: Taps, ifo: str) -> Array:
    """Share of the optimal SNR above ``LOWEST`` that is left of signals whitened by one filter, in the true noise.

    With a whitened signal as its own template, (Σ |Hh|²)² / Σ |Hh|² |H|² S over frequencies is the squared SNR.
    """
    size = waves.shape[-1] + taps.shape[-1]
    frequencies = np.arange(size // 2 + 1) * RATE / size
    true = torch.from_numpy(asd_at(load_asd(CURVES[ifo]), frequencies) ** 2)
    inside = torch.from_numpy(frequencies >= LOWEST)
    power = torch.fft.rfft(waves, n=size).abs().square()
    gain = torch.fft.rfft(taps, n=size).abs().square()
    true = torch.where(inside, true, float(true[inside][0]))
    through = power * gain
    squared = through.sum(1).square() / (through * gain * true).sum(1)
    return (squared / (power / true)[:, inside].sum(1)).sqrt().numpy()


def recovered(waves: torch.Tensor, filters: FilterBank, ifo: int, taps: Taps, after: int) -> Array:
    """Share of a whitened signal's norm that the best template of a bank sees of it."""
    result = []
    for wave in waves:
        stream = WhitenedStream(torch.zeros(4 * len(wave)), taps[None], 0, 4 * len(wave), after)
        signal = stream.whiten_signal(wave, len(wave))
        rows = torch.zeros(1, filters.num_ifos, 4 * len(wave))
        rows[0, ifo, len(wave) - after : len(wave) - after + len(signal)] = signal / signal.square().sum().sqrt()
        result.append(float((2 * filters(rows)[0, ifo].max()).sqrt()))
    return np.array(result)


def middle_and_scatter(values: Array) -> tuple[float, float]:
    """Median, and half of the range from the 16th to the 84th percentile."""
    low, median, high = np.percentile(values, (16, 50, 84))
    return float(median), float(high - low) / 2


def bank(generator: WaveformGenerator, average: Psd, each: Whitening) -> FilterBank:
    """A bank of the demo's population, whitened by the average of the detectors' PSDs and adapted to each."""
    maker = TemplateMaker(
        generator,
        whitening_filter(average.log().mean(0).exp(), each),
        TEMPLATE_LENGTH,
        AFTER,
        each.after_size,
    )

    def drawn(number: int, batch: int) -> dict[str, Array]:
        return draw(demo_bbh(), number, seeding.generator(0, "whitening phase", batch + 1))

    placed, _ = place(matcher_of(maker, 1), drawn, TEMPLATES, 0.95, workers=1)
    templates = maker.make(placed.columns, 1)
    filters, smooth = FilterBank.of(templates, len(CURVES), STEP, COINCIDENCE), smooth_psd(average, RATE)
    filters.set_reference(smooth.log().mean(0).exp(), each.phase)
    filters.adapt(smooth)
    return filters


@torch.inference_mode()
def main() -> None:
    """Print the shares of both phases in two detectors that differ, and the ratio of what a search sees."""
    generator = WaveformGenerator("IMRPhenomPv2", RATE, 4.0, 1.0, LOWEST, 50.0)
    psds = {ifo: noise_psds(ifo) for ifo in CURVES}
    average = torch.stack([each.log().mean(0).exp() for each in psds.values()])
    drawn = draw(demo_bbh(), SIGNALS, seeding.generator(0, "whitening phase"))
    waves = torch.from_numpy(generator.generate(drawn, 1)[0])
    seen: dict[str, list[Array]] = {ifo: [] for ifo in CURVES}
    for phase in PHASES:
        each = whitening(phase)
        filters = bank(generator, average, each)
        for number, ifo in enumerate(CURVES):
            pairs = [(waves[row::BLOCKS], whitening_filter(psd, each)) for row, psd in enumerate(psds[ifo])]
            left = np.concatenate([kept(some, taps, ifo) for some, taps in pairs])
            value, error = middle_and_scatter(left)
            tell(f"snr_kept_{phase}_phase_{ifo}", value, "of the optimum from 20 Hz", KEPT, error)
            by_bank = np.concatenate([recovered(some, filters, number, taps, each.after_size) for some, taps in pairs])
            value, error = middle_and_scatter(by_bank)
            note = f"{filters.templates} templates, of the average of both detectors' PSDs, adapted to {ifo}"
            tell(f"snr_recovered_{phase}_phase_{ifo}", value, "of the whitened signal's", RECOVERED, error, note=note)
            seen[ifo].append(left * by_bank)
    for ifo, (zero, minimum) in seen.items():
        value, error = middle_and_scatter(minimum / zero)
        tell(f"snr_minimum_to_zero_phase_{ifo}", value, "", NO_LESS, error, note="of each signal, kept and recovered")


if __name__ == "__main__":
    main()
