from pathlib import Path

import pytest

from aframe import cli
from aframe.checks.signals import losses
from aframe.commands.init import CONFIGURATIONS
from aframe.runs.artifacts import Artifacts
from aframe.runs.directories import Directories
from aframe.settings.read import load_config

HOME = "aframe.waveforms.priors"


def run_with(directory: Path, config: str, *changes: str) -> Artifacts:
    options = [word for change in changes for word in ("--set", change)]
    cli.main(["init", str(directory), "--config", config, *options])
    folders = {name: str(directory / name) for name in ("train_data", "test_data", "train_run", "condor", "results")}
    return Artifacts(load_config(str(directory / "sandbox.cfg")), Directories(**folders))


@pytest.mark.parametrize("config", sorted(CONFIGURATIONS.keys() - {"all"}))
def test_shipped_configurations_hold_their_signals(config, tmp_path):
    assert list(losses(run_with(tmp_path / "run", config))) == []


def test_of_all_binaries_templates_hold_all_but_a_percent_of_neutron_stars(tmp_path):
    (text,) = losses(run_with(tmp_path / "run", "all"))
    assert text.startswith(f"prior = {HOME}.bns: template_length = 64.25 s holds 64 s before coalescence, and 1.")


def test_long_signals_and_short_waveforms(tmp_path):
    texts = list(losses(run_with(tmp_path / "run", "demo", f"waveforms.prior={HOME}.bns")))
    assert len(texts) == 2
    assert f"prior = {HOME}.bns: waveform_duration = 4 s holds 3 s before coalescence, and " in texts[0]
    assert "template_length = 3.25 s holds 3 s" in texts[1]
    share = float(texts[0].partition("and ")[2].partition("%")[0])
    assert 25 < share < 75


def test_each_population_of_a_mixture_is_named(tmp_path):
    prior = f"waveforms.prior=0.5 * {HOME}.demo_bbh, 0.5 * {HOME}.nsbh"
    texts = list(losses(run_with(tmp_path / "run", "demo", prior)))
    assert texts
    assert all(text.startswith(f"prior = {HOME}.nsbh: ") for text in texts)


def test_a_sample_rate_below_the_mergers(tmp_path):
    changes = (f"waveforms.prior={HOME}.bns", "search.sample_rate=256", "waveforms.waveform_duration=72")
    texts = list(losses(run_with(tmp_path / "run", "demo", *changes, "bank.template_length=64.25")))
    assert len(texts) == 1
    assert texts[0].endswith("of the squared SNR is above half of sample_rate = 256 Hz, on average: raise sample_rate")
