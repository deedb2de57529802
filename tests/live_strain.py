"""Strain, networks and arrivals for the tests of the search as it runs."""

from collections.abc import Sequence
from pathlib import Path

import lal
import lalframe
import numpy as np
import torch
from small_networks import small_networks

from aframe.events.cluster import Clustering
from aframe.online.arrivals import Arrival
from aframe.preprocessing import ZERO_PHASE, Preprocessing, Whitening
from aframe.train.model import Model

RATE = 256.0
START = 1_400_000_000.0


def live_model(kind: str = "matched_filter", ifos: tuple[str, ...] = ("H1", "L1"), phase: str = ZERO_PHASE) -> Model:
    """A small network of a kind, with blocks of 4 s."""
    whitening = Whitening(RATE, 4.0, 1.0, 1.0, 4.0, 20.0, None, phase)
    preprocessing = Preprocessing(ifos, 1.0, 4.0, (0.25, 0.75), whitening)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = small_networks(len(ifos), preprocessing.kernel_size)[kind]()
    return Model(network.eval().requires_grad_(False), preprocessing)


def clustering_of(model: Model, integration: float = 0.25, cluster: float = 4.0) -> Clustering:
    return Clustering(
        model.preprocessing.inference_sampling_rate, integration, cluster, model.preprocessing.coalescence_offset
    )


def noise(
    duration: float, rate: float = RATE, ifos: Sequence[str] = ("H1", "L1"), seed: int = 3
) -> dict[str, np.ndarray]:
    """White noise whose level drifts, so that the PSDs of blocks differ."""
    random, size = np.random.default_rng(seed), round(duration * rate)
    drift = 1 + 0.5 * np.sin(2 * np.pi * np.arange(size) / rate / 7)
    return {ifo: 1e-21 * drift * random.standard_normal(size) for ifo in ifos}


def pieces_of(
    strain: dict[str, np.ndarray], rate: float = RATE, start: float = START, length: float = 1.0
) -> list[Arrival]:
    """The strain as it would arrive, in pieces."""
    size = round(length * rate)
    total = max(map(len, strain.values()))
    return [
        Arrival(ifo, start + first / rate, rate, data[first : first + size], start)
        for first in range(0, total, size)
        for ifo, data in strain.items()
    ]


def write_frame(
    path: Path, strain: dict[str, np.ndarray], start: float, rate: float, state: dict[str, int] | None = None
) -> None:
    """Write a frame with strain, and with a state vector of 16 Hz that has one value."""
    duration = len(next(iter(strain.values()))) / rate
    file = lalframe.FrameUFrFileOpen(str(path), "w")
    frame = lalframe.FrameNew(lal.LIGOTimeGPS(start), duration, "LIGO", 0, 0, 0)
    for ifo, data in strain.items():
        name = f"{ifo}:GDS-CALIB_STRAIN"
        series = lal.CreateREAL8TimeSeries(name, lal.LIGOTimeGPS(start), 0.0, 1 / rate, lal.StrainUnit, len(data))
        series.data.data = data
        lalframe.FrameAddREAL8TimeSeriesProcData(frame, series)
    for ifo, value in (state or {}).items():
        name = f"{ifo}:GDS-CALIB_STATE_VECTOR"
        size = round(16 * duration)
        bits = lal.CreateUINT4TimeSeries(name, lal.LIGOTimeGPS(start), 0.0, 1 / 16, lal.DimensionlessUnit, size)
        bits.data.data = np.full(size, value, np.uint32)
        lalframe.FrameAddUINT4TimeSeriesProcData(frame, bits)
    lalframe.FrameUFrameHWrite(file, frame)


def frame_name(ifo: str, start: float, duration: float = 1.0) -> str:
    return f"{ifo[0]}-{ifo}_llhoft-{start:.0f}-{duration:.0f}.gwf"
