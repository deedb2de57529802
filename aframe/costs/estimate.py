"""Estimate the cost of each stage of a run: disk space, hours of cores and of a GPU, and time on this machine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aframe.costs.amounts import OPEN_DATA_RATE, OPEN_DATA_SAMPLE_BYTES, Amounts, sizes
from aframe.costs.rates import Rates
from aframe.machine.processes import cores
from aframe.progress.lines import in_words
from aframe.runs.artifacts import Artifacts
from aframe.runs.stages import RunStage, stages_of

DOWNLOAD_BYTES_PER_SECOND = 1e7
"""Assumed speed of downloads of open data, bytes/s."""

STAGE_OVERHEAD_SECONDS = 10.0
"""Time of every stage to start processes and load networks, s."""

DRAWS_PER_TEMPLATE = 10
"""Number of draws for each template of a bank."""


@dataclass(frozen=True)
class Cost:
    """Cost of a stage.

    Attributes:
        stage: Name of the stage.
        bytes: Disk space, bytes.
        core_seconds: Time of cores without a GPU, s.
        gpu_seconds: Time of a GPU for the network's part instead, s. 0 without such a part.
        seconds: Wall time on this machine, s.
    """

    stage: str
    bytes: float
    core_seconds: float
    gpu_seconds: float
    seconds: float


def estimate(run: Artifacts, amounts: Amounts, rates: Rates) -> list[Cost]:
    """Estimate the cost of each stage.

    Args:
        run: The run.
        amounts: The run's amounts of work.
        rates: Speed of this machine.
    """
    written = sizes(run, amounts, rates.rejected, rates.parameters)
    signals = run.config.waveforms
    strain, windows = amounts.encoded + amounts.injected_strain, amounts.scored + amounts.injected
    again = 0.0 if run.config.injections.store_waveforms else run.config.injections.num_injections * rates.waveform
    work = {
        "FetchStrain train": (amounts.training_livetime * rates.simulated, 0.0),
        "FetchStrain test": (amounts.testing_livetime * rates.simulated, 0.0),
        "GenerateTrainingWaveforms": (signals.num_training_waveforms * rates.waveform, 0.0),
        "GenerateValidationWaveforms": (signals.num_validation_waveforms * rates.accepted, 0.0),
        "TemplateBank": (DRAWS_PER_TEMPLATE * run.config.bank.size * rates.waveform, 0.0),
        "GenerateInjections": (run.config.injections.num_injections * rates.accepted, 0.0),
        "Train": (
            amounts.trained * rates.trained + amounts.validated * rates.scored,
            amounts.trained * rates.gpu_trained + amounts.validated * rates.gpu_scored,
        ),
        "Export": (STAGE_OVERHEAD_SECONDS, 0.0),
        "ScoreSlides": (
            strain * rates.whitened + windows * rates.scored + again,
            strain * rates.gpu_encoded + windows * rates.gpu_scored,
        ),
        "SensitiveVolume": (STAGE_OVERHEAD_SECONDS, 0.0),
        "Report": (STAGE_OVERHEAD_SECONDS, 0.0),
    }
    work["Tune"] = (run.study_trials * work["Train"][0], run.study_trials * work["Train"][1])
    download = dict(zip(("FetchStrain train", "FetchStrain test"), downloads(run, amounts), strict=True))

    def cost(stage: RunStage) -> Cost:
        of_cores, of_gpu = work[stage.task]
        computing = of_gpu if rates.device == "cuda" and of_gpu else of_cores / cores()
        seconds = STAGE_OVERHEAD_SECONDS + computing + download.get(stage.task, 0.0) / DOWNLOAD_BYTES_PER_SECOND
        return Cost(stage.name, written.get(stage.task, 0.0), of_cores, of_gpu, seconds)

    return [cost(stage) for stage in stages_of(run) if stage.task in work]


def downloads(run: Artifacts, amounts: Amounts) -> tuple[float, float]:
    """Size of the open data for training and for testing, bytes.

    Args:
        run: The run.
        amounts: The run's amounts of work.
    """
    if run.config.data.source != "gwosc":
        return 0.0, 0.0
    rate = len(run.config.search.ifos) * OPEN_DATA_RATE * OPEN_DATA_SAMPLE_BYTES
    return amounts.training_livetime * rate, amounts.testing_livetime * rate


def table(costs: Sequence[Cost], left: Sequence[str]) -> Iterator[str]:
    """Lines of a table of costs. It marks finished stages.

    Args:
        costs: Costs of all stages.
        left: Names of the unfinished stages.
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
    """Format a number with two digits, which is more than the accuracy of an estimate.

    >>> number(0.0021), number(1.26), number(1234.5)
    ('< 0.01', '1.3', '1200')
    """
    if value == 0:
        return "0"
    if value < 0.01:
        return "< 0.01"
    return f"{float(f'{value:.2g}'):g}"
