"""What each stage of a run costs: disk, hours of cores and of a GPU, and time on this machine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aframe.artifacts import Artifacts
from aframe.costs.amounts import OPEN_BYTES, OPEN_RATE, Amounts, sizes
from aframe.costs.rates import Rates
from aframe.processes import cores
from aframe.progress import in_words

DOWNLOAD_SPEED = 1e7
"""Bytes a second at which open data are taken to arrive."""

STARTING = 10.0
"""Seconds that each stage takes whatever it does: processes start, networks load."""

FORWARD = 1 / 3
"""Share of a training step that is the network's evaluation."""


@dataclass(frozen=True)
class Cost:
    """Of a stage.

    Attributes:
        stage: As ``aframe status`` calls it.
        bytes: On disk.
        core_seconds: Without a GPU.
        gpu_seconds: Of a GPU that does the network's part instead; 0 where there is none.
        seconds: On this machine, by the clock.
    """

    stage: str
    bytes: float
    core_seconds: float
    gpu_seconds: float
    seconds: float


def estimate(run: Artifacts, made: Amounts, rates: Rates) -> list[Cost]:
    """What each stage costs.

    Args:
        run: The run.
        made: Its amounts of work.
        rates: How fast this machine does it.
    """
    written = sizes(run, made, rates.rejected, rates.parameters)
    signals = run.config.waveforms
    evaluated = FORWARD * rates.trained
    again = 0.0 if run.config.injections.store_waveforms else run.config.injections.num_injections * rates.waveform
    work = {
        "training strain": (made.training_livetime * rates.simulated, 0.0),
        "testing strain": (made.testing_livetime * rates.simulated, 0.0),
        "training waveforms": (signals.num_training_waveforms * rates.waveform, 0.0),
        "validation waveforms": (signals.num_validation_waveforms * rates.accepted, 0.0),
        "testing injections": (run.config.injections.num_injections * rates.accepted, 0.0),
        "trained model": (
            made.trained * rates.trained + made.validated * rates.scored,
            made.trained * rates.gpu_trained + made.validated * rates.gpu_scored,
        ),
        "exported model": (STARTING, 0.0),
        "scored slides": (
            made.encoded * rates.whitened + made.scored * rates.scored + made.injected * evaluated + again,
            made.encoded * rates.gpu_encoded
            + made.scored * rates.gpu_scored
            + made.injected * FORWARD * rates.gpu_trained,
        ),
        "sensitive volume and candidates": (STARTING, 0.0),
        "report": (STARTING, 0.0),
    }
    if not run.stores_training_waveforms:
        del work["training waveforms"]
    download = dict(zip(("training strain", "testing strain"), downloads(run, made), strict=True))

    def seconds(stage: str, of_cores: float, of_gpu: float) -> float:
        computing = of_gpu if rates.device == "cuda" and of_gpu else of_cores / cores()
        return STARTING + computing + download.get(stage, 0.0) / DOWNLOAD_SPEED

    return [Cost(stage, written.get(stage, 0.0), *times, seconds(stage, *times)) for stage, times in work.items()]


def downloads(run: Artifacts, made: Amounts) -> tuple[float, float]:
    """Bytes of open data that training and testing fetch."""
    if run.config.data.source != "gwosc":
        return 0.0, 0.0
    rate = len(run.config.search.ifos) * OPEN_RATE * OPEN_BYTES
    return made.training_livetime * rate, made.testing_livetime * rate


def table(costs: Sequence[Cost], left: Sequence[str]) -> Iterator[str]:
    """Lines of a table of costs, with what is left to do.

    Args:
        costs: Of all stages.
        left: Stages that are not done yet.
    """
    yield f"{'stage':32}{'GB on disk':>11}{'core-hours':>12}{'or GPU-hours':>14}{'time here':>12}"
    for cost in costs:
        yield _line(cost, "" if cost.stage in left else "  (done)")
    total = Cost(
        "all", sum(c.bytes for c in costs), sum(c.core_seconds for c in costs), sum(c.gpu_seconds for c in costs),
        sum(c.seconds for c in costs),
    )  # fmt: skip
    yield _line(total, "")


def _line(cost: Cost, remark: str) -> str:
    gpu = number(cost.gpu_seconds / 3600) if cost.gpu_seconds else ""
    amounts = f"{number(cost.bytes / 1e9):>11}{number(cost.core_seconds / 3600):>12}{gpu:>14}"
    return f"{cost.stage:32}{amounts}{in_words(cost.seconds):>12}{remark}"


def number(value: float) -> str:
    """Two digits, which is more than an estimate knows.

    >>> number(0.0021), number(1.26), number(1234.5)
    ('< 0.01', '1.3', '1200')
    """
    if value == 0:
        return "0"
    if value < 0.01:
        return "< 0.01"
    return f"{float(f'{value:.2g}'):g}"
