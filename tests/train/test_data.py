import os

import pytest
import torch
from scipy import stats

from aframe.errors import ConfigurationError, DataError
from aframe.steps.training_data import RunDataModule
from aframe.strain.files import open_background
from aframe.train.data import Part, split
from aframe.whitening import whiten_stream


@pytest.fixture
def data(run):
    run("data")

    def build(**changes):
        return RunDataModule(**({"batch_size": 4000} | changes))

    return build


def test_a_batch_has_the_configured_fractions_and_labels(data):
    module = data(waveform_prob=0.3, swap_prob=0.1, mute_prob=0.1)
    module.setup("fit")
    batch = module.make_batch(1)
    assert batch.windows.shape == (4000, 2, module.inputs.kernel_size)
    assert stats.binomtest(int(batch.labels.sum()), 4000, 0.3).pvalue > 1e-3
    assert torch.isfinite(batch.windows).all()
    again = module.make_batch(1)
    assert torch.equal(batch.windows, again.windows)
    assert torch.equal(batch.labels, again.labels)
    for other in (module.make_batch(2), module.make_batch(1, rank=1)):  # each process has batches of its own
        assert not torch.equal(batch.windows, other.windows)


def test_noise_alone_is_white_with_unit_density(data):
    module = data(waveform_prob=0.0, swap_prob=0.0, mute_prob=0.0)
    module.setup("fit")
    batch = module.make_batch(1)
    assert batch.labels.sum() == 0
    spectrum = torch.fft.rfft(batch.windows * torch.hann_window(768)).abs().square().mean((0, 1))
    frequency = torch.arange(385) / 1.5
    density = spectrum[(frequency > 45) & (frequency < 240)] / torch.hann_window(768).square().sum()
    assert 0.8 < float(density.mean()) < 1.2
    assert float(density.max()) < 2


def test_signals_have_the_snrs_of_the_power_law_in_their_windows(data):
    module = data()
    module.setup("fit")
    generator = torch.Generator().manual_seed(1)
    _, responses = module.background.sample(3000, module.inputs.kernel_size, generator, torch.device("cpu"))
    signals = module.make_signals(responses, generator, generator, module.snr)
    snr = signals.double().square().sum((1, 2)).sqrt().numpy()
    assert stats.kstest(snr, lambda x: (x**-2.0 - 4**-2.0) / (100**-2.0 - 4**-2.0)).pvalue > 1e-3


def test_the_schedule_begins_with_loud_signals(data):
    """And says so in the batches: where all is signal, the energy in excess of noise falls with the steps."""
    module = data(
        waveform_prob=1.0, swap_prob=0.0, mute_prob=0.0, initial_snr_minimum=50.0, snr_schedule_epochs=2,
        batches_per_epoch=10, batch_size=500,
    )  # fmt: skip
    module.setup("fit")
    plain = data(waveform_prob=1.0, swap_prob=0.0, mute_prob=0.0, batch_size=500)
    plain.setup("fit")
    energies = [float(module.make_batch(step).windows.square().sum((1, 2)).quantile(0.05)) for step in (0, 10, 20)]
    assert energies[0] > energies[1] + 25**2
    assert energies[1] > energies[2] + 20**2
    assert torch.equal(module.make_batch(20).windows, plain.make_batch(20).windows)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_where_the_data_lie_changes_no_batch(data, precision, capsys):
    expected = data(batch_size=50)
    expected.setup("fit")
    windows = expected.make_batch(3).windows
    module = data(batch_size=50, background_memory="disk", waveform_memory="disk", waveform_precision=precision)
    module.setup("fit")
    assert "whitened background (0.0 GB): disk" in capsys.readouterr().out
    assert module.signals.polarizations.dtype == getattr(torch, precision)
    tolerance = 0.0 if precision == "float32" else 2e-3 * float(windows.abs().max())
    torch.testing.assert_close(module.make_batch(3).windows, windows, atol=tolerance, rtol=0)


def test_validation_takes_the_end_and_leaves_both_parts_usable(data):
    search, rate = data().inputs, 512
    training, held_out = split([300 * rate, 100 * rate], 0.1, search)
    assert held_out == [Part(1, 60 * rate, 100 * rate)]
    assert training == [Part(0, 0, 300 * rate), Part(1, 0, 60 * rate)]
    # the last cannot be cut in two: it is held out whole
    training, held_out = split([300 * rate, 20 * rate], 0.1, search)
    assert held_out[0] == Part(1, 0, 20 * rate)
    assert sum(part.stop - part.start for part in [*training, *held_out]) == 320 * rate
    with pytest.raises(DataError, match="too short to train and validate with"):
        split([20 * rate], 0.1, search)


def test_the_streams_are_whitened_as_a_search_does(data):
    module = data(validation_fraction=0.3)
    module.setup("fit")
    path = module.inputs.directory + "/background"
    (file,) = [name for name in os.listdir(path) if name.endswith(".hdf5")]
    with open_background(f"{path}/{file}") as background:
        strain = torch.from_numpy(background.read("L1"))
    (training,), (held_out,) = split([len(strain)], 0.3, module.inputs)
    for part, stream in ((training, module.background.streams[1]), (held_out, module.validation.streams[0][1])):
        whitened = whiten_stream(strain[part.start : part.stop], module.inputs.whitening).data
        assert torch.equal(stream, whitened[: len(stream)])
        assert len(whitened) - len(stream) < module.inputs.kernel_size


def test_places_outside_the_window_are_refused(data):
    with pytest.raises(ConfigurationError, match=r"inside kernel_length = 1\.5 s"):
        data(last_coalescence=1.6)
    with pytest.raises(ConfigurationError, match="must follow"):
        data(first_coalescence=1.0, last_coalescence=0.9)


def test_missing_data_are_named(data, monkeypatch, tmp_path):
    monkeypatch.setenv("AFRAME_TRAIN_DATA_DIR", str(tmp_path))
    with pytest.raises(DataError, match="make the training data first"):
        data().setup("fit")
