"""A file for parameter estimation, such as AMPLFI's: the strain around an event, its PSDs, and what the search says.

The strain has the layout of ``aframe infer``, which therefore searches and draws these files too.
"""

from collections.abc import Mapping

import torch

from aframe import storage
from aframe.errors import DataError
from aframe.online.live_event import LiveEvent
from aframe.online.outbox import HANDOVER
from aframe.preprocessing import Whitening, to_samples
from aframe.strain.resample import Stretch
from aframe.types import Array
from aframe.whitening import power_spectral_density

SCHEMA = "aframe-handover-1"
"""Name and version of the layout."""


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
