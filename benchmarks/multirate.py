"""A bank of long templates, filtered in slices at several rates: its cost beside filters at one rate, and its loss.

Templates are neutron stars of chirp masses of 1 to 1.7 solar masses, 64 s from 32 Hz at 1024 Hz, in noise of O4.
"""

import numpy as np
import torch
from _clocks import core_seconds, middle
from _rows import at_least, at_most, sized, tell
from placement import LENGTH, RATE, maker, neutron_stars
from torch import Tensor

from aframe.bank.making import make_all, shapes_of
from aframe.bank.slices import SlicedTemplates
from aframe.train.architectures.filter_bank import FilterBank
from aframe.train.architectures.multirate import MultirateBank
from aframe.waveforms.source import Columns, rows

STEP, COINCIDENCE, HALF_SECOND = 32, 16, 512
MASSES = (1.0, 1.7)
TEMPLATES, AT_ONE_RATE, SIGNALS, DURATION, REPETITIONS = sized((2048, 64, 64, 64, 3), (128, 16, 16, 16, 1))
COST, LOSS, FASTER = at_most(60.0), at_most(0.01), at_least(2.0, of_full_amount=True)


def binaries() -> Columns:
    """Draws in the order of chirp mass."""
    drawn = neutron_stars(20 * TEMPLATES, 0)
    mass = drawn["chirp_mass"]
    some = np.flatnonzero((mass > MASSES[0]) & (mass < MASSES[1]))[:TEMPLATES]
    return rows(drawn, some[np.argsort(mass[some])])


def noise(rows: int, size: int) -> Tensor:
    """White noise of one detector."""
    return torch.randn(rows, 1, size, generator=torch.Generator().manual_seed(0))


def per_second(filters: FilterBank) -> tuple[float, float]:
    """Processor time of a second of a detector's stream, ms, and its scatter."""
    streams = noise(1, filters.template_size + round(DURATION * RATE))
    filters(streams)
    return middle([core_seconds(lambda: filters(streams)) / DURATION * 1e3 for _ in range(REPETITIONS)])


def loss(filters: MultirateBank, whole: Tensor, numbers: Tensor) -> Tensor:
    """Part of |z|²/2 that some signals, which equal templates, lose."""
    streams = torch.zeros(len(whole), 1, filters.receptive_field)
    streams[..., : whole.shape[1]] = 20 * whole.real[:, None]
    kept = torch.stack([filters(each[None])[0, 0, row, 0] for each, row in zip(streams, numbers, strict=True)])
    return 1 - kept / (streams.square().sum((1, 2)) / 2)


def main() -> None:
    """Print cost, loss and size."""
    torch.set_num_threads(1)
    each, columns = maker(), binaries()
    templates, columns = make_all(each, columns, shapes_of(each, columns), 1)
    assert isinstance(templates, SlicedTemplates)
    filters = MultirateBank.of_slices(templates, 1, STEP, COINCIDENCE)
    window = noise(1, filters.template_size + HALF_SECOND)
    making = core_seconds(lambda: filters(window))
    sizes = torch.tensor([[len(one) for one in basis.filters] for basis in filters._bases_of(window.device)[0]])
    rates = ", ".join(f"{RATE / shape.decimation:g}" for shape in filters.shapes)
    means = ", ".join(f"{number:.0f}" for number in sizes.float().mean(0))
    note = f"{len(templates)} templates in {len(sizes)} blocks; in each {means} at {rates} Hz"
    tell("multirate_basis_filters", int(sizes.sum()), "filters", note=note)
    tell("multirate_basis_time", making, "s a detector", note="basis filters of all blocks, once for a search")
    cost, error = per_second(filters)
    tell("multirate_encoding", cost, "ms a detector-second of a core", COST, error, note=f"{len(templates)} templates")
    spent, error = middle([core_seconds(lambda: filters(window)) * 1e3 for _ in range(REPETITIONS)])
    tell("multirate_window", spent, "ms", None, error, note=f"a window of {LENGTH + 0.5:g} s of a detector")

    numbers = torch.linspace(0, len(templates) - 1, SIGNALS).round().long()
    whole = each.make(rows(columns, numbers.numpy()), 1)
    lost = loss(filters, whole, numbers)
    tell("multirate_mean_loss", float(lost.mean()), "of the squared SNR")
    tell("multirate_worst_loss", float(lost.max()), "of the squared SNR", LOSS, note=f"{SIGNALS} templates")

    at_one_rate, error = per_second(FilterBank.of(whole[:AT_ONE_RATE], 1, STEP, COINCIDENCE))
    unit, scale = "us a template and second", 1e3 / len(whole[:AT_ONE_RATE])
    tell("multirate_at_one_rate", at_one_rate * scale, unit, None, error * scale, note="Fourier transforms of 64 s")
    faster = at_one_rate * scale / (cost * 1e3 / len(templates))
    tell("multirate_faster", faster, "times", FASTER, note="than whole templates")


if __name__ == "__main__":
    main()
