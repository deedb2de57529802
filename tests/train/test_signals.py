import dataclasses
import re
from pathlib import Path

import pytest
import torch
from bilby.core import prior as priors
from scipy import stats

from aframe.constants import SOLAR_MASS_SECONDS
from aframe.errors import ConfigurationError, DataError
from aframe.settings.read import load_config
from aframe.steps import training_cli
from aframe.steps.training_data import RunDataModule, signal_model
from aframe.steps.training_yaml import yaml_conflicts, yaml_mistakes
from aframe.tables import PolarizationTable
from aframe.train import model
from aframe.train.signals import GeneratedSignals, StoredSignals, generated_signals
from aframe.waveforms.on_device import OnDeviceGenerator
from aframe.waveforms.polarizations import WaveformGenerator
from aframe.waveforms.priors import Population, demo_bbh

CPU = torch.device("cpu")
SCALE = 1e22  # strain near one, so that squares stay within single precision


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def make(approximant="IMRPhenomPv2", **changes):
    """Signals of the demo's population, or of one with some other priors."""
    prior = demo_bbh().prior
    population = Population(type(prior)({**prior, **changes}), False)
    return GeneratedSignals(population, OnDeviceGenerator(WaveformGenerator(approximant, 1024.0, 4.0, 1.0, 20.0, 50.0)))


def yaml(prepared: Path, waveforms: str) -> str:
    """A training file with another choice of waveforms."""
    path = prepared / f"{waveforms}.yaml"
    path.write_text((prepared / "train.yaml").read_text().replace("waveforms: stored", f"waveforms: {waveforms}"))
    return str(path)


@pytest.mark.usefixtures("ml4gw")
def test_signals_are_new_each_time_and_the_same_for_the_same_generator():
    signals, generator = make(), seeded(1)
    first, second = (signals.sample(8, generator, CPU) for _ in range(2))
    assert first.shape == (8, 2, 4096)
    assert first.dtype == torch.float32
    assert torch.equal(first, signals.sample(8, seeded(1), CPU))
    both = torch.cat([first, second]).flatten(1) * SCALE
    both = both / both.norm(dim=1, keepdim=True)
    assert ((both @ both.T).abs() > 0.999).sum() == 16  # each one is like itself alone


@pytest.mark.usefixtures("ml4gw")
def test_signals_have_the_populations_masses_and_coalesce_in_one_place():
    """A binary is loudest just before coalescence, and most of its ringdown ends soon after."""
    equal = {"mass_1": priors.DeltaFunction(40.0), "mass_2": priors.DeltaFunction(30.0), "a_1": priors.DeltaFunction(0)}
    signals = make(**equal, a_2=priors.DeltaFunction(0), redshift=priors.Uniform(0.1, 0.2))
    waves = signals.sample(16, seeded(2), CPU) * SCALE
    early = signals.coalescence_sample - waves.square().sum(1).argmax(-1)
    assert signals.coalescence_sample == 3 * 1024
    assert ((early > 0) & (early / 1024 < 25 * 70 * 1.2 * SOLAR_MASS_SECONDS)).all()
    after = waves[..., signals.coalescence_sample + 100 :]
    assert (after.abs().amax((1, 2)) < 0.05 * waves.abs().amax((1, 2))).all()


@pytest.mark.usefixtures("ml4gw")
def test_draws_that_give_no_waveform_are_replaced():
    signals = make(a_1=priors.Uniform(0.5, 1.5))
    waves = signals.sample(32, seeded(3), CPU)
    assert waves.isfinite().all()
    assert (waves != 0).any(-1).all()
    number = len(torch.unique(waves[:, 0], dim=0))
    assert stats.binomtest(number, 32, 0.5).pvalue > 1e-3


@pytest.mark.usefixtures("ml4gw")
def test_a_population_that_the_approximant_cannot_make_is_refused():
    with pytest.raises(DataError, match="IMRPhenomD makes no finite waveform of 16 draws"):
        make("IMRPhenomD").sample(2, seeded(4), CPU)
    aligned = {name: priors.DeltaFunction(0.0) for name in ("tilt_1", "tilt_2")}
    assert make("IMRPhenomD", **aligned).sample(2, seeded(4), CPU).isfinite().all()


def test_stored_signals_are_rows_of_the_file(prepared, run):
    run("rows")
    path = str(prepared / "train_data" / "training_waveforms.hdf5")
    table = PolarizationTable.read(path, waveforms=True)
    stored = torch.stack([torch.from_numpy(table.waveforms[name]) for name in ("plus", "cross")], 1)
    for dtype, tolerance in ((torch.float32, 1e-6), (torch.float16, 2**-11)):
        signals = StoredSignals.read(path, 512.0, lambda shape, dtype=dtype: torch.empty(shape, dtype=dtype))
        assert signals.coalescence_sample == 512
        waves = signals.sample(4000, seeded(5), CPU)
        assert waves.dtype == torch.float32
        nearest = torch.cdist(waves.flatten(1)[:50] * SCALE, stored.flatten(1) * SCALE).argmin(1)
        assert (
            (waves[:50] - stored[nearest]).abs().amax((1, 2)) <= tolerance * stored[nearest].abs().amax((1, 2))
        ).all()
        assert len(torch.unique(waves[:, 0, :], dim=0)) == 60


@pytest.mark.usefixtures("ml4gw")
def test_a_batch_depends_on_the_generator_alone(prepared, run, monkeypatch, tmp_path):
    """And no file of waveforms to train with is needed."""
    run("generated")
    for path in (prepared / "train_data").iterdir():
        if path.name != "training_waveforms.hdf5":
            (tmp_path / path.name).symlink_to(path)
    monkeypatch.setenv("AFRAME_TRAIN_DATA_DIR", str(tmp_path))
    data = RunDataModule(waveforms="generated", batch_size=64, waveform_prob=0.5)
    data.setup("fit")
    batch = data.make_batch(1)
    assert torch.equal(batch.windows, data.make_batch(1).windows)
    assert not torch.equal(batch.windows, data.make_batch(2).windows)
    generator = seeded(3)
    assert data.background is not None
    _, responses = data.background.sample(1000, data.inputs.kernel_size, generator, CPU)
    snr = data.make_signals(responses, generator, generator, data.snr).double().square().sum((1, 2)).sqrt().numpy()
    assert stats.kstest(snr, lambda x: (x**-2.0 - 4**-2.0) / (100**-2.0 - 4**-2.0)).pvalue > 1e-3


@pytest.mark.usefixtures("ml4gw")
def test_training_on_generated_signals_is_reproducible(prepared, run):
    path = yaml(prepared, "generated")
    trained = []
    for name in ("once", "again"):
        directory = run(name)
        training_cli.main(["fit", "--config", path, "--trainer.max_epochs", "2"])
        trained.append(model.load(str(directory / "model.pt")).network.state_dict())
    directory = run("stored")
    training_cli.main(["fit", "--config", str(prepared / "train.yaml"), "--trainer.max_epochs", "2"])
    stored = model.load(str(directory / "model.pt")).network.state_dict()
    assert all(torch.equal(tensor, trained[1][name]) for name, tensor in trained[0].items())
    assert any(not torch.equal(tensor, stored[name]) for name, tensor in trained[0].items())


def test_the_choice_is_shown_with_all_others(capsys):
    with pytest.raises(SystemExit):
        training_cli.main(["fit", "--print_config"])
    assert "  waveforms: stored\n" in capsys.readouterr().out


def test_an_unknown_choice_is_an_error(prepared):
    assert yaml_mistakes(str(prepared / "train.yaml")) == []
    (mistake,) = yaml_mistakes(yaml(prepared, "invented"))
    assert re.search(r"\.yaml:\d+: data\.waveforms = 'invented' must be stored or generated$", mistake)


@pytest.mark.usefixtures("ml4gw")
def test_an_approximant_that_cannot_be_generated_is_an_error_before_anything_is_read(prepared, run):
    run("other")
    whole = load_config(str(prepared / "sandbox.cfg"))
    other = dataclasses.replace(whole.waveforms, approximant="IMRPhenomXPHM")
    message = "IMRPhenomXPHM cannot be made on the device: IMRPhenomD and IMRPhenomPv2 can"
    with pytest.raises(ConfigurationError, match=message):
        generated_signals(*signal_model(dataclasses.replace(whole, waveforms=other)))
    (mistake,) = yaml_conflicts(yaml(prepared, "generated"), dataclasses.replace(whole, waveforms=other))
    assert message in mistake
    path = prepared / "other.cfg"
    path.write_text((prepared / "sandbox.cfg").read_text().replace("= IMRPhenomPv2", "= IMRPhenomXPHM"))
    with pytest.raises(ConfigurationError, match=message):
        RunDataModule(str(path), waveforms="generated")
