import numpy as np
import pytest
import torch
from scipy import stats

from aframe.errors import ConfigurationError, DataError
from aframe.spectral import WhitenedStream
from aframe.train.background import WhitenedBackground
from aframe.train.data import AframeDataModule


@pytest.fixture
def data(run):
    run("data")

    def build(**changes):
        return AframeDataModule(**({"batch_size": 4000} | changes))

    return build


def ramps(sizes):
    """Stretches whose samples say where they are: detector k has k million + the place in all stretches together."""
    starts = np.cumsum([0, *sizes])
    taps = torch.zeros(10, 8)
    taps[:, 4] = torch.arange(10.0)
    return [
        [
            WhitenedStream(1e6 * k + torch.arange(start, start + size).float(), taps[: -(-size // 100)], 0, 100)
            for k in range(2)
        ]
        for start, size in zip(starts, sizes, strict=False)
    ]


def test_windows_lie_in_one_stretch_and_have_its_filter():
    background = WhitenedBackground.from_streams(ramps([250, 30, 430]), 16)
    windows, responses = background.sample(6000, 40, torch.Generator().manual_seed(0))
    assert windows.shape == (6000, 2, 40)
    assert (windows.diff(dim=-1) == 1).all()
    first = (windows[..., 0] - torch.tensor([0, 1e6])).long()
    assert (((first >= 0) & (first + 40 <= 250)) | ((first >= 280) & (first + 40 <= 710))).all()
    local = torch.where(first < 250, first, first - 280)
    expected = (local + 20) // 100  # the filter of the block that the window's middle lies in
    torch.testing.assert_close(responses, expected[..., None].float().expand(-1, -1, 9))
    # every start alike, and one detector's says nothing of the other's
    places = torch.where(first < 250, first, first - 280 + 211)
    assert stats.kstest(places[:, 0].numpy(), stats.randint(0, 602).cdf).pvalue > 1e-3
    assert abs(float(torch.corrcoef(places.T.double())[0, 1])) < 4.5 / 6000**0.5
    assert (first[:, 0] == first[:, 1]).float().mean() < 0.02


def test_background_shorter_than_a_window_is_refused():
    background = WhitenedBackground.from_streams(ramps([30, 20]), 16)
    with pytest.raises(DataError, match="as long as a window of 40 samples"):
        background.sample(1, 40, torch.Generator())


def test_a_batch_has_the_fractions_and_labels_that_were_asked_for(data):
    made = data(waveform_prob=0.3, swap_prob=0.1, mute_prob=0.1)
    made.setup("fit")
    batch = made.make_batch(torch.Generator().manual_seed(1))
    assert batch.windows.shape == (4000, 2, made.search.kernel_size)
    assert stats.binomtest(int(batch.labels.sum()), 4000, 0.3).pvalue > 1e-3
    assert torch.isfinite(batch.windows).all()
    again = made.make_batch(torch.Generator().manual_seed(1))
    assert torch.equal(batch.windows, again.windows)
    assert not torch.equal(batch.windows, made.make_batch(torch.Generator().manual_seed(2)).windows)


def test_noise_alone_is_white_with_unit_density(data):
    made = data(waveform_prob=0.0, swap_prob=0.0, mute_prob=0.0)
    made.setup("fit")
    batch = made.make_batch(torch.Generator().manual_seed(1))
    assert batch.labels.sum() == 0
    spectrum = torch.fft.rfft(batch.windows * torch.hann_window(768)).abs().square().mean((0, 1))
    frequency = torch.arange(385) / 1.5
    density = spectrum[(frequency > 45) & (frequency < 240)] / torch.hann_window(768).square().sum()
    assert 0.8 < float(density.mean()) < 1.2
    assert float(density.max()) < 2


def test_signals_have_the_snrs_of_the_power_law_in_their_windows(data):
    made = data()
    made.setup("fit")
    generator = torch.Generator().manual_seed(1)
    _, responses = made.background.sample(3000, made.search.kernel_size, generator)
    signals = made.make_signals(responses, generator)
    snr = signals.double().square().sum((1, 2)).sqrt().numpy()
    assert stats.kstest(snr, lambda x: (x**-2.0 - 4**-2.0) / (100**-2.0 - 4**-2.0)).pvalue > 1e-3


def test_validation_takes_the_end_and_leaves_both_parts_usable(data):
    made = data(validation_fraction=0.1)
    rate = 512
    stretches = [
        torch.arange(start * rate, (start + length) * rate).repeat(2, 1) for start, length in ((0, 300), (400, 100))
    ]
    training, held_out = made.split(stretches)
    assert sum(s.shape[-1] for s in held_out) == 40 * rate
    assert sum(s.shape[-1] for s in training) == 360 * rate
    assert training[0] is stretches[0]
    assert torch.equal(torch.cat([training[1], held_out[0]], dim=-1), stretches[1])
    short = [
        torch.zeros(2, 300 * rate),
        torch.zeros(2, 20 * rate),
    ]  # the last cannot be cut in two: it is held out whole
    training, held_out = made.split(short)
    assert held_out[0].shape[-1] == 20 * rate
    assert sum(s.shape[-1] for s in [*training, *held_out]) == 320 * rate
    with pytest.raises(DataError, match="too short to train and validate with"):
        made.split([torch.zeros(2, 20 * rate)])


def test_validation_signals_stand_out_of_the_background(data):
    made = data()
    made.setup("fit")
    validation = made.validation
    views = made.validation_views
    assert validation.windows.shape == (12 * views, 2, made.search.kernel_size)
    assert len(validation.snr) == 12 * views
    assert (validation.snr >= 4).all()
    energy = validation.windows.square().sum((1, 2))
    loud = validation.snr > 15
    typical = 2 * made.search.kernel_size * float(torch.cat(validation.streams, -1).square().mean())
    assert not loud.any() or (energy[loud] > 1.05 * typical).all()


def test_places_outside_the_window_are_refused(data):
    with pytest.raises(ConfigurationError, match=r"inside kernel_length = 1\.5 s"):
        data(last_coalescence=1.6)
    with pytest.raises(ConfigurationError, match="must follow"):
        data(first_coalescence=1.0, last_coalescence=0.9)


def test_missing_data_are_named(data, monkeypatch, tmp_path):
    monkeypatch.setenv("AFRAME_TRAIN_DATA_DIR", str(tmp_path))
    with pytest.raises(DataError, match="make the training data first"):
        data().setup("fit")
