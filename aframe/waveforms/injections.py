"""Signals with which a search is measured: each at a time, in a time slide of a segment."""

from collections.abc import Iterator

import numpy as np
import torch

from aframe.errors import DataError
from aframe.tables import InjectionTable, RejectedTable
from aframe.waveforms.placement import Placement, injection_times
from aframe.waveforms.projection import detector_geometry, greenwich_mean_sidereal_time, project
from aframe.waveforms.sieve import Selection, accepted_signals, angles, batches
from aframe.waveforms.source import Progress, SignalSource, waveform_generator


def injection_set(
    source: SignalSource,
    selection: Selection,
    placement: Placement,
    number: int,
    rng: np.random.Generator,
    *,
    store_waveforms: bool,
    progress: Progress | None = None,
) -> Iterator[tuple[InjectionTable, RejectedTable]]:
    """Signals for one segment and time slide, loud enough in the segment's own noise.

    Args:
        source: Population and waveforms.
        selection: Detectors, the segment's PSDs, and the threshold.
        placement: Where they may lie; where more fit than are wanted, places are chosen at random.
        number: How many.
        rng: Everything random comes from here.
        store_waveforms: Whether the tables have the detectors' responses, or parameters alone (``with_responses``).
        progress: Called after each batch.

    Yields:
        In batches: accepted signals, coalescing at the geocentre ``right_pad`` before their waveforms' ends, at
        ``injection_time``; and the rejected draws.

    Raises:
        DataError: If fewer fit.
    """
    p = placement
    times = injection_times(p, rng)
    if number > len(times):
        raise DataError(
            f"{number} injections do not fit between GPS {p.start} and {p.stop} at spacing = {p.spacing} s: "
            f"{len(times)} do; ask for fewer, or lessen spacing"
        )
    times = times[np.sort(rng.choice(len(times), number, replace=False))]
    made = accepted_signals(
        source, selection, number, rng, gps_times=times, store_waveforms=store_waveforms, progress=progress
    )
    done = 0
    for accepted, rejected in made:
        time = times[done : done + len(accepted)]
        shift = np.tile(np.asarray(p.shift, dtype=np.float64), (len(time), 1))
        columns = {**accepted.parameters, "injection_time": time, "shift": shift}
        yield InjectionTable(columns, accepted.waveforms, accepted.attributes), rejected
        done += len(accepted)


def with_responses(table: InjectionTable, path: str, workers: int | None = None) -> InjectionTable:
    """A table with the responses of its detectors: those that it has, or else made anew from its parameters.

    Args:
        table: Injections.
        path: Where they come from, for the error.
        workers: Processes that make waveforms, all cores when None.

    Raises:
        DataError: If it has no waveforms and does not say how they were made.
    """
    if table.waveforms:
        return table
    generator = waveform_generator(table.attributes, path)
    ifos = [str(ifo) for ifo in table.attributes["ifos"]]
    geometry = detector_geometry(ifos)
    plus, cross = map(torch.from_numpy, generator.generate(table.parameters, workers))
    hour = table["ra"] - greenwich_mean_sidereal_time(table["injection_time"])
    ra, dec, psi = angles({**table.parameters, "ra": hour})
    responses = torch.empty(len(table), len(ifos), generator.size)
    for b in batches(len(table)):
        responses[b] = project(plus[b], cross[b], geometry, ra[b], dec[b], psi[b], generator.sample_rate)
    channels = {ifo.lower(): responses[:, d].numpy() for d, ifo in enumerate(ifos)}
    return InjectionTable(table.parameters, channels, table.attributes)
