import dataclasses

import pytest
from terminal import run_in, write_run

from aframe.runs.artifacts import Artifacts
from aframe.runs.plain_bank import PlainBankSearch


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    return run_in(write_run(tmp_path_factory.mktemp("run") / "run"))


def test_the_plain_bank_searches_the_same_data_into_a_folder_of_its_own(run: Artifacts) -> None:
    search = PlainBankSearch.of(run)
    for name in ("injections", "rejected", "bank", "training_waveforms"):
        assert getattr(search, name) == getattr(run, name)
    folder = f"{run.directories.results}/limit"
    assert (search.model, search.events("background")) == (f"{folder}/model.pt", f"{folder}/background.hdf5")
    changed = {"kernel_length"}, {"integration_window_length"}
    for section, names in zip(("search", "inference"), changed, strict=True):
        ours, theirs = run.config.parameters(section), search.config.parameters(section)
        assert {name.partition(".")[2] for name in ours if ours[name] != theirs[name]} == names


@pytest.mark.parametrize(("rate", "length"), [(8.0, 3.75), (2.0, 4.25)])
def test_a_window_holds_a_template_and_half_a_second_or_two_strides(run: Artifacts, rate: float, length: float) -> None:
    search = dataclasses.replace(run.config.search, inference_sampling_rate=rate)
    chosen = PlainBankSearch.of(dataclasses.replace(run, config=dataclasses.replace(run.config, search=search))).config
    assert chosen.search.kernel_length == length
    assert chosen.inference.integration_window_length == 1 / rate


def test_its_events_depend_on_the_bank_and_not_on_the_network(run: Artifacts) -> None:
    parameters = PlainBankSearch.of(run).event_parameters
    assert "bank.minimum_match" in parameters
    assert "injections.snr_threshold" in parameters
    assert not [name for name in parameters if name.startswith("train.")]
