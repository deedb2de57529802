from pathlib import Path

import pytest
from terminal import environment_of, write_run

from aframe.costs import estimate as costs
from aframe.costs.amounts import Amounts
from aframe.costs.rates import Rates
from aframe.runs.artifacts import Artifacts
from aframe.runs.directories import Directories
from aframe.settings.read import load_config

AMOUNTS = Amounts(1e4, 2e4, False, 3e5, 1e6, 5e4, 2e7, 1e3, 3e3, 4)
RATES = Rates(0.01, 0.1, 2.0, 1e-3, 2e-3, 1e-5, 3e-3, 3e-6, 1e-6, 1e-6, 1000, "cpu")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artifacts:
    monkeypatch.setattr(costs, "cores", lambda: 4)
    directory = write_run(tmp_path / "run")
    config = load_config(str(directory / "sandbox.cfg"))
    return Artifacts(config, Directories.from_environment(environment_of(directory)))


def test_costs_are_amounts_times_rates(run: Artifacts) -> None:
    by_stage = {cost.stage: cost for cost in costs.estimate(run, AMOUNTS, RATES)}
    assert by_stage["testing strain"].core_seconds == pytest.approx(20)
    assert by_stage["testing strain"].seconds == pytest.approx(costs.STAGE_OVERHEAD_SECONDS + 5)
    assert by_stage["training waveforms"].core_seconds == pytest.approx(64 * 0.01)
    trained = by_stage["trained model"]
    assert trained.core_seconds == pytest.approx(3e5 * 3e-3 + 1e6 * 1e-5)
    assert trained.gpu_seconds == pytest.approx(3e5 * 3e-6 + 1e6 * 1e-6)
    again = 0.0 if run.config.injections.store_waveforms else 16 * 0.01
    scored = (5e4 + 3e3) * 2e-3 + (2e7 + 1e3) * 1e-5
    assert by_stage["scored slides"].core_seconds == pytest.approx(scored + again)


def test_with_a_gpu_the_network_waits_for_it_and_not_for_cores(run: Artifacts) -> None:
    values = {**RATES.__dict__, "device": "cuda"}
    by_stage = {cost.stage: cost for cost in costs.estimate(run, AMOUNTS, Rates(**values))}
    trained = by_stage["trained model"]
    assert trained.seconds == pytest.approx(costs.STAGE_OVERHEAD_SECONDS + trained.gpu_seconds)
    assert by_stage["validation waveforms"].seconds == pytest.approx(costs.STAGE_OVERHEAD_SECONDS + 16 * 0.1 / 4)


def test_the_table_has_a_line_for_each_stage_and_all(run: Artifacts) -> None:
    estimated = costs.estimate(run, AMOUNTS, RATES)
    lines = list(costs.table(estimated, [cost.stage for cost in estimated[2:]]))
    assert lines[0].split() == ["stage", "GB", "on", "disk", "core-hours", "or", "GPU-hours", "time", "here"]
    assert [line.endswith("(done)") for line in lines[1:]] == [True, True, *[False] * (len(lines) - 3)]
    assert len({len(line.removesuffix("  (done)")) for line in lines}) == 1
    assert lines[-1].startswith("all ")
    hours = sum(cost.core_seconds for cost in estimated) / 3600
    assert costs.number(hours) in lines[-1].split()
