"""How fast this machine does the work of a run, by doing a little of it; and how fast a GPU would, by count."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from aframe.constants import GPU_FLOPS, GPU_WINDOWS
from aframe.costs.amounts import network, repairings, training_dtype
from aframe.inference.scorers import TorchScorer
from aframe.machine.precision import DTYPES, resolve, trainer_dtype
from aframe.machine.processes import cores
from aframe.runs.artifacts import Artifacts
from aframe.spectral import power_spectral_density, whiten_stream
from aframe.steps.planning import time_slides
from aframe.steps.strain import curve_path
from aframe.steps.waveforms import signal_source
from aframe.strain.simulate import load_asd, simulate
from aframe.train.architectures import Network
from aframe.train.architectures.cost import cost
from aframe.train.architectures.network import count_parameters
from aframe.train.model import Model
from aframe.waveforms.priors import draw
from aframe.waveforms.sieve import Selection, accepted_signals

CURVE = "aLIGO_O4_high_asd.txt"
"""Noise in which signals are judged where the run's own is not there yet."""

WAVES, ACCEPTED, STRETCH = 32, 24, 256.0
"""Waveforms and accepted signals that are made, and seconds of noise that are simulated, whitened and encoded."""

SECONDS = 2.0
"""For what is repeated: steps of training, and scoring."""

FEW_WINDOWS, MANY_WINDOWS = 8, 512
"""Windows with which it begins, and that it takes at most if they are quick."""


@dataclass(frozen=True)
class Rates:
    """Time that work takes: of one core in all but training, which takes all of them.

    Attributes:
        waveform: Core-seconds to make a waveform.
        accepted: Core-seconds to find a signal that is loud enough.
        rejected: Draws that are rejected for each.
        simulated: Core-seconds a second of simulated strain, all detectors.
        whitened: Core-seconds a second of strain that is whitened and encoded, all detectors.
        scored: Core-seconds to score a window of a slide.
        trained: Core-seconds to train with a window.
        gpu_trained: GPU-seconds to train with a window.
        gpu_encoded: GPU-seconds a second of strain that is encoded.
        gpu_scored: GPU-seconds to score a window of a slide.
        parameters: Of the network.
        device: What scored and trained when it was measured: cpu or cuda.
    """

    waveform: float
    accepted: float
    rejected: float
    simulated: float
    whitened: float
    scored: float
    trained: float
    gpu_trained: float
    gpu_encoded: float
    gpu_scored: float
    parameters: int
    device: str


def measure(run: Artifacts) -> Rates:
    """Do a little of each stage's work: some ten seconds, more with slow waveforms."""
    search, made = run.config.search, network(run)
    asd = run.config.data.asd if run.config.data.source == "simulated" else None
    curve = load_asd(curve_path(run.config, asd or CURVE))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    devices = dict.fromkeys(("cpu", device))
    trained = {each: _step(made, training_dtype(run, each), 1 + repairings(run) / 2, each) for each in devices}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        begun = time.process_time()
        noise = [
            torch.from_numpy(simulate(curve, ifo, 0.0, STRETCH, search.sample_rate, seed=0)) for ifo in search.ifos
        ]
        simulated = (time.process_time() - begun) / STRETCH
        wave, accepted, rejected = _signals(run, noise)
        scored = {each: _inference(run, made, noise, each) for each in devices}
    finally:
        torch.set_num_threads(threads)
    counted = cost(made, search.stride_size, windows=FEW_WINDOWS)
    per_window = counted.encoder_flops + counted.head_flops * (1 + repairings(run) / 2)
    by_count = (
        max(3 * per_window / GPU_FLOPS, 3 / GPU_WINDOWS),
        counted.encoder_flops / search.kernel_length / GPU_FLOPS,
        max(counted.slide_flops / GPU_FLOPS, 1 / GPU_WINDOWS),
    )
    gpu = (trained["cuda"], *scored["cuda"]) if device == "cuda" else by_count
    parameters = count_parameters(made)
    return Rates(wave, accepted, rejected, simulated, *scored["cpu"], trained["cpu"], *gpu, parameters, device)


def training_seconds(run: Artifacts, training_yaml: str, precision: str, device: str) -> float:
    """Seconds by the clock in which this machine trains with a window, if it does nothing else: some steps are done.

    Args:
        run: The run.
        training_yaml: The training's YAML.
        precision: Lightning's name.
        device: Type of the device that trains.
    """
    pairings = 1 + repairings(run, training_yaml) / 2
    seconds = _step(network(run, training_yaml), trainer_dtype(precision), pairings, device)
    return seconds / cores() if device == "cpu" else seconds


def _signals(run: Artifacts, noise: list[torch.Tensor]) -> tuple[float, float, float]:
    """Seconds for a waveform, and for a signal that is loud enough; draws that are rejected for each of these."""
    search, source, rng = run.config.search, replace(signal_source(run.config), workers=1), np.random.default_rng(0)
    columns = draw(source.population, WAVES, rng)
    begun = time.process_time()
    source.generator.generate(columns, 1)
    wave = (time.process_time() - begun) / WAVES
    psds = torch.stack([power_spectral_density(each, search.sample_rate, search.fftlength) for each in noise])
    chosen = Selection(search.ifos, psds, search.highpass, search.lowpass, run.config.injections.snr_threshold)
    drawn = np.zeros(2)
    marks = []
    for number in (ACCEPTED, 3 * ACCEPTED):  # what a task does but once is in both
        begun = time.process_time()
        for accepted, rejected in accepted_signals(source, chosen, number, rng, store_waveforms=False):
            drawn += len(accepted), len(rejected)
        marks.append(time.process_time() - begun)
    return wave, max(marks[1] - marks[0], marks[1] / 10) / (2 * ACCEPTED), float(drawn[1] / drawn[0])


def _inference(run: Artifacts, made: Network, noise: list[torch.Tensor], device: str) -> tuple[float, float]:
    """Seconds for a second of strain that is whitened and encoded, and for a window that is scored."""
    preprocessing = time_slides(run).preprocessing
    scorer = TorchScorer(Model(made.eval(), preprocessing), DTYPES[resolve(run.precision("scoring"), device)], device)
    clock = _clock(device)
    begun = clock()
    streams = torch.stack([whiten_stream(each.to(device), preprocessing.whitening).data for each in noise])
    embedded = next(scorer.encode_each(iter([streams[None]])))[0]
    embedded.sum().item()
    whitened = (clock() - begun) / (streams.shape[-1] / preprocessing.whitening.sample_rate)

    def score(windows: int) -> Callable[[], object]:
        steps = (windows - 1) * scorer.hop + scorer.network.window_steps
        return lambda: next(scorer.fuse_each(iter([[each[..., :steps] for each in embedded]])))

    return whitened, _per_window(score, device)


def _step(made: Network, kind: torch.dtype, pairings: float, device: str) -> float:
    """Seconds for a window of a training step: of all cores together, or of the GPU."""
    own = made.to(device).train()

    def step(number: int) -> Callable[[], object]:
        windows = torch.randn(number, own.num_ifos, own.kernel_size, device=device)

        def work() -> float:
            with torch.autocast(device, dtype=kind, enabled=kind in (torch.bfloat16, torch.float16)):
                embeddings = own.encode_windows(windows)
                fused = torch.cat([embeddings] * max(1, round(pairings)), dim=1)
                loss = own.fuse_windows(fused).float().square().mean()
            loss.backward()
            return float(loss.detach())

        return work

    seconds = _per_window(step, device)
    made.zero_grad()
    made.cpu()
    return seconds


def _per_window(work: Callable[[int], Callable[[], object]], device: str) -> float:
    """Seconds for a window: with as many at once as take no more than a part of the time that there is."""
    first = _fastest(work(FEW_WINDOWS), device, 0.0) / FEW_WINDOWS
    number = int(min(max(SECONDS / 8 / first, FEW_WINDOWS), MANY_WINDOWS))
    return _fastest(work(number), device, SECONDS) / number


def _fastest(work: Callable[[], object], device: str, seconds: float) -> float:
    """Seconds of the fastest of some turns, of which the first, which may take longer, does not count."""
    clock, best = _clock(device), float("inf")
    work()
    end = time.perf_counter() + seconds
    while best == float("inf") or time.perf_counter() < end:
        begun = clock()
        work()
        best = min(best, clock() - begun)
    return max(best, 1e-9)


def _clock(device: str) -> Callable[[], float]:
    """Time that cores work, whatever else the machine does; of a GPU, which nobody else uses, time that passes."""
    return time.perf_counter if device == "cuda" else time.process_time
