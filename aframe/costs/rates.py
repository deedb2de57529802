"""Measure this machine's speed on small parts of a run's work, and calculate a GPU's speed from operations."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from aframe.constants import GPU_FLOPS, GPU_WINDOWS
from aframe.costs.amounts import network, repairings, training_dtype, unmeasured
from aframe.inference.scorers import TorchScorer
from aframe.machine.precision import DTYPES, resolve, trainer_dtype
from aframe.machine.processes import cores
from aframe.runs.artifacts import Artifacts
from aframe.steps.planning import time_slides
from aframe.steps.strain import noise_curves
from aframe.steps.waveforms import signal_source
from aframe.strain.simulate import simulate
from aframe.train.architectures import Network
from aframe.train.architectures.cost import cost
from aframe.train.architectures.network import count_parameters
from aframe.train.model import Model
from aframe.waveforms.population import draw
from aframe.waveforms.sieve import Selection, accepted_signals
from aframe.whitening import power_spectral_density, whiten_stream

MEASURED_WAVEFORMS = 32
"""Number of waveforms in the measurement."""

MEASURED_SIGNALS = 24
"""Number of accepted signals in the first part of the measurement. The second part has three times as many."""

MEASURED_NOISE_SECONDS = 256.0
"""Shortest duration of the noise that is simulated, whitened and encoded, s."""

SCORED_SECONDS = 80.0
"""Duration of the noise after the first PSD and the first window, s. It holds ``MOST_WINDOWS`` at the usual rates."""

MEASUREMENT_SECONDS = 2.0
"""Time for repeated steps of training, and for repeated scoring, s."""

FEWEST_WINDOWS, FEWEST_SAMPLES = 8, 2**17
"""Number of windows in the first measurement, and of their samples, which limits it for long windows."""

MOST_WINDOWS = 512
"""Largest number of windows in the second measurement."""


@dataclass(frozen=True)
class Rates:
    """Time per amount of work. Training uses all cores, all other work one core.

    Attributes:
        waveform: Time to generate a waveform, core-seconds.
        accepted: Time to find a signal that is loud enough, core-seconds.
        rejected: Number of rejected draws per accepted signal.
        simulated: Time to simulate a second of strain of all detectors, core-seconds.
        whitened: Time to whiten and encode a second of strain of all detectors, core-seconds.
        scored: Time to score a window of a slide, core-seconds.
        trained: Time to train with a window, core-seconds.
        gpu_trained: Time to train with a window, GPU-seconds.
        gpu_encoded: Time to encode a second of strain, GPU-seconds.
        gpu_scored: Time to score a window of a slide, GPU-seconds.
        parameters: Number of the network's parameters.
        device: Device of the measured scoring and training: cpu or cuda.
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
    """Measure a small part of each stage's work. It takes about ten seconds, more with slow waveforms."""
    search, net = run.config.search, network(run)
    curves = noise_curves(run.config)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    devices = dict.fromkeys(("cpu", device))
    trained = {each: _step(net, training_dtype(run, each), 1 + repairings(run) / 2, each) for each in devices}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        start = time.process_time()
        rate = search.sample_rate
        duration = max(MEASURED_NOISE_SECONDS, search.psd_length + search.kernel_length + SCORED_SECONDS)
        noise = [torch.from_numpy(simulate(curves[ifo], ifo, 0.0, duration, rate, seed=0)) for ifo in search.ifos]
        simulated = (time.process_time() - start) / duration
        wave, accepted, rejected = _signals(run, noise)
        scored = {each: _inference(run, net, noise, each) for each in devices}
    finally:
        torch.set_num_threads(threads)
    operations = cost(net, search.stride_size, windows=FEWEST_WINDOWS)
    per_window = operations.encoder_flops + operations.head_flops * (1 + repairings(run) / 2)
    calculated = (
        max(3 * per_window / GPU_FLOPS, 3 / GPU_WINDOWS),
        operations.encoder_flops / search.kernel_length / GPU_FLOPS,
        max(operations.slide_flops / GPU_FLOPS, 1 / GPU_WINDOWS),
    )
    gpu = (trained["cuda"], *scored["cuda"]) if device == "cuda" else calculated
    parameters, more = count_parameters(net), unmeasured(run)  # filters cost in proportion to their number
    (whitened, per_slide), gpu_trained, gpu_encoded, gpu_scored = scored["cpu"], *gpu
    return Rates(
        wave, accepted, rejected, simulated, more * whitened, per_slide, more * trained["cpu"], more * gpu_trained,
        more * gpu_encoded, gpu_scored, parameters, device,
    )  # fmt: skip


def training_seconds(run: Artifacts, training_yaml: str, precision: str, device: str) -> float:
    """Measure the wall time in seconds of training with one window, if this machine does nothing else.

    Args:
        run: The run.
        training_yaml: Path of the training's YAML.
        precision: Lightning's name of the precision.
        device: Type of the device that trains.
    """
    pairings = 1 + repairings(run, training_yaml) / 2
    seconds = _step(network(run, training_yaml), trainer_dtype(precision), pairings, device)
    return seconds / cores() if device == "cpu" else seconds


def _signals(run: Artifacts, noise: list[torch.Tensor]) -> tuple[float, float, float]:
    """Seconds per waveform, seconds per signal that is loud enough, and rejected draws per such signal."""
    search, source, rng = run.config.search, replace(signal_source(run.config), workers=1), np.random.default_rng(0)
    columns = draw(source.population, MEASURED_WAVEFORMS, rng)
    start = time.process_time()
    source.generator.generate(columns, 1)
    wave = (time.process_time() - start) / MEASURED_WAVEFORMS
    psds = torch.stack([power_spectral_density(each, search.sample_rate, search.fftlength) for each in noise])
    chosen = Selection(search.ifos, psds, search.highpass, search.lowpass, run.config.injections.snr_threshold)
    drawn = np.zeros(2)
    marks = []
    for number in (MEASURED_SIGNALS, 3 * MEASURED_SIGNALS):  # both include the work that a task does once
        start = time.process_time()
        for accepted, rejected in accepted_signals(source, chosen, number, rng, store_waveforms=False):
            drawn += len(accepted), len(rejected)
        marks.append(time.process_time() - start)
    return wave, max(marks[1] - marks[0], marks[1] / 10) / (2 * MEASURED_SIGNALS), float(drawn[1] / drawn[0])


def _inference(run: Artifacts, net: Network, noise: list[torch.Tensor], device: str) -> tuple[float, float]:
    """Seconds to whiten and encode a second of strain, and to score a window."""
    preprocessing = time_slides(run).preprocessing
    scorer = TorchScorer(Model(net.eval(), preprocessing), DTYPES[resolve(run.precision("scoring"), device)], device)
    clock = _clock(device)

    def encode() -> torch.Tensor:
        streams = torch.stack([whiten_stream(each.to(device), preprocessing.whitening).data for each in noise])
        embedded = next(scorer.encode_each(iter([streams[None]])))[0]
        embedded.sum().item()
        return embedded

    encode()  # prepares the filters, once for a run
    start = clock()
    embedded = encode()
    whitening = preprocessing.whitening
    whitened = (clock() - start) / (len(noise[0]) / whitening.sample_rate - whitening.psd_length)

    def score(windows: int) -> Callable[[], object]:
        steps = (windows - 1) * scorer.hop + scorer.network.window_steps
        return lambda: next(scorer.fuse_each(iter([[each[..., :steps] for each in embedded]])))

    return whitened, _per_window(score, device)


def _fewest(net: Network) -> int:
    """Number of windows in the first measurement. A minute of strain in each takes long enough alone."""
    return max(1, min(FEWEST_WINDOWS, FEWEST_SAMPLES // net.kernel_size))


def _step(net: Network, kind: torch.dtype, pairings: float, device: str) -> float:
    """Seconds of a training step per window, of all cores together or of the GPU."""
    moved = net.to(device).train()

    def step(number: int) -> Callable[[], object]:
        windows = torch.randn(number, moved.num_ifos, moved.kernel_size, device=device)

        def work() -> float:
            with torch.autocast(device, dtype=kind, enabled=kind in (torch.bfloat16, torch.float16)):
                embeddings = moved.encode_windows(windows)
                fused = torch.cat([embeddings] * max(1, round(pairings)), dim=1)
                loss = moved.fuse_windows(fused).float().square().mean()
            loss.backward()
            return float(loss.detach())

        return work

    seconds = _per_window(step, device, _fewest(net))
    net.zero_grad()
    net.cpu()
    return seconds


def _per_window(work: Callable[[int], Callable[[], object]], device: str, fewest: int = FEWEST_WINDOWS) -> float:
    """Seconds per window. The number of windows in parallel depends on their speed."""
    first = _fastest(work(fewest), device, 0.0) / fewest
    number = int(min(max(MEASUREMENT_SECONDS / 8 / first, fewest), MOST_WINDOWS))
    return _fastest(work(number), device, MEASUREMENT_SECONDS) / number


def _fastest(work: Callable[[], object], device: str, seconds: float) -> float:
    """Seconds of the fastest of several repetitions. The first one can be slower and does not count."""
    clock, best = _clock(device), float("inf")
    work()
    end = time.perf_counter() + seconds
    while best == float("inf") or time.perf_counter() < end:
        start = clock()
        work()
        best = min(best, clock() - start)
    return max(best, 1e-9)


def _clock(device: str) -> Callable[[], float]:
    """Clock of a device.

    For the CPU, it is the time of this process on all cores, so that other processes do not matter. For a GPU, which no
    other process uses, it is the wall time.
    """
    return time.perf_counter if device == "cuda" else time.process_time
