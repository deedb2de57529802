"""Sets of injections, each with a time and a time slide of a segment, to measure a search."""

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
    """Generate injections for one segment and time slide, above the SNR threshold in the segment's noise.

    Args:
        source: Population and waveforms.
        selection: Detectors, PSDs of the segment, and the threshold.
        placement: Possible times of injections. If there are more than ``number``, the choice is random.
        number: Number of injections.
        rng: Source of all randomness.
        store_waveforms: Whether the tables include the detectors' responses. Otherwise they hold parameters alone
            (``with_responses``).
        progress: Function to call after each batch.

    Yields:
        Batches of accepted signals and of rejected draws. Signals coalesce at the geocentre at ``injection_time``,
        ``right_pad`` before the ends of their waveforms.

    Raises:
        DataError: If the placement has fewer than ``number`` times.
    """
    p = placement
    times = injection_times(p, rng)
    if number > len(times):
        raise DataError(
            f"{number} injections do not fit between GPS {p.start} and {p.stop} at spacing = {p.spacing} s: "
            f"{len(times)} do; choose fewer, or lessen spacing"
        )
    times = times[np.sort(rng.choice(len(times), number, replace=False))]
    batches_of_signals = accepted_signals(
        source, selection, number, rng, gps_times=times, store_waveforms=store_waveforms, progress=progress
    )
    count = 0
    for accepted, rejected in batches_of_signals:
        time = times[count : count + len(accepted)]
        shift = np.tile(np.asarray(p.shift, dtype=np.float64), (len(time), 1))
        columns = {**accepted.parameters, "injection_time": time, "shift": shift}
        yield InjectionTable(columns, accepted.waveforms, accepted.attributes), rejected
        count += len(accepted)


def with_responses(table: InjectionTable, path: str, workers: int | None = None) -> InjectionTable:
    """Add the responses of the detectors to a table. A table that has responses does not change.

    Args:
        table: Injections.
        path: Path of the table, for error messages.
        workers: Number of processes; None for all cores.

    Raises:
        DataError: If the table has neither responses nor the attributes to compute them.
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
