"""What each stage of a run costs: disk, hours of cores and of a GPU, and time on this machine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aframe.costs.amounts import OPEN_BYTES, OPEN_RATE, Amounts, sizes
from aframe.costs.rates import Rates
from aframe.machine.processes import cores
from aframe.progress.lines import in_words
from aframe.runs.artifacts import Artifacts
from aframe.runs.stages import RunStage, stages_of

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
        stage: Its name.
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
        "FetchStrain train": (made.training_livetime * rates.simulated, 0.0),
        "FetchStrain test": (made.testing_livetime * rates.simulated, 0.0),
        "GenerateTrainingWaveforms": (signals.num_training_waveforms * rates.waveform, 0.0),
        "GenerateValidationWaveforms": (signals.num_validation_waveforms * rates.accepted, 0.0),
        "GenerateInjections": (run.config.injections.num_injections * rates.accepted, 0.0),
        "Train": (
            made.trained * rates.trained + made.validated * rates.scored,
            made.trained * rates.gpu_trained + made.validated * rates.gpu_scored,
        ),
        "Export": (STARTING, 0.0),
        "ScoreSlides": (
            made.encoded * rates.whitened + made.scored * rates.scored + made.injected * evaluated + again,
            made.encoded * rates.gpu_encoded
            + made.scored * rates.gpu_scored
            + made.injected * FORWARD * rates.gpu_trained,
        ),
        "SensitiveVolume": (STARTING, 0.0),
        "Report": (STARTING, 0.0),
    }
    download = dict(zip(("FetchStrain train", "FetchStrain test"), downloads(run, made), strict=True))

    def cost(stage: RunStage) -> Cost:
        of_cores, of_gpu = work[stage.task]
        computing = of_gpu if rates.device == "cuda" and of_gpu else of_cores / cores()
        seconds = STARTING + computing + download.get(stage.task, 0.0) / DOWNLOAD_SPEED
        return Cost(stage.name, written.get(stage.task, 0.0), of_cores, of_gpu, seconds)

    return [cost(stage) for stage in stages_of(run) if stage.task in work]


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
