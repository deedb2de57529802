import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from aframe import storage
from aframe.errors import StorageError
from aframe.events.cluster import Clustering
from aframe.online import rolling_background, slide_blocks, slide_process
from aframe.online.rolling_background import RollingBackground, reach_of
from aframe.online.slide_process import SlidePlan, SlideWork
from aframe.tables import EventTable

START, DURATION = 1_000_000_000.0, 120.0


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    for name, value in (("PIECE_LENGTH", 4.0), ("LOOK_INTERVAL", 0.0), ("RESTART_INTERVAL", 0.0)):
        monkeypatch.setattr(rolling_background, name, value)


@pytest.fixture
def make(tmp_path, small_model):
    """Makes a background of 16 s blocks in one directory, of which 20 slides give what is wanted."""

    def background(**versions) -> RollingBackground:
        model = small_model()
        clustering = Clustering(4.0, 0.5, 4.0, model.preprocessing.coalescence_offset)
        plan = SlidePlan(str(tmp_path), (0.0, 1.0), 0.5, 100 * 365.25 * 48 / 20, 1.0, 16.0)
        return RollingBackground(model, torch.float32, clustering, plan, {"model": "abc", **versions})

    return background


@pytest.fixture
def pieces(small_model, scored):
    """Two minutes of scored noise, in pieces of a second."""
    return scored(small_model(), START, DURATION)[1]


def feed(background: RollingBackground, pieces) -> None:
    """Add pieces, and do what the second process does, in this one."""
    for number, piece in enumerate(pieces):
        background.add(piece)
        if number % 20 == 19:
            work_through(background)
    work_through(background)


def work_through(background: RollingBackground) -> None:
    work = SlideWork(background.job, background.model)
    while work.step():
        pass


def events_of(background: RollingBackground) -> tuple[np.ndarray, float]:
    found = background.background()
    assert found is not None
    return found.statistics, found.livetime


def test_the_background_is_that_of_twenty_slides(make, pieces):
    background = make()
    assert background.background() is None
    feed(background, pieces)
    background.close()
    work_through(background)
    _, livetime = events_of(background)
    stop = (START + DURATION - 0.5 - 1.0 - background.context) // 16 * 16  # a block waits until its context is known
    known = np.arange(START + 4.0, stop, 0.25) - START - 4.0
    assert livetime == pytest.approx(sum((known >= number).sum() for number in range(1, 21)) / 4)
    assert background.version == f"slides of GPS {START:.0f}-{stop:.0f}, 7 blocks"


def test_a_search_that_begins_again_has_the_same_background(make, pieces):
    first = make()
    for piece in pieces[:60]:
        first.add(piece)
    work_through(first)
    second = make()  # the first one was killed, with what it had not yet written
    for piece in pieces[50:]:  # it scores some strain again
        second.add(piece)
    second.close()
    work_through(second)
    statistics, livetime = events_of(second)
    assert make().background().livetime == livetime
    np.testing.assert_array_equal(make().background().statistics, statistics)
    assert (np.diff(list(second.store.paths().values())) >= 4.0).all()


def test_another_model_begins_anew_and_says_so(make, pieces, caplog):
    background = make()
    for piece in pieces:
        background.add(piece)
    work_through(background)
    background.background()
    other = make(model="abd")
    assert caplog.messages == ["the background begins anew: another model made it"]
    assert other.background() is None
    assert not storage.glob(other.plan.pieces, "*.hdf5")


def test_events_that_were_issued_are_left_out(make, pieces):
    background = make()
    for piece in pieces[:-20]:
        background.add(piece)
    background.exclude(START + 50.0)
    for piece in pieces[-20:]:
        background.add(piece)
    whole = make()
    work_through(background)
    reach = reach_of(background.model, background.job.clustering)
    assert reach == 1.0 + 0.5 + 0.5 + 2.0
    for path in storage.glob(background.plan.events, "*.hdf5"):
        table = EventTable.read(path)
        assert (np.abs(table["detection_time"][:, None] + table["shift"] - START - 50.0) > reach).all()
    assert whole.background().livetime < 20 * 96


def test_old_data_and_old_events_are_removed(make, pieces, small_model, scored):
    background = make()
    for piece in pieces:
        background.add(piece)
    work_through(background)
    assert background.background() is not None
    _, later = scored(small_model(), START + 3600.0, 30.0)
    for piece in later:
        background.add(piece)
    assert background.background() is None
    assert min(background.store.paths().values()) > START + 3600.0


def test_what_cannot_be_read_or_written_is_a_gap(make, pieces, caplog, capsys, monkeypatch):
    background = make()
    for piece in pieces[:40]:
        background.add(piece)
    path = list(background.store.paths())[8]
    Path(path).write_bytes(b"no longer")

    def full(*_):
        raise StorageError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(type(background.store), "write", full)
        for piece in pieces[40:56]:
            background.add(piece)
    for piece in pieces[56:]:
        background.add(piece)
    work_through(background)
    assert caplog.messages == ["time slides lack strain from GPS 1000000044 on: no space left on device"]
    assert path in capsys.readouterr().err
    _, livetime = events_of(background)
    assert 0 < livetime < 20 * 96


def test_slides_that_do_not_fit_are_said_once(make, pieces, caplog, monkeypatch):
    monkeypatch.setattr(slide_blocks, "SLIDES_AT_ONCE", 5)
    monkeypatch.setattr(slide_process.Pace, "goes_on", lambda _: False)
    background = make()
    feed(background, pieces)
    _, livetime = events_of(background)
    assert 0 < livetime <= 5 * 7 * 16
    assert caplog.messages == ["time slides from GPS 1000000000 on: 5 of 20 fit in 100 % of a core"]


def test_a_killed_process_of_slides_starts_again(make, pieces, caplog):
    background = make()
    background.start()
    for piece in pieces[:90]:
        background.add(piece)
    wait_for(lambda: background.background() is not None)
    first = background._process.pid
    assert os.getpriority(os.PRIO_PROCESS, first) > os.getpriority(os.PRIO_PROCESS, 0)
    os.kill(first, signal.SIGKILL)
    background._process.join()
    before = background.version
    for piece in pieces[90:]:
        background.add(piece)
    assert background._process.pid != first
    assert caplog.messages == ["the process of time slides ended with code -9: it starts again"]
    wait_for(lambda: background.background() is not None and background.version != before)
    background.close()
    assert not background._process.is_alive()


def wait_for(condition, most=60.0):
    end = time.monotonic() + most
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
