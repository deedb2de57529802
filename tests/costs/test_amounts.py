from pathlib import Path

import pytest
import torch
from terminal import run_in, write_run

from aframe import cli
from aframe.constants import GPU_FLOPS
from aframe.costs import amounts as costs
from aframe.costs.amounts import (
    ASSUMED_SHARE,
    PARAMETERS_BYTES,
    amounts,
    network,
    repairings,
    sizes,
    training_dtype,
    unmeasured,
)
from aframe.machine.precision import DTYPES, choose
from aframe.runs import blueprints
from aframe.runs.artifacts import Artifacts
from aframe.steps import planning
from aframe.train.architectures import FactorisedNetwork, MatchedFilterNetwork
from aframe.train.architectures.cost import cost

NOISE = ("--set", "data.asd=aLIGO_O4_high_asd.txt")


def run_of(directory: Path, *changes: str) -> Artifacts:
    """A small run on simulated noise."""
    return run_in(write_run(directory, *changes))


@pytest.fixture
def run(tmp_path: Path) -> Artifacts:
    return run_of(tmp_path / "run")


def test_work_follows_from_the_configuration(run: Artifacts) -> None:
    work = amounts(run)
    assert (work.training_livetime, work.testing_livetime, work.is_assumed) == (256.0, 512.0, False)
    assert work.trained == 2 * 6 * 32
    rate = run.config.search.inference_sampling_rate
    assert work.validated == 2 * 600 * rate
    grid = planning.time_slides(run)
    windows = sum(grid.slide(0, 256.0, 0).windows for _ in range(2))
    assert work.scored >= 3000 * rate + windows
    assert work.injected == 16 * (2 * 0.25 + 1.5) * rate
    assert work.injected_strain == 16 * (2 * 0.25 + 1.5 + 1.5)
    units = planning.units_over(run, [(1262304256.0, 256.0), (1262304512.0, 256.0)])
    assert work.units == len(units)
    assert work.encoded == 256.0 * sum(len(list(unit.by_segment())) for unit in units)


def test_open_data_are_estimated_before_their_times_are_known(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", "data.source=gwosc", "data.train_stop=1262305000", "data.test_stop=1262307000")
    work = amounts(run)
    assert work.is_assumed
    assert work.training_livetime == pytest.approx(ASSUMED_SHARE * 1000, abs=200)
    assert work.testing_livetime == pytest.approx(ASSUMED_SHARE * 2000, abs=200)


def test_the_network_is_that_of_the_training(run: Artifacts) -> None:
    built = network(run)
    assert isinstance(built, FactorisedNetwork)
    assert (built.num_ifos, built.kernel_size) == (2, run.config.search.kernel_size)
    assert repairings(run) == 7
    assert training_dtype(run, "cpu") == DTYPES[choose("cpu")]


def test_a_bank_that_is_not_made_yet_is_noise(tmp_path: Path) -> None:
    small = ("--set", "bank.size=16", "--set", "train.model.architecture.groups=8")
    cli.main(["init", str(tmp_path / "run"), "--config", "demo", *small])
    built = network(run_in(tmp_path / "run"))
    assert isinstance(built, MatchedFilterNetwork)
    measured = built.measure(torch.randn(1, 2, built.kernel_size, generator=torch.Generator().manual_seed(0)))
    assert measured.shape == (1, 2, 16, built.window_steps)
    assert 1 < measured.median() < 10  # as of templates of unit norm


def test_a_new_search_and_the_doctor_agree_on_gpu_time(tmp_path: Path) -> None:
    cli.main(["init", str(tmp_path / "run"), "--config", "bbh-joint"])
    run = run_in(tmp_path / "run")
    flops = cost(network(run), run.config.search.stride_size, windows=8).slide_flops
    rate = blueprints.GPU_WINDOW_RATE
    assert rate == pytest.approx(GPU_FLOPS / flops, rel=0.01)


def test_sizes_of_files_follow_from_their_content(tmp_path: Path) -> None:
    run, stored = run_of(tmp_path / "run"), run_of(tmp_path / "other", "inference.embeddings_cache=2")
    work = amounts(run)
    written = sizes(run, work, rejected=3.0, parameters=1000)
    rate, wave = run.config.search.sample_rate, 4 * run.config.waveforms.waveform_duration * 1024
    assert written["FetchStrain train"] == 256 * rate * 8 * 2
    assert written["GenerateTrainingWaveforms"] == 64 * 2 * wave
    assert written["GenerateValidationWaveforms"] == 16 * 2 * wave
    kept = 2 * wave if run.config.injections.store_waveforms else 0
    assert written["GenerateInjections"] == 16 * (kept + 4 * PARAMETERS_BYTES)
    assert sizes(stored, work, 3.0, 1000)["ScoreSlides"] == written["ScoreSlides"] + 2e9


def test_of_a_large_bank_of_long_templates_a_part_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory and time of the doctor do not grow with the bank."""
    cli.main(["init", str(tmp_path / "run"), "--config", "demo", "--set", "train.model.architecture.groups=8"])
    run = run_in(tmp_path / "run")
    assert unmeasured(run) == 1
    monkeypatch.setattr(costs, "FEWEST_TEMPLATES", 16)
    monkeypatch.setattr(costs, "MOST_TEMPLATE_SAMPLES", 24 * 3328)
    built = network(run)
    assert isinstance(built, MatchedFilterNetwork)
    assert built.templates == 24
    assert built.templates * unmeasured(run) == run.config.bank.size


def test_injections_are_scored_where_templates_end(tmp_path: Path) -> None:
    """A second of windows for each, whatever the length of the templates."""
    cli.main(["init", str(tmp_path / "run"), "--config", "bns", "--set", "data.source=simulated", *NOISE])
    run = run_in(tmp_path / "run")
    work, number = amounts(run), run.config.injections.num_injections
    assert work.injected == number * 8 * 1.0
    assert work.injected_strain == number * (64.75 + 1.0)
