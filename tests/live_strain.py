"""Strain, networks and arrivals for the tests of the search as it runs."""

from collections.abc import Sequence

import numpy as np
import torch
from small_networks import small_networks

from aframe.events.cluster import Clustering
from aframe.online.arrivals import Arrival
from aframe.preprocessing import Preprocessing, Whitening
from aframe.train.model import Model

RATE = 256.0
START = 1_400_000_000.0


def live_model(kind: str = "matched_filter", ifos: tuple[str, ...] = ("H1", "L1")) -> Model:
    """A small network of a kind, with blocks of 4 s."""
    whitening = Whitening(RATE, 4.0, 1.0, 1.0, 4.0, 20.0, None)
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
