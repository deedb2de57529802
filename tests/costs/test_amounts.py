from pathlib import Path

import pytest
from terminal import run_in, write_run

from aframe import cli
from aframe.constants import GPU_FLOPS
from aframe.costs.amounts import ASSUMED_SHARE, PARAMETERS_BYTES, amounts, network, repairings, sizes, training_dtype
from aframe.machine.precision import DTYPES, choose
from aframe.runs import blueprints
from aframe.runs.artifacts import Artifacts
from aframe.steps import planning
from aframe.train.architectures import FactorisedNetwork
from aframe.train.architectures.cost import cost


def run_of(directory: Path, *changes: str) -> Artifacts:
    """A small run on simulated noise."""
    return run_in(write_run(directory, *changes))


@pytest.fixture
def run(tmp_path: Path) -> Artifacts:
    return run_of(tmp_path / "run")


def test_work_is_that_which_the_configuration_says(run: Artifacts) -> None:
    made = amounts(run)
    assert (made.training_livetime, made.testing_livetime, made.is_assumed) == (256.0, 512.0, False)
    assert made.trained == 2 * 6 * 32
    rate = run.config.search.inference_sampling_rate
    assert made.validated == 2 * 600 * rate
    grid = planning.time_slides(run)
    windows = sum(grid.slide(0, 256.0, 0).windows for _ in range(2))
    assert made.scored >= 3000 * rate + windows
    assert made.injected == 16 * (run.config.waveforms.waveform_duration + 1.5) * rate
    units = planning.units_over(run, [(1262304256.0, 256.0), (1262304512.0, 256.0)])
    assert made.units == len(units)
    assert made.encoded == 256.0 * sum(len(list(unit.by_segment())) for unit in units)


def test_open_data_that_nobody_has_asked_for_are_guessed(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", "data.source=gwosc", "data.train_stop=1262305000", "data.test_stop=1262307000")
    made = amounts(run)
    assert made.is_assumed
    assert made.training_livetime == pytest.approx(ASSUMED_SHARE * 1000, abs=200)
    assert made.testing_livetime == pytest.approx(ASSUMED_SHARE * 2000, abs=200)


def test_the_network_is_that_of_the_training(run: Artifacts) -> None:
    made = network(run)
    assert isinstance(made, FactorisedNetwork)
    assert (made.num_ifos, made.kernel_size) == (2, run.config.search.kernel_size)
    assert repairings(run) == 7
    assert training_dtype(run, "cpu") == DTYPES[choose("cpu")]


def test_a_new_search_is_told_the_gpu_time_that_the_doctor_counts(tmp_path: Path) -> None:
    cli.main(["init", str(tmp_path / "run"), "--config", "bbh"])
    run = run_in(tmp_path / "run")
    flops = cost(network(run), run.config.search.stride_size, windows=8).slide_flops
    told = blueprints.GPU_WINDOW_RATE
    assert told == pytest.approx(GPU_FLOPS / flops, rel=0.01)


def test_files_are_as_large_as_what_is_in_them(tmp_path: Path) -> None:
    run, stored = run_of(tmp_path / "run"), run_of(tmp_path / "other", "inference.embeddings_cache=2")
    made = amounts(run)
    written = sizes(run, made, rejected=3.0, parameters=1000)
    rate, wave = run.config.search.sample_rate, 4 * run.config.waveforms.waveform_duration * 1024
    assert written["FetchStrain train"] == 256 * rate * 8 * 2
    assert written["GenerateTrainingWaveforms"] == 64 * 2 * wave
    assert written["GenerateValidationWaveforms"] == 16 * 2 * wave
    kept = 2 * wave if run.config.injections.store_waveforms else 0
    assert written["GenerateInjections"] == 16 * (kept + 4 * PARAMETERS_BYTES)
    assert sizes(stored, made, 3.0, 1000)["ScoreSlides"] == written["ScoreSlides"] + 2e9
