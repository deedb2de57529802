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

STEP, COINCIDENCE, HALF_SECOND, WINDOWS = 32, 16, 512, 16
MASSES = (1.0, 1.7)
TEMPLATES, AT_ONE_RATE, SIGNALS, DURATION, REPETITIONS = sized((2048, 64, 64, 64, 3), (128, 16, 16, 16, 1))
COST, LOSS, FASTER = at_most(60.0), at_most(0.01), at_least(20.0, of_full_amount=True)


def binaries() -> Columns:
    """Draws in the order of chirp mass."""
    drawn = neutron_stars(20 * TEMPLATES, 0)
    mass = drawn["chirp_mass"]
    some = np.flatnonzero((mass > MASSES[0]) & (mass < MASSES[1]))[:TEMPLATES]
    return rows(drawn, some[np.argsort(mass[some])])


def noise(rows: int, size: int) -> Tensor:
    """White noise of one detector."""
    return torch.randn(rows, 1, size, generator=torch.Generator().manual_seed(0))


def cost(filters: FilterBank, streams: Tensor) -> tuple[float, float]:
    """Processor time of a template and a stream, us, and its scatter."""
    filters(streams)
    scale = 1e6 / filters.templates / len(streams)
    return middle([core_seconds(lambda: filters(streams)) * scale for _ in range(REPETITIONS)])


def loss(filters: MultirateBank, whole: Tensor, numbers: Tensor) -> Tensor:
    """Part of |z|²/2 that some signals, which equal templates, lose."""
    streams = torch.zeros(len(whole), 1, filters.receptive_field)
    streams[..., : whole.shape[1]] = 20 * whole.real[:, None]
    kept = torch.stack([filters(each[None])[0, 0, row, 0] for each, row in zip(streams, numbers, strict=True)])
    return 1 - kept / (streams.square().sum((1, 2)) / 2)


def sizes(filters: MultirateBank) -> None:
    """Print the number of basis filters."""
    bases = filters._bases_of(filters.rows.device)[0]
    numbers = torch.tensor([[len(one) for one in basis.filters] for basis in bases])
    rates = ", ".join(f"{RATE / shape.decimation:g}" for shape in filters.shapes)
    means = ", ".join(f"{number:.0f}" for number in numbers.float().mean(0))
    note = f"{filters.templates} templates in {len(numbers)} blocks; in each {means} at {rates} Hz"
    tell("multirate_basis_filters", int(numbers.sum()), "filters", note=note)


def main() -> None:
    """Print cost, loss and size."""
    torch.set_num_threads(1)
    each, columns = maker(), binaries()
    templates, columns = make_all(each, columns, shapes_of(each, columns), 1)
    assert isinstance(templates, SlicedTemplates)
    filters = MultirateBank.of_slices(templates, 1, STEP, COINCIDENCE)
    making = core_seconds(lambda: filters._bases_of(filters.rows.device))
    sizes(filters)
    tell("multirate_basis_time", making, "s a detector", note="basis filters of all blocks, once for a search")

    stream = noise(1, filters.template_size + round(DURATION * RATE))
    windows = noise(WINDOWS, filters.template_size + HALF_SECOND)
    of_stream, of_windows = cost(filters, stream), cost(filters, windows)
    value, error = (figure * len(templates) / DURATION / 1e3 for figure in of_stream)
    tell("multirate_encoding", value, "ms a detector-second of a core", COST, error, note=f"{len(templates)} templates")
    value, error = (figure * len(templates) / 1e3 for figure in of_windows)
    note = f"{LENGTH + 0.5:g} s of a detector, {WINDOWS} at once"
    tell("multirate_window", value, "ms a window", None, error, note=note)

    numbers = torch.linspace(0, len(templates) - 1, SIGNALS).round().long()
    whole = each.make(rows(columns, numbers.numpy()), 1)
    lost = loss(filters, whole, numbers)
    tell("multirate_mean_loss", float(lost.mean()), "of the squared SNR")
    tell("multirate_worst_loss", float(lost.max()), "of the squared SNR", LOSS, note=f"{SIGNALS} templates")

    at_one_rate = FilterBank.of(whole[:AT_ONE_RATE], 1, STEP, COINCIDENCE)
    note = "Fourier transforms of whole templates cost so many times as much"
    tell("multirate_stream_gain", cost(at_one_rate, stream)[0] / of_stream[0], "times", note=note)
    tell("multirate_window_gain", cost(at_one_rate, windows)[0] / of_windows[0], "times", FASTER, note=note)


if __name__ == "__main__":
    main()
