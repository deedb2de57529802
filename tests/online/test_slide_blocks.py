import itertools

import numpy as np
import pytest

from aframe.errors import ConfigurationError
from aframe.events.cluster import Clustering, cluster
from aframe.inference.scorers import TorchScorer
from aframe.online.slide_blocks import FLOOR, SLIDES, Block, SlideData, SlideSearch, score_block
from aframe.online.slide_history import Geometry, Stretch
from aframe.tables import EventTable

START, DURATION = 1_000_000_000.0, 80.0
NONE = {ifo: np.empty((0, 2)) for ifo in ("H1", "L1", "V1")}


def searching(model, shifts=(0.0, 1.0)):
    clustering = Clustering(4.0, 0.5, 4.0, model.preprocessing.coalescence_offset)
    return SlideSearch(TorchScorer(model), clustering, shifts)


def blocks(search, stretches, length, numbers, excluded=NONE):
    low, high = (int(time // length) for time in (stretches[0].start, stretches[-1].stop))
    spans = itertools.pairwise(length * np.arange(low, high + 2))
    return [score_block(search, SlideData(stretches, excluded), Block(*span), numbers, lambda: True) for span in spans]


def ordered(tables):
    whole = EventTable.concatenate(tables, ["Tb"])
    return whole.rows(np.lexsort((whole["detection_time"], whole["shift"][:, -1])))


@pytest.mark.parametrize("ifos", [("H1", "L1"), ("H1", "L1", "V1")])
@pytest.mark.parametrize("length", [16.0, 400.0])
def test_blocks_have_the_events_of_the_offline_slides(small_model, scored, monkeypatch, ifos, length):
    monkeypatch.setattr("aframe.online.slide_blocks.KEPT_PER_HOUR", 1e6)
    monkeypatch.setattr("aframe.online.slide_blocks.SLIDES_AT_ONCE", 3)
    model = small_model(ifos, is_followed=True)
    engine, pieces = scored(model, START, DURATION)
    search = searching(model, engine.grid.shifts)
    found = ordered(blocks(search, [Stretch(Geometry.of(model), pieces)], length, range(1, 5)))
    statistics, times, shifts, live = [], [], [], 0.0
    for number in range(1, 5):
        slide = engine.grid.slide(0, DURATION, number)
        statistic, time = cluster(engine.scores(slide), START + 4.0, search.clustering)
        statistics.append(statistic)
        times.append(time)
        shifts.append(np.tile(slide.shifts, (len(time), 1)))
        live += engine.grid.livetime([slide])
    assert len(found) > 50
    np.testing.assert_allclose(found["detection_time"], np.concatenate(times), atol=1e-6)
    np.testing.assert_allclose(found["detection_statistic"], np.concatenate(statistics), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found["shift"], np.concatenate(shifts))
    assert found.livetime == pytest.approx(live)


def test_slides_reach_over_a_gap(small_model, scored):
    model = small_model()
    (_, first), (_, second) = scored(model, START, 40.0), scored(model, START + 45.0, 40.0, seed=1)
    search, geometry = searching(model), Geometry.of(model)
    both = [Stretch(geometry, first), Stretch(geometry, second)]
    windows = [np.arange(each.windows) / 4 + each.start for each in both]
    for number in (1, 5, 12, 50):
        table = blocks(search, both, 1e6, [number])[0]
        leading = np.concatenate(windows)
        has_other = np.isin(leading - number, leading)
        assert table.livetime == pytest.approx(has_other.sum() / 4)


def test_excluded_time_leaves_events_and_live_time(small_model, scored):
    model = small_model()
    _, pieces = scored(model, START, DURATION)
    search, stretches = searching(model), [Stretch(Geometry.of(model), pieces)]
    span = np.array([[START + 30.0, START + 36.0]])
    whole = ordered(blocks(search, stretches, 32.0, range(1, 4)))
    part = ordered(blocks(search, stretches, 32.0, range(1, 4), {"H1": span, "L1": span}))
    assert whole.livetime - part.livetime == pytest.approx(6 + 1 + 6 + 2 + 6 + 3)
    times = part["detection_time"][:, None] + part["shift"]
    assert not ((times >= span[0, 0]) & (times < span[0, 1])).any()


def test_a_block_keeps_the_loudest_and_says_what_it_left(small_model, scored, monkeypatch):
    model = small_model()
    _, pieces = scored(model, START, DURATION)
    search, stretches, block = searching(model), [Stretch(Geometry.of(model), pieces)], Block(START, START + 200.0)
    monkeypatch.setattr("aframe.online.slide_blocks.KEPT_PER_HOUR", 1e6)
    whole = score_block(search, SlideData(stretches, NONE), block, range(1, 60), lambda: True)
    monkeypatch.setattr("aframe.online.slide_blocks.KEPT_PER_HOUR", 40.0)
    kept = score_block(search, SlideData(stretches, NONE), block, range(1, 60), lambda: True)
    assert whole.attributes[FLOOR] == -np.inf
    assert len(kept) == np.ceil(kept.livetime / 90)
    np.testing.assert_array_equal(kept["detection_statistic"], whole["detection_statistic"][: len(kept)])
    assert kept.attributes[FLOOR] == whole["detection_statistic"][len(kept)]
    assert kept.attributes[SLIDES] == 59
    more = score_block(search, SlideData(stretches, NONE), block, range(1, 60), lambda: True, least=len(kept) + 3)
    assert len(more) == len(kept) + 3


def test_work_ends_where_it_is_told_to(small_model, scored):
    model = small_model()
    _, pieces = scored(model, START, 40.0)
    search, stretches = searching(model), [Stretch(Geometry.of(model), pieces)]
    table = score_block(search, SlideData(stretches, NONE), Block(START, START + 100), range(1, 200), lambda: False)
    assert table.attributes[SLIDES] == 64


def test_equal_shifts_are_refused(small_model):
    with pytest.raises(ConfigurationError, match="two detectors with one shift"):
        searching(small_model(), (1.0, 1.0))
