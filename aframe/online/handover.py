"""A file for parameter estimation, such as AMPLFI's: the strain around an event, its PSDs, and what the search says.

The strain has the layout of ``aframe infer``, which therefore searches and draws these files too.
"""

import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch

from aframe import storage
from aframe.errors import AframeError, DataError
from aframe.events.cluster import Clustering
from aframe.inference.closeup import needed_stretch, usual_extent
from aframe.online.arrivals import Arrival
from aframe.online.live_event import LiveEvent
from aframe.online.outbox import HANDOVER
from aframe.online.strain_memory import StrainMemory
from aframe.preprocessing import Whitening, to_samples
from aframe.strain.resample import EDGE_DURATION, Stretch, resample
from aframe.train.model import Model
from aframe.types import Array
from aframe.whitening import power_spectral_density

SCHEMA = "aframe-handover-1"
"""Name and version of the layout."""

PATIENCE = 60.0
"""Time after which a hand-over whose strain has not all come is given up, s of newer strain."""

logger = logging.getLogger("aframe.online")


@dataclass(frozen=True)
class Reach:
    """Strain around an event that a hand-over holds. A close-up needs as much.

    Attributes:
        before: Time before the event, s.
        after: Time after it, s.
    """

    before: float
    after: float

    @classmethod
    def of(cls, model: Model, clustering: Clustering) -> "Reach":
        """What a close-up needs, and the PSD before it.

        Args:
            model: Network and preprocessing.
            clustering: Settings that turn scores into events.
        """
        start, stop = needed_stretch(0.0, usual_extent(clustering), model, clustering)
        whitening = model.preprocessing.whitening
        margin = whitening.fduration + EDGE_DURATION
        return cls(whitening.psd_length + margin - start, stop + margin)


class Handovers:
    """Writes hand-overs of events once the strain after them has come, in a thread of its own.

    Args:
        directory: Output directory of the search.
        ifos: Detectors that a hand-over must have.
        whitening: Numbers of the search's PSDs.
        reach: Strain that a hand-over holds.
    """

    def __init__(self, directory: str, ifos: Iterable[str], whitening: Whitening, reach: Reach) -> None:
        self._directory, self._ifos, self._whitening, self._reach = directory, tuple(ifos), whitening, reach
        self._memory = StrainMemory(reach.before + reach.after + PATIENCE)
        self._waiting: list[LiveEvent] = []
        self._writer = ThreadPoolExecutor(1, "aframe-handover")

    def add(self, arrivals: Iterable[Arrival]) -> None:
        """Keep strain, and begin to write what is complete now.

        Args:
            arrivals: What arrived.
        """
        self._memory.add(arrivals)
        for event in list(self._waiting):
            start, stop = event.time - self._reach.before, event.time + self._reach.after
            pieces = (
                [self._memory.stretch(ifo, start, stop) for ifo in self._ifos] if self._memory.latest >= stop else []
            )
            strain = {piece.ifo: piece for piece in pieces if piece is not None}
            if len(strain) == len(self._ifos):
                self._waiting.remove(event)
                self._writer.submit(self._write, event, strain)
            elif self._memory.latest > stop + PATIENCE:
                self._waiting.remove(event)
                logger.warning("no hand-over of %s: not all strain around it has come", event.name)

    def want(self, event: LiveEvent) -> None:
        """Write a hand-over of an event as soon as its strain has come. It stands in for that of earlier revisions.

        Args:
            event: The event, which is on disk.
        """
        self._waiting = [*(each for each in self._waiting if each.identifier != event.identifier), event]

    def close(self) -> None:
        """Wait for what is being written."""
        for event in self._waiting:
            logger.warning("no hand-over of %s: the search ends before the strain after it has come", event.name)
        self._writer.shutdown()

    def _write(self, event: LiveEvent, strain: Mapping[str, Stretch]) -> None:
        rate = self._whitening.sample_rate
        try:
            resampled = {ifo: resample(stretch, rate) for ifo, stretch in strain.items()}
            whole = {ifo: stretch for ifo, stretch in resampled.items() if stretch is not None}
            write_handover(self._directory, event, whole, self._whitening)
        except (AframeError, OSError) as error:
            logger.warning("no hand-over of %s: %s", event.name, error)


def write_handover(directory: str, event: LiveEvent, strain: Mapping[str, Stretch], whitening: Whitening) -> str:
    """Write the hand-over of an event into ``handover``. It appears when it is complete.

    Root attributes: ``schema``, ``event`` (the event's document as JSON), ``identifier``, ``revision``, ``time_gps_s``.
    Each detector is a group with the attributes ``snr``, ``time_gps_s`` and ``phase_rad``, and the datasets ``strain``
    (attributes ``x0``, GPS s of the first sample, and ``dx``, s) and ``psd`` (one-sided, 1/Hz, from 0 Hz on, with the
    attributes ``resolution_hz``, ``start_gps_s`` and ``stop_gps_s``).

    Args:
        directory: Output directory of the search, local or remote.
        event: The event.
        strain: Strain around it by detector. It begins at least ``psd_length`` before what is to be analysed.
        whitening: Numbers of the search's PSDs.

    Returns:
        Path of the file.

    Raises:
        DataError: If a detector's strain does not reach from before the signal to the event.
        StorageError: If the file cannot be written.
    """
    psds = {ifo: _psd(stretch, event, whitening) for ifo, stretch in strain.items()}
    path = storage.join(directory, HANDOVER, f"{event.name}.hdf5")
    with storage.create_hdf5(path) as file:
        file.attrs.update(
            schema=SCHEMA, event=event.text(), identifier=event.identifier, revision=event.revision,
            time_gps_s=event.time,
        )  # fmt: skip
        for ifo, stretch in strain.items():
            group = file.create_group(ifo)
            view = event.detectors.get(ifo)
            if view is not None:
                group.attrs.update(snr=view.snr, time_gps_s=view.time, phase_rad=view.phase)
            series = group.create_dataset("strain", data=stretch.data)
            series.attrs.update(x0=stretch.start, dx=1 / stretch.sample_rate, unit="strain")
            psd, stop = psds[ifo]
            spectrum = group.create_dataset("psd", data=psd)
            resolution = stretch.sample_rate / 2 / (len(psd) - 1)
            spectrum.attrs.update(resolution_hz=resolution, start_gps_s=stretch.start, stop_gps_s=stop, unit="1 / Hz")
    return path


def _psd(stretch: Stretch, event: LiveEvent, whitening: Whitening) -> tuple[Array, float]:
    """PSD of the strain from its beginning on, and the GPS s where the strain of the PSD ends.

    Raises:
        DataError: If there is too little strain before the event.
    """
    stop = stretch.start + whitening.psd_length
    if not stop < event.time < stretch.stop:
        raise DataError(
            f"{event.name}: strain of {stretch.ifo} from {stretch.start:.3f} to {stretch.stop:.3f} has no "
            f"{whitening.psd_length:g} s of noise before the event at {event.time:.3f}: keep more of it"
        )
    size = to_samples(whitening.psd_length, stretch.sample_rate, "psd_length")
    noise = torch.from_numpy(stretch.data[:size])
    return power_spectral_density(noise, stretch.sample_rate, whitening.fftlength).numpy(), stop
