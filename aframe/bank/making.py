"""Making all templates of a bank in bounded memory, long ones as slices."""

import numpy as np
import torch

from aframe.bank import slices
from aframe.bank.slices import Shape, SlicedTemplates
from aframe.bank.templates import TemplateMaker, Templates
from aframe.errors import DataError
from aframe.machine.parallel import in_slices, one_thread, shared_array
from aframe.waveforms.source import Columns, rows

BYTES_PER_SAMPLE = 8
"""Bytes of a sample of a template: a complex number in single precision."""

CHUNK = 8
"""Number of templates that a process makes at once."""

PLANNED = 32
"""Number of templates that choose the rates of slices, evenly in the order of chirp mass."""

HELD = 2
"""Copies of a bank that a network holds while it takes its templates."""


def shapes_of(maker: TemplateMaker, columns: Columns) -> tuple[Shape, ...]:
    """Choose the slices of long templates; none for short ones, which stay whole.

    Args:
        maker: Maker of the templates.
        columns: Columns of draws, the lightest and the heaviest binaries among them.
    """
    if not slices.is_long(maker.size):
        return ()
    order = np.argsort(columns["chirp_mass"])
    some = order[np.linspace(0, len(order) - 1, min(PLANNED, len(order))).round().astype(int)]
    templates = maker.make(rows(columns, some))
    finite = _finite(templates)
    return slices.plan(templates[finite]) if finite.any() else ()


def check_memory(maker: TemplateMaker, shapes: tuple[Shape, ...], size: int, free: float) -> None:
    """Refuse a bank that does not fit into memory, before any work.

    Args:
        maker: Maker of the templates.
        shapes: Slices of a template; none for a whole one.
        size: Largest number of templates.
        free: Free memory, bytes.

    Raises:
        DataError: The message says how large the bank is, and how many templates would fit.
    """
    each = HELD * BYTES_PER_SAMPLE * (sum(shape.size for shape in shapes) or maker.size)
    if size * each > free:
        raise DataError(
            f"size = {size} templates of template_length = {maker.length:g} s at {maker.generator.sample_rate:g} Hz "
            f"take {size * each / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free: lower size in [luigi_bank] "
            f"to {int(free / each)} (a lower minimum_match needs fewer templates) or template_length, or take a "
            "machine with more memory"
        )


def make_all(
    maker: TemplateMaker, columns: Columns, shapes: tuple[Shape, ...], workers: int | None = None
) -> tuple[Templates | SlicedTemplates, Columns]:
    """Make templates on all cores, a few at a time, and cut long ones. Those that are not finite are left out.

    Args:
        maker: Maker of the templates.
        columns: Columns of the binaries.
        shapes: Slices of a template; none for whole ones.
        workers: Number of processes; None for all cores. The templates do not depend on it.

    Returns:
        The templates, and the columns of those that are finite.
    """
    number = len(columns["chirp_mass"])
    sizes = [shape.size for shape in shapes] or [maker.size]
    shared = [shared_array((number, 2 * size)) for size in sizes]
    series = [torch.view_as_complex(torch.from_numpy(each).unflatten(-1, (-1, 2))) for each in shared]

    def run(some: slice) -> None:
        templates = maker.make(rows(columns, some), 1)
        parts = slices.cut(templates, shapes).series if shapes else (templates,)
        for each, part in zip(series, parts, strict=True):
            each[some] = part

    with one_thread():
        in_slices(run, number, CHUNK, workers)
    finite = torch.stack([_finite(each) for each in series]).all(0)
    if not finite.all():
        series, columns = [each[finite] for each in series], rows(columns, finite.numpy())
    return SlicedTemplates(maker.size, shapes, tuple(series)) if shapes else series[0], columns


def _finite(templates: Templates) -> torch.Tensor:
    """Whether each template is finite."""
    return torch.isfinite(torch.view_as_real(templates)).all(-1).all(-1)
