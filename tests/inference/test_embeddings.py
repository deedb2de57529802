import os
import threading
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from aframe import storage
from aframe.events.cluster import Clustering
from aframe.inference.embeddings import EmbeddingCache
from aframe.inference.engine import Injection
from aframe.inference.run import Searcher, segment_engine
from aframe.inference.scorers import TorchScorer
from aframe.inference.slides import Grid
from aframe.strain.files import background_path, write_background

IFOS, RATE, START, DURATION = ("H1", "L1"), 256.0, 1_000_000.0, 40.0


class Counted(TorchScorer):
    """Counts the segments that it encodes."""

    encoded = 0

    def _encode(self, stream):
        self.encoded += 1
        return super()._encode(stream)


@pytest.fixture
def segment(make_strain, tmp_path) -> str:
    path = background_path(str(tmp_path), START, DURATION)
    write_background(path, make_strain(IFOS, DURATION, 5), START, RATE)
    return path


@pytest.fixture
def search(make_model, tmp_path):
    """A searcher that keeps embeddings."""

    def build(precision=torch.float32, limit=1e9, **made_by) -> Searcher:
        model = make_model("factorised")
        cache = EmbeddingCache(str(tmp_path / "embeddings"), limit, {"model": "one", **made_by})
        grid, clustering = Grid(model.preprocessing, (0.0, 1.0)), Clustering(4.0, 0.5, 4.0, 0.5)
        return Searcher(Counted(model, precision), grid, clustering, 1.0, cache)

    return build


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16, torch.float16])
def test_cached_embeddings_equal_the_computed_ones_and_cost_nothing(precision, search, segment):
    first, second = search(precision), search(precision)
    computed, cached = segment_engine(first, segment), segment_engine(second, segment)
    assert (first.scorer.encoded, second.scorer.encoded) == (1, 0)
    for one, other in zip(computed.embeddings, cached.embeddings, strict=True):
        assert other.dtype == precision
        assert torch.equal(one, other)
    slide = first.grid.slide(0, DURATION, 2)
    scores = cached.scores(slide)
    assert "streams" not in vars(cached)  # nothing was whitened
    assert (scores == computed.scores(slide)).all()
    signal = Injection(2e-20 * torch.randn(2, 300, generator=torch.Generator().manual_seed(0)), 900)
    injected = cached.scores_with(slide, scores, [signal])  # injections need whitened strain
    assert (injected == computed.scores_with(slide, scores, [signal])).all()
    assert (injected != scores).any()


def truncate(path: Path, _: str) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path, _: str) -> None:
    """Change one bit of an embedding."""
    with h5py.File(path) as file:
        place = file["L1"].id.get_chunk_info(1).byte_offset
    content = bytearray(path.read_bytes())
    content[place + 5] ^= 4
    path.write_bytes(content)


def leave_out(path: Path, _: str) -> None:
    with h5py.File(path, "a") as file:
        del file["H1"]


def unsign(path: Path, _: str) -> None:
    with h5py.File(path, "a") as file:
        del file.attrs[storage.PARAMETERS_ATTRIBUTE]


def garble(path: Path, _: str) -> None:
    path.write_text("no HDF5 file")


def other_strain(_: Path, segment: str) -> None:
    """Write other strain of the same length."""
    random = np.random.default_rng(1)
    size = round(RATE * DURATION)
    write_background(segment, {ifo: 1e-21 * random.standard_normal(size) for ifo in IFOS}, START, RATE)


@pytest.mark.parametrize("change", [truncate, flip, leave_out, unsign, garble, other_strain])
def test_stale_or_damaged_embeddings_are_computed_again(change, search, segment, capsys):
    searcher = search()
    segment_engine(searcher, segment)
    path = Path(searcher.cache.path(segment))
    change(path, segment)
    again, after, plain = search(), search(), replace(search(), cache=None)
    expected = segment_engine(plain, segment).embeddings
    for tested, encoded in ((again, 1), (after, 0)):
        for one, other in zip(segment_engine(tested, segment).embeddings, expected, strict=True):
            assert torch.equal(one, other)
        assert tested.scorer.encoded == encoded
    assert ("is damaged and is computed again" in capsys.readouterr().err) == (change is not other_strain)


def test_embeddings_of_another_model_are_replaced(search, segment):
    for made_by in ({}, {"model": "two"}, {"model": "two", "processor": "another"}):
        for encoded in (1, 0):
            searcher = search(**made_by)
            segment_engine(searcher, segment)
            assert searcher.scorer.encoded == encoded
    assert len(list(Path(searcher.cache.directory).iterdir())) == 1


def test_the_cache_stays_below_its_limit(search, segment, make_strain, tmp_path):
    size = sum(e.nbytes for e in segment_engine(search(limit=1.0), segment).embeddings)
    assert not (tmp_path / "embeddings").exists()
    other = background_path(str(tmp_path), START + 100, DURATION)
    write_background(other, make_strain(IFOS, DURATION, 6), START + 100, RATE)
    for limit, count in ((1.0 * size, 1), (1.5 * size, 1), (4.0 * size, 2)):
        for path in (segment, other):
            segment_engine(search(limit=limit), path)
        assert len(list((tmp_path / "embeddings").iterdir())) == count


def test_where_nothing_can_be_written_the_search_goes_on(search, segment, tmp_path, capsys):
    (tmp_path / "embeddings").write_text("in the way")
    for _ in range(2):
        assert len(segment_engine(search(), segment).embeddings) == 2
    assert "note: embeddings are not stored" in capsys.readouterr().err


def test_workers_may_make_the_same_embeddings_at_once(search, segment):
    start, results = threading.Barrier(4), []

    def work(searcher: Searcher) -> None:
        start.wait()
        results.extend(segment_engine(searcher, segment).embeddings for _ in range(3))

    workers = [threading.Thread(target=work, args=(search(),)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 12
    assert all(torch.equal(one, other) for each in results for one, other in zip(each, results[0], strict=True))
    assert search().cache.read(segment, IFOS) is not None
