"""How much too low false alarm rates from simulated noise are: rates of events in real and in Gaussian noise.

    python benchmarks/real_noise.py --strain DIRECTORY [--model models/demo/model.pt]

The directory has a file NAME.npz for each stretch of real strain about an event. ``strain`` is its Fourier transform,
shape (detectors, frequencies), at ``frequencies`` in Hz. ``detector_names`` has a letter for each detector, and
``tcoarse`` is the time from the start to the event in s. The default is strain_fd in $AFRAME_TEST_DATA; without it,
nothing is measured.

Windows that see the event are left out. H1 of each stretch is paired with L1 of each other one, at every second. The
Gaussian noise has the same lengths, and the PSDs of the same stretches.
"""

import argparse
import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from _rows import sized, tell

from aframe.constants import SECONDS_PER_YEAR
from aframe.events.cluster import Clustering, cluster
from aframe.preprocessing import Preprocessing
from aframe.train.architectures import Network
from aframe.train.model import load
from aframe.types import Array
from aframe.whitening import power_spectral_density, smooth_psd, whiten_whole

DETECTORS = "HL"
"""Letters of the detectors, in the order of the model."""

LONG, TAPER, SHORT_TAPER = 64.0, 16.0, 4.0
"""Length from which on a stretch is tapered for longer, and lengths of the tapers at either end, s."""

ROOM = 4.0
"""Least strain about an event that is not cut off with a taper, s."""

EVENT = 1.0
"""Seconds about an event that no window may see."""

SHIFT = 1.0
"""Step of the shifts of the detectors against each other, s."""

REALISATIONS = sized(4, 1)
"""Times that the Gaussian noise is made."""

PER_DAY = (100.0, 30.0, 10.0, 3.0)
"""Rates in Gaussian noise at which the rates are compared, events a day."""

SECONDS_PER_DAY = SECONDS_PER_YEAR / 365.25


@dataclass(frozen=True)
class Stretch:
    """Strain about an event.

    Attributes:
        name: Name of the event.
        start: GPS time of the start, s.
        strain: Strain of both detectors at the model's rate, shape (2, time).
        event: Time of the event, s from the start.
    """

    name: str
    start: float
    strain: Array
    event: float


def stretches(directory: Path, rate: float) -> list[Stretch]:
    """Read all stretches of a directory.

    Args:
        directory: The directory.
        rate: Sample rate of the result, Hz.
    """
    result = []
    for path in sorted(directory.glob("*.npz")):
        with np.load(path) as file:
            highest, names = float(file["frequencies"][-1]), str(file["detector_names"])
            spectra = file["strain"][[names.index(letter) for letter in DETECTORS]]
            event, time = float(file["tcoarse"]), float(file["tgps"])
        duration = (spectra.shape[1] - 1) / highest
        spectra = spectra[:, : round(duration * rate / 2) + 1]
        strain = np.fft.irfft(spectra) * rate
        taper = TAPER if duration >= LONG else SHORT_TAPER
        first, last = min(taper, event - ROOM), duration - min(taper, duration - event - ROOM)
        cut = slice(round(first * rate), round(last * rate))
        result.append(Stretch(path.stem, time - event + first, strain[:, cut], event - first))
    return result


def gaussian(stretch: Stretch, rate: float, rng: np.random.Generator) -> Stretch:
    """Gaussian noise with the PSDs of a stretch.

    Args:
        stretch: The stretch.
        rate: Its sample rate, Hz.
        rng: Random generator.
    """
    size = stretch.strain.shape[1]
    psd = power_spectral_density(torch.from_numpy(stretch.strain), rate, 2.0).numpy()
    grid = np.fft.rfftfreq(size, 1 / rate)
    asd = np.sqrt([np.interp(grid, np.linspace(0, rate / 2, psd.shape[1]), each) for each in psd])
    white = np.fft.rfft(rng.standard_normal(stretch.strain.shape))
    return replace(stretch, strain=np.fft.irfft(white * asd * np.sqrt(rate / 2), n=size))


@torch.inference_mode()
def events(network: Network, preprocessing: Preprocessing, noise: Sequence[Stretch]) -> tuple[Array, float]:
    """Statistics of all events, loudest first, and the time searched, s.

    Args:
        network: The network.
        preprocessing: Its preprocessing.
        noise: Stretches, of which each two are paired.
    """
    streams = [torch.stack([whiten_whole(torch.from_numpy(each), preprocessing.whitening).data for each in one.strain])
               for one in noise]  # fmt: skip
    embeddings = [network.encode(each[None])[0] for each in streams]
    rate, hop = preprocessing.inference_sampling_rate, network.hop(preprocessing.stride_size)
    clustering = Clustering(rate, 1 / rate, 8.0, preprocessing.coalescence_offset)
    found, searched = [np.empty(0)], 0.0
    for first, second in itertools.permutations(range(len(noise)), 2):
        pair = embeddings[first][0], embeddings[second][1]
        strain, seen = (streams[first][0], streams[second][1]), (noise[first].event, noise[second].event)
        for starts, windows in _slides(pair, network, preprocessing):
            steps = (windows - 1) * hop + network.window_steps
            at = [start * hop for start in starts]
            views = [each[None, :, low : low + steps] for each, low in zip(pair, at, strict=True)]
            size = (windows - 1) * preprocessing.stride_size + preprocessing.kernel_size
            low = [start * preprocessing.stride_size for start in starts]
            pieces = [each[None, begin : begin + size] for each, begin in zip(strain, low, strict=True)]
            scores = network.follow_up(network.fuse(views, hop).float(), views, pieces, hop)[0].numpy()
            for part in _without_events(scores, starts, seen, preprocessing):
                found.append(cluster(part, 0.0, clustering)[0])
                searched += len(part) / rate
    return np.sort(np.concatenate(found))[::-1], searched


def _slides(
    pair: Sequence[torch.Tensor], network: Network, preprocessing: Preprocessing
) -> Iterator[tuple[tuple[int, int], int]]:
    """First window of each detector and number of windows, of each shift with a window."""
    hop = network.hop(preprocessing.stride_size)
    first, second = ((each.shape[-1] - network.window_steps) // hop + 1 for each in pair)
    step = round(SHIFT * preprocessing.inference_sampling_rate)
    for shift in range(-(second - 1), first, step):
        begin = max(0, shift), max(0, -shift)
        yield begin, min(first - begin[0], second - begin[1])


def _without_events(
    scores: Array, starts: Sequence[int], seen: Sequence[float], preprocessing: Preprocessing
) -> Iterator[Array]:
    """Runs of scores of windows that see no event."""
    rate, half = preprocessing.inference_sampling_rate, preprocessing.whitening.fduration / 2
    is_free = np.ones(len(scores), bool)
    for start, event in zip(starts, seen, strict=True):
        begin = (start + np.arange(len(scores))) / rate + half
        is_free &= (begin > event + EVENT) | (begin + preprocessing.kernel_length < event - EVENT)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_free.astype(int), [0]])))
    for low, high in edges.reshape(-1, 2):
        yield scores[low:high]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = os.environ.get("AFRAME_TEST_DATA", "")
    parser.add_argument("--strain", type=Path, default=Path(data, "strain_fd"), help="directory of the stretches")
    shipped = Path(__file__).parents[1] / "models" / "demo" / "model.pt"
    parser.add_argument("--model", default=str(shipped), help="model that searches")
    options = parser.parse_args()
    model = load(options.model)
    network, preprocessing = model.network.eval(), model.preprocessing
    rate, rng = preprocessing.whitening.sample_rate, np.random.default_rng(0)
    real = stretches(options.strain, rate)[: sized(None, 3)]
    if len(real) < 2:
        tell("real_over_gaussian_rate", None, "ratio", note=f"no two stretches in {options.strain}")
        return
    psds = [power_spectral_density(torch.from_numpy(each.strain), rate, 1.0).log() for each in real]
    network.adapt(smooth_psd(torch.stack(psds).mean(0).exp(), rate))
    loud, searched = events(network, preprocessing, real)
    made = [events(network, preprocessing, [gaussian(each, rate, rng) for each in real]) for _ in range(REALISATIONS)]
    quiet, simulated = np.sort(np.concatenate([each for each, _ in made]))[::-1], sum(time for _, time in made)
    print(f"{searched / SECONDS_PER_DAY:.2f} days of pairs of real noise: loudest events {loud[:5].round(2)}")
    print(f"{simulated / SECONDS_PER_DAY:.2f} days of Gaussian noise: {quiet[:5].round(2)}")
    for per_day in PER_DAY:
        number = round(per_day * simulated / SECONDS_PER_DAY)
        if not 3 <= number < len(quiet):
            continue
        threshold = quiet[number - 1]
        louder = int((loud >= threshold).sum())
        ratio = louder / searched / (number / simulated)
        tell(f"real_over_gaussian_rate_at_{per_day:g}_a_day", ratio, f"ratio above {threshold:.1f}",
             error=ratio * (1 / max(louder, 1) + 1 / number) ** 0.5)  # fmt: skip


if __name__ == "__main__":
    main()
