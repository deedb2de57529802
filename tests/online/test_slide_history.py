import numpy as np
import pytest
import torch

from aframe.online.live_search import ScoredPiece
from aframe.online.slide_history import Geometry, History, PieceStore, Stretch, bytes_per_second

START = 1_000_000_000.0


@pytest.fixture
def geometry(small_model):
    return Geometry.of(small_model())


@pytest.fixture
def pieces(small_model, scored):
    return scored(small_model(), START, 30.0)[1]


def test_pieces_joined_are_what_they_were_cut_from(small_model, scored, geometry):
    engine, pieces = scored(small_model(), START, 30.0)
    whole, stretch = geometry.joined(pieces), Stretch(geometry, pieces)
    assert stretch.stop == START + 4.0 + stretch.windows / 4
    for ifo in range(2):
        steps, samples = whole.embeddings[ifo].shape[-1], len(whole.strain[ifo])
        assert (stretch.steps, whole.start) == (steps, START + 4.0)
        assert torch.equal(whole.embeddings[ifo], engine.embeddings[ifo][:, :steps])
        assert torch.equal(whole.strain[ifo], engine.streams[ifo].data[:samples])
        for first, stop in ((0, steps), (3, 5), (steps // 2, steps), (steps - 1, steps)):
            assert torch.equal(stretch.embedding(ifo, first, stop, torch.float32), whole.embeddings[ifo][:, first:stop])
        assert torch.equal(stretch.strain(ifo, 1, samples - 1), whole.strain[ifo][1:-1])


def test_pieces_on_disk_are_those_in_half_precision(tmp_path, pieces, geometry):
    store = PieceStore(str(tmp_path), {"model": "abc"})
    whole = geometry.joined(pieces)
    store.write(whole, ("H1", "L1"))
    (path,) = store.paths()
    read = store.read(path, ("H1", "L1"))
    assert (read.start, read.goes_on) == (whole.start, False)
    np.testing.assert_array_equal(read.scores, whole.scores)
    for ifo in range(2):
        assert torch.equal(read.embeddings[ifo], whole.embeddings[ifo].half())
        assert torch.equal(read.strain[ifo], whole.strain[ifo])
    size = sum(e.nbytes for e in read.embeddings) + sum(s.nbytes for s in read.strain)
    assert bytes_per_second(whole, geometry) == pytest.approx(size / (len(read.strain[0]) / 256), rel=0.01)


def test_embeddings_too_large_for_half_precision_keep_theirs(tmp_path, pieces):
    large = [torch.where(e == e.max(), 7e4, e) for e in pieces[0].embeddings]
    piece = ScoredPiece(pieces[0].start, pieces[0].scores, large, pieces[0].strain, False)
    store = PieceStore(str(tmp_path), {})
    store.write(piece, ("H1", "L1"))
    assert torch.equal(store.read(next(iter(store.paths())), ("H1", "L1")).embeddings[0], large[0])


def test_history_follows_the_store(tmp_path, pieces, geometry):
    store, ifos = PieceStore(str(tmp_path), {}), ("H1", "L1")
    history = History(store, geometry, ifos)
    history.update()
    assert history.newest == -np.inf
    for piece in [*pieces[:5], *pieces[7:10]]:  # two of them are lost
        store.write(piece, ifos)
        history.update()
    assert [(each.start, each.windows) for each in history.stretches] == [(START + 4.0, 20), (START + 11.0, 12)]
    assert history.newest == store.newest(4.0) == START + 14.0
    store.remove_before(START + 6.0)
    history.update()
    again = History(store, geometry, ifos)
    again.update()
    for each in (history, again):
        assert [(s.start, s.windows) for s in each.stretches] == [(START + 6.0, 12), (START + 11.0, 12)]
