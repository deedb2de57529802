import numpy as np
import pytest

from aframe.errors import DataError
from aframe.tables import InjectionTable, RejectedTable
from aframe.waveforms.injections import injection_set, with_responses
from aframe.waveforms.placement import Placement
from aframe.waveforms.priors import demo_bbh
from aframe.waveforms.sieve import COUNTS, Selection
from aframe.waveforms.source import SignalSource

RATE = 2048.0
IFOS = ("H1", "L1")
PLACEMENT = Placement(1264314069.0, 1264314069.0 + 400, 12.0, 8.0, 2.0, (0.0, 3.0))


@pytest.fixture(scope="module")
def source(generator):
    return SignalSource(demo_bbh(), generator, 1)


@pytest.fixture(scope="module")
def selection(psds):
    return Selection(IFOS, psds, 32.0, None, 6.0)


def rng(seed=1):
    return np.random.default_rng(seed)


def whole(*arguments, store_waveforms=True):
    accepted, rejected = zip(*injection_set(*arguments, store_waveforms=store_waveforms), strict=True)
    return InjectionTable.concatenate(accepted, COUNTS), RejectedTable.concatenate(rejected, COUNTS)


def test_injections_of_a_segment(source, selection, tmp_path):
    table, rejected = whole(source, selection, PLACEMENT, 20, rng(8))
    times = table["injection_time"]
    assert len(table) == 20
    assert times.min() >= PLACEMENT.start + 8
    assert times.max() <= PLACEMENT.stop - 8
    assert np.diff(times).min() >= 12 - 2 * 2
    np.testing.assert_array_equal(table["shift"], np.tile([0.0, 3.0], (20, 1)))
    path = str(tmp_path / "waveforms.hdf5")
    table.write(path)
    again = InjectionTable.read(path, waveforms=True)
    for name, channel in (table.parameters | table.waveforms).items():
        assert channel.tobytes() == (again.parameters | again.waveforms)[name].tobytes()
    assert again.attributes["ifos"] == ["H1", "L1"]
    assert again.attributes["num_injections"] == 20 + len(rejected)
    assert again.waveforms["h1"].shape == (20, 8 * 2048)
    peak = np.abs(again.waveforms["l1"]).argmax(axis=-1) / RATE
    assert (np.median(np.abs(peak - 7.5))) < 0.03


def test_waveforms_that_are_not_stored_are_made_again(source, selection, tmp_path):
    """The file alone gives equal parameters, and equal responses to single precision."""
    stored, rejected = whole(source, selection, PLACEMENT, 25, rng(3))
    bare, rejected_too = whole(source, selection, PLACEMENT, 25, rng(3), store_waveforms=False)
    assert not bare.waveforms
    for one, other in ((stored, bare), (rejected, rejected_too)):
        assert all(column.tobytes() == other[name].tobytes() for name, column in one.parameters.items())
    path = str(tmp_path / "waveforms.hdf5")
    bare.write(path)
    again = with_responses(InjectionTable.read(path, rows=slice(5, 15), waveforms=True), path, workers=2)
    for channel in ("h1", "l1"):
        expected = stored.waveforms[channel][5:15]
        largest = np.abs(expected).max(axis=-1, keepdims=True)
        np.testing.assert_allclose(again.waveforms[channel] / largest, expected / largest, atol=2e-5)
    assert with_responses(stored, path) is stored


def test_more_than_fit_are_refused_with_the_number_that_do(source, selection):
    placement = Placement(0.0, 100.0, 10.0, 5.0, 0.0, (0.0, 1.0))
    with pytest.raises(DataError, match="10 do"):
        whole(source, selection, placement, 11, rng())
