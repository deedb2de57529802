import numpy as np
import pytest
import torch

from aframe.events.cluster import Clustering, cluster
from aframe.preprocessing import Preprocessing, Whitening
from aframe.tables import ResponseTable
from aframe.train.architectures import FactorisedNetwork, JointResNet
from aframe.train.validation import validation_set
from aframe.whitening import whiten_stream
from tests.train.small_bank import chirps

RATE, IFOS = 256.0, ("H1", "L1", "V1")
WHITENING = Whitening(RATE, 4.0, 1.0, 1.0, 4.0, 20.0, None)
PREPROCESSING = Preprocessing(IFOS, 1.0, 4.0, (0.25, 0.75), WHITENING)
CLUSTERING = Clustering(4.0, 0.5, 2.0, 0.5)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def strain():
    generator = torch.Generator().manual_seed(0)
    return [1e-22 * torch.randn(3, seconds * 256, generator=generator, dtype=torch.float64) for seconds in (60, 20)]


@pytest.fixture(scope="module")
def held_out(tmp_path_factory, strain):
    """Signals with a single loud sample at coalescence, to check their positions."""
    number, size, pad = 40, 512, 128
    waves = np.zeros((number, size), np.float32)
    waves[:, size - pad] = 1e-19
    columns = {name: np.full(number, 30.0) for name in ("mass_1", "mass_2")}
    columns |= {"snr": np.linspace(5, 20, number), "ifo_snrs": np.ones((number, 3))}
    attributes = {"sample_rate": RATE, "duration": 2.0, "right_pad": 0.5, "ifos": list(IFOS), "num_injections": 90}
    path = str(tmp_path_factory.mktemp("held out") / "val.hdf5")
    ResponseTable(columns, {ifo.lower(): waves for ifo in IFOS}, attributes).write(path)
    stretches = [[whiten_stream(channel, WHITENING) for channel in stretch] for stretch in strain]
    return validation_set(stretches, path, PREPROCESSING, CLUSTERING, 7)


def network(kind):
    torch.manual_seed(1)
    if kind == "joint":
        return JointResNet(3, 256, layers=(1,)).eval()
    return FactorisedNetwork(3, 256, (4, 6), (1, 1), (3, 3), embedding_size=4, head_size=4).eval()


def test_each_signal_is_at_its_coalescence(held_out):
    assert held_out.signals.shape == (40, 3, 256 + 3 * 64)  # as many windows as hold the coalescence, and one more
    loudest = held_out.signals.abs().argmax(-1)
    assert torch.equal(loudest, held_out.coalescence[:, None].expand(-1, 3))
    assert len(set(held_out.coalescence.tolist())) > 20  # at any phase of the windows
    place = held_out.coalescence[:, None] - 64 * torch.arange(4)
    assert torch.equal(held_out.is_view, (place >= 64) & (place <= 192))
    assert (held_out.is_view.sum(1) >= 2).all()
    torch.testing.assert_close(held_out.chirp_mass, torch.full((40,), 30 * 2**-0.2))


def test_slides_are_as_many_as_the_background_takes_and_no_longer_than_it_is(held_out):
    lengths = [stream.shape[-1] for stream in held_out.streams]
    assert len(lengths) == 2
    few = held_out.slides(sum(lengths) / RATE, 3)
    assert few[0] == (0, (0, 256, 512), lengths[0] - 512)
    everything = held_out.slides(1e9, 3)
    assert len(everything) > len(few)
    for stretch, shifts, size in everything:
        assert 256 <= size == lengths[stretch] - shifts[-1]
        assert shifts[1] > 0
        assert shifts[2] == 2 * shifts[1]


@pytest.mark.parametrize("kind", ["joint", "factorised"])
def test_scores_are_those_of_single_windows_and_events_those_of_a_search(held_out, kind):
    trained = network(kind)
    joined = held_out.joined([held_out.score(trained, 100.0, CPU, (0, 1))])
    slides = held_out.slides(100.0, 3)
    assert len(slides) >= 2
    expected, events = [], []
    for stretch, shifts, size in slides:
        stream = held_out.streams[stretch]
        shifted = torch.stack([stream[k, shift : shift + size] for k, shift in enumerate(shifts)])
        with torch.no_grad():
            expected.append(trained(shifted.unfold(-1, 256, 64).transpose(0, 1)))
        events.append(cluster(expected[-1].numpy(), 0.0, CLUSTERING)[0])
    torch.testing.assert_close(joined.windows, torch.cat(expected), atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(joined.background.statistics, np.sort(np.concatenate(events)), atol=1e-4)
    assert joined.background.livetime == len(joined.windows) / 4
    with torch.no_grad():
        windows = trained(held_out.signals.unfold(-1, 256, 64).transpose(1, 2).flatten(0, 1)).unflatten(0, (40, 4))
    average = windows.unfold(-1, 2, 1).mean(-1).amax(1)  # over half a second: two windows
    np.testing.assert_allclose(joined.statistics, average.numpy(), atol=1e-4)
    torch.testing.assert_close(joined.views, windows[held_out.is_view], atol=1e-4, rtol=1e-4)
    assert torch.equal(torch.bincount(joined.signal_of_view), held_out.is_view.sum(1))


def test_several_processes_come_to_the_same_as_one(held_out):
    trained = network("factorised")
    alone = held_out.joined([held_out.score(trained, 100.0, CPU, (0, 1))])
    together = held_out.joined([held_out.score(trained, 100.0, CPU, (rank, 3)) for rank in range(3)])
    torch.testing.assert_close(together.windows, alone.windows, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(together.statistics, alone.statistics, atol=1e-5)
    np.testing.assert_allclose(together.background.statistics, alone.background.statistics, atol=1e-5)
    assert together.background.livetime == alone.background.livetime


def test_templates_that_learn_are_measured_anew(held_out):
    network = chirps(3, trainable=True)
    _, before = held_out.score(network, 100.0, CPU, (0, 1))
    with torch.no_grad():
        network.filters.bank.copy_(network.filters.bank.flip(2))
    network.measure(held_out.signals[:1])  # as a step of the training
    _, after = held_out.score(network, 100.0, CPU, (0, 1))
    assert not torch.equal(before, after)
