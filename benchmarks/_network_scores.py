"""Scores and efficiencies of a network on noise and signals that it has not seen."""

from dataclasses import dataclass, field
from typing import Any

import torch
from _network_tables import RATES, SNR_BANDS
from _rows import sized
from torch import Tensor

from aframe.steps.training_data import RunDataModule
from aframe.train.architectures import Network
from aframe.train.augmentation import make_incoherent, network_snr
from aframe.train.metrics import partial_auroc
from aframe.train.signals import StoredSignals

TEST_SEED = 3344
"""Seed of the testing data."""

NOISE_WINDOWS, INJECTIONS, INCOHERENT = sized((200_704, 6_144, 2_048), (20_480, 2_048, 512))
"""Numbers of noise windows, of injections, and of incoherent signals of each kind."""

START_STEP = 32
"""Step of the starts of noise windows, samples. Streams are therefore encoded only once."""

BATCH = 512
"""Number of windows that are scored at once."""

CHIRP_MASSES = ((0.0, 10.0), (10.0, 20.0), (20.0, 40.0), (40.0, 1e3))
"""Ranges of chirp mass in the detector frame, solar masses."""

MASS_BAND = (9.0, 12.0)
"""Range of SNR in which efficiency is measured by chirp mass."""


@dataclass
class Catalogue:
    """Signals that record which of them were drawn last.

    Attributes:
        stored: The signals.
        chirp_mass: Chirp mass of each signal in the detector frame, solar masses.
        rows: Rows of the last drawn signals.
    """

    stored: StoredSignals
    chirp_mass: Tensor
    rows: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))

    @property
    def coalescence_sample(self) -> int:
        """See ``Signals``."""
        return self.stored.coalescence_sample

    def sample(self, number: int, generator: torch.Generator, device: torch.device) -> Tensor:
        """See ``Signals``."""
        self.rows = torch.randint(0, len(self.chirp_mass), (number,), generator=generator)
        return (self.stored.polarizations[self.rows] * self.stored.scales[self.rows, None, None]).to(device)


@torch.inference_mode()
def noise_scores(network: Network, data: RunDataModule) -> Tensor:
    """Scores of windows that start at independent times in each detector. The times are equal for all networks.

    Args:
        network: The network.
        data: Data module with the noise.
    """
    assert data.background is not None
    streams, generator = data.background.streams, torch.Generator().manual_seed(TEST_SEED)
    room = (streams.shape[-1] - data.inputs.kernel_size) // START_STEP
    starts = torch.randint(0, room, (NOISE_WINDOWS, len(streams)), generator=generator) * START_STEP
    starts += data.inputs.kernel_size - network.kernel_size  # all windows of a draw end together
    size, step = network.window_steps, network.step_size
    views = [embedded.unfold(-1, size, 1) for embedded in encoded(network, streams)]
    scores = []
    for rows in starts.split(BATCH):
        windows = torch.stack([view[:, rows[:, k] // step].transpose(0, 1) for k, view in enumerate(views)])
        scores.append(network.fuse_windows(windows))
        for row in (scores[-1] > network.followed_from).nonzero()[:, 0].tolist():
            places = rows[row].tolist()
            window = torch.stack([s[at : at + network.kernel_size] for s, at in zip(streams, places, strict=True)])
            scores[-1][row] = network.score(window[None])[0]
    return torch.cat(scores)


def encoded(network: Network, streams: Tensor) -> Tensor:
    """Embeddings of streams, computed in pieces.

    Args:
        network: The network.
        streams: Whitened strain, shape (ifos, samples).

    Returns:
        Shape (ifos, channels, steps).
    """
    steps, tile = network.steps(streams.shape[-1]), 2**17 // network.step_size
    pieces = []
    for first in range(0, steps, tile):
        last = min(steps, first + tile)
        piece = streams[:, first * network.step_size : (last - 1) * network.step_size + network.receptive_field]
        pieces.append(network.encode(piece[None])[0, ..., : last - first])
    return torch.cat(pieces, dim=-1)


@torch.inference_mode()
def signal_scores(network: Network, data: RunDataModule) -> dict[str, Tensor]:
    """Scores of injections and of incoherent signals in noise.

    Args:
        network: The network.
        data: Data module with noise and signals.

    Returns:
        Scores, and SNRs and chirp masses (solar masses) of the injections, by name.
    """
    assert data.background is not None
    assert isinstance(data.signals, Catalogue)
    result: dict[str, list[Tensor]] = {name: [] for name in ("score", "snr", "chirp_mass", "one_detector", "swapped")}
    generator = torch.Generator().manual_seed(TEST_SEED)
    none, every = torch.zeros(BATCH, dtype=torch.bool), torch.ones(BATCH, dtype=torch.bool)

    def score(windows: Tensor) -> Tensor:
        return network.score(windows[..., -network.kernel_size :].contiguous())

    for number in range(INJECTIONS // BATCH):
        noise, responses = data.background.sample(BATCH, data.inputs.kernel_size, generator, data.device)
        signals = data.make_signals(responses, generator, generator, data.snr)
        result["score"].append(score(noise + signals))
        result["snr"].append(network_snr(signals))
        result["chirp_mass"].append(data.signals.chirp_mass[data.signals.rows])
        muted = make_incoherent(signals, none, every, generator)
        swapped = make_incoherent(signals, every, none, generator)
        if number < INCOHERENT // BATCH:
            result["one_detector"].append(score(noise + muted))
            result["swapped"].append(score(noise + swapped))
    return {name: torch.cat(parts) for name, parts in result.items()}


def fraction(scores: Tensor, thresholds: tuple[float, float, float]) -> list[float]:
    """Fraction of scores above a threshold, with its errors.

    Args:
        scores: The scores.
        thresholds: The threshold, and its values at one standard deviation.

    Returns:
        The fraction, its binomial error, and its error from that of the threshold.
    """
    value, strict, loose = (float((scores > threshold).float().mean()) for threshold in thresholds)
    binomial = (max(value * (1 - value), 1 / len(scores)) / len(scores)) ** 0.5
    return [round(value, 4), round(binomial, 4), round((loose - strict) / 2, 4)]


def thresholds(noise: Tensor, rate: float) -> tuple[float, float, float]:
    """Threshold for a false positive rate.

    Args:
        noise: Scores of noise.
        rate: False positive rate, a fraction.

    Returns:
        The threshold, and its values at plus and minus one standard deviation.
    """
    ordered, number = noise.sort(descending=True).values, rate * len(noise)
    ranks = (number, number - number**0.5, number + number**0.5)
    return tuple(float(ordered[max(0, round(rank))]) for rank in ranks)  # type: ignore[return-value]


def evaluate(network: Network, data: RunDataModule) -> dict[str, Any]:
    """Evaluate a network.

    Args:
        network: The network.
        data: Data module with noise and signals.

    Returns:
        AUROC and efficiencies. Each efficiency has a binomial error and an error from that of the threshold.
    """
    noise, signals = noise_scores(network, data), signal_scores(network, data)
    score, snr, mass = signals["score"], signals["snr"], signals["chirp_mass"]
    in_band = (snr >= MASS_BAND[0]) & (snr < MASS_BAND[1])
    result: dict[str, Any] = {"auroc": round(float(partial_auroc(noise, score, 1.0)), 4)}
    for rate in RATES:
        cuts = thresholds(noise, rate)
        result[f"{rate:g}"] = {
            "snr": [fraction(score[(snr >= low) & (snr < high)], cuts) for low, high in SNR_BANDS],
            "chirp_mass": [
                fraction(score[in_band & (mass >= low) & (mass < high)], cuts) for low, high in CHIRP_MASSES
            ],
            "one_detector": fraction(signals["one_detector"], cuts),
            "swapped": fraction(signals["swapped"], cuts),
        }
    return result
