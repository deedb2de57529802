import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from live_strain import frame_name, noise, write_frame

from aframe.errors import ConfigurationError, DataError, StorageError
from aframe.online.clock import gps_now
from aframe.online.frames import FrameChannels, FrameSource, parse_directories
from aframe.strain import live_frames
from aframe.strain.live_frames import LiveFrameReader

RATE = 4096.0
IFOS = ("H1", "L1")
NAMES = {ifo: f"{ifo}:GDS-CALIB_STRAIN" for ifo in IFOS}


@pytest.fixture
def start() -> float:
    return float(int(gps_now()) - 100)


@pytest.fixture
def feed(tmp_path: Path, start: float):
    """Writes seconds of both detectors into a directory, and gives the strain."""
    strain = noise(8.0, RATE)

    def write(second: int, ifo: str, state: int | None = None) -> Path:
        path = tmp_path / "frames" / frame_name(ifo, start + second)
        path.parent.mkdir(exist_ok=True)
        part = strain[ifo][round(second * RATE) : round((second + 1) * RATE)]
        write_frame(path, {ifo: part}, start + second, RATE, None if state is None else {ifo: state})
        return path

    write.strain = strain
    return write


@pytest.fixture
def source(tmp_path: Path):
    made = []

    def make(told: list[str] | None = None, begin: float | None = None, **changes: object) -> FrameSource:
        values = {"directories": {"": str(tmp_path / "frames")}, "ifos": IFOS, "sample_rate": 1024.0} | changes
        made.append(FrameSource(FrameChannels(**values), begin, 20.0, ([] if told is None else told).append))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_frames_come_once_whatever_their_order_and_their_copies(feed, source, start):
    for second in (0, 2):
        for ifo in IFOS:
            feed(second, ifo)
    frames = source()
    frames.check()
    first = frames.arrivals(5.0)
    assert [(each.ifo, each.start - start) for each in first] == [("H1", 0), ("L1", 0), ("H1", 2), ("L1", 2)]
    np.testing.assert_array_equal(first[1].strain, feed.strain["L1"][: round(RATE)])
    assert first[0].sample_rate == RATE
    assert abs(first[0].received - time.time()) < 60
    assert frames.arrivals(0.1) == []
    feed(1, "H1")
    assert [(each.ifo, each.start - start) for each in frames.arrivals(5.0)] == [("H1", 1)]


def test_a_frame_that_is_not_whole_is_waited_for_and_a_damaged_one_is_counted_and_said_once(feed, source, start):
    told: list[str] = []
    whole = feed(0, "H1").read_bytes()
    feed(0, "L1")
    frames = source(told)
    frames.check()
    assert len(frames.arrivals(5.0)) == 2
    path = feed(1, "H1")
    content = path.read_bytes()
    path.write_bytes(content[:-1000])
    assert frames.arrivals(0.1) == []
    path.write_bytes(content)
    assert [each.ifo for each in frames.arrivals(5.0)] == ["H1"]
    for second in (2, 3):
        damaged = bytearray(whole)
        damaged[2000:-2000:7] = bytes(len(damaged[2000:-2000:7]))
        (path.parent / frame_name("H1", start + second)).write_bytes(bytes(damaged))
    assert frames.arrivals(0.1) == []
    assert frames.flaws == {"damaged": 2}, told
    assert len(told) == 1
    assert "damaged" in told[0]
    feed(2, "H1")  # it is written anew
    assert [each.start - start for each in frames.arrivals(5.0)] == [2]


def test_a_search_begins_though_the_newest_frame_is_damaged(feed, source):
    path = feed(0, "H1")
    damaged = bytearray(path.read_bytes())
    damaged[2000:-2000:7] = bytes(len(damaged[2000:-2000:7]))
    path.write_bytes(bytes(damaged))
    told: list[str] = []
    frames = source(told)
    frames.check()
    assert any("damaged" in text and "waits for the next frame" in text for text in told), told
    feed(1, "H1")
    assert [each.ifo for each in frames.arrivals(5.0)] == ["H1"]


def test_a_state_vector_without_its_bits_takes_strain_out(feed, source, start):
    states = {ifo: "GDS-CALIB_STATE_VECTOR" for ifo in IFOS}
    for ifo in IFOS:
        feed(0, ifo, 0b111)
        feed(1, ifo, 0b101)
    frames = source(states=states, bits=(0, 1))
    frames.check()
    searched = {(each.ifo, each.start - start): np.isfinite(each.strain).all() for each in frames.arrivals(5.0)}
    assert searched == {("H1", 0): True, ("L1", 0): True, ("H1", 1): False, ("L1", 1): False}


def test_what_cannot_be_searched_is_refused_before_the_search(feed, source, tmp_path, start):
    with pytest.raises(ConfigurationError, match="is no directory: mend live_frames"):
        source().check()
    told: list[str] = []
    (tmp_path / "frames").mkdir()
    source(told).check()
    assert "has no strain of H1 yet" in told[0]
    feed(0, "H1")
    source(told).check()
    assert "has no strain of L1 yet" in told[-1]
    with pytest.raises(ConfigurationError, match=r"no channel H1:GDS-CALIB_STRAIM \(did you mean 'GDS-CALIB_STRAIN'"):
        source(ifos=("H1",), channels={"H1": "GDS-CALIB_STRAIM"}).check()
    with pytest.raises(ConfigurationError, match="no channel H1:STATE"):
        source(ifos=("H1",), states={"H1": "STATE"}, bits=(0,)).check()
    with pytest.raises(DataError, match="4096 Hz, less than sample_rate = 8192"):
        source(ifos=("H1",), sample_rate=8192.0).check()
    write_frame(tmp_path / "frames" / f"H-OTHER-{start:.0f}-1.gwf", {"H1": feed.strain["H1"][:4096]}, start, RATE)
    with pytest.raises(ConfigurationError, match="both have strain of H1"):
        source(ifos=("H1",)).check()


def test_a_frame_of_the_future_is_read_when_its_time_comes(feed, source, start, tmp_path, monkeypatch):
    for ifo in IFOS:
        feed(0, ifo)
    told: list[str] = []
    frames = source(told)
    frames.check()
    frames.arrivals(5.0)
    write_frame(
        tmp_path / "frames" / frame_name("H1", start + 10000), {"H1": feed.strain["H1"][:4096]}, start + 10000, RATE
    )
    assert frames.arrivals(0.1) == []
    assert "lies in the future" in told[-1]
    assert frames.flaws["future"] == 1
    monkeypatch.setattr("aframe.online.frames.gps_now", lambda: start + 10001.0)
    assert [each.start for each in frames.arrivals(5.0)] == [start + 10000]


def test_a_frame_that_holds_strain_of_the_future_is_left_out(feed, source, start, tmp_path):
    feed(0, "H1")
    told: list[str] = []
    frames = source(told)
    frames.check()
    frames.arrivals(5.0)
    path = tmp_path / "frames" / frame_name("H1", start + 1)
    write_frame(path, {"H1": feed.strain["H1"][:4096]}, start + 10000, RATE)
    assert frames.arrivals(0.5) == []
    assert "has strain of the future" in told[-1]


def test_old_frames_of_a_directory_that_nobody_empties_are_not_looked_at(feed, source, start, monkeypatch):
    monkeypatch.setattr("aframe.online.frames.LATE", 2.0)
    for second in range(6):
        feed(second, "H1")
    frames = source()
    frames.check()
    assert len(frames.arrivals(5.0)) == 6
    frames.arrivals(0.1)
    assert len(frames._done) == 3


def test_a_frame_of_the_future_does_not_set_the_begin(feed, source, start):
    far = feed(0, "H1")
    far.rename(far.with_name(frame_name("H1", start + 10000)))
    for ifo in IFOS:
        feed(1, ifo)
    frames = source()
    frames.check()
    assert [(each.ifo, each.start - start) for each in frames.arrivals(5.0)] == [("H1", 1), ("L1", 1)]


def test_frames_of_several_directories_that_wait_come_in_order_of_time(feed, source, start, tmp_path, monkeypatch):
    for ifo in IFOS:
        (tmp_path / ifo).mkdir()
        for second in range(4):
            path = feed(second, ifo)
            path.rename(tmp_path / ifo / path.name)
    monkeypatch.setattr("aframe.online.frames.FILES_AT_ONCE", 4)
    frames = source(directories={ifo: str(tmp_path / ifo) for ifo in IFOS})
    frames.check()
    for seconds in ((0, 1), (2, 3)):
        came = [(each.start - start, each.ifo) for each in frames.arrivals(5.0)]
        assert sorted(came) == [(second, ifo) for second in seconds for ifo in IFOS]


def test_directories_are_those_of_the_detectors():
    assert parse_directories(["/dev/shm"], IFOS) == {"": "/dev/shm"}
    assert parse_directories(["H1:/a", "L1:/b"], IFOS) == {"H1": "/a", "L1": "/b"}
    with pytest.raises(ConfigurationError, match="H1 has two directories, /a and /b"):
        parse_directories(["H1:/a", "H1:/b"], IFOS)
    with pytest.raises(ConfigurationError, match="no directory of L1"):
        parse_directories(["H1:/a"], IFOS)


def test_a_reader_that_dies_is_replaced(feed):
    path, reader = str(feed(0, "H1")), LiveFrameReader()
    try:
        assert len(reader.read(path, {"H1": NAMES["H1"]}, {})) == 1
        process = reader._child.pid
        os.kill(process, signal.SIGSTOP)
        os.kill(process, signal.SIGKILL)
        with pytest.raises(StorageError, match="SIGKILL"):
            reader.read(path, {"H1": NAMES["H1"]}, {})
        assert len(reader.read(path, {"H1": NAMES["H1"]}, {})) == 1
        assert reader._child.pid != process
    finally:
        reader.close()


def test_a_frame_that_is_read_slowly_is_read_again_before_those_behind_it(feed, source, start, monkeypatch):
    told: list[str] = []
    for second in range(3):
        feed(second, "H1")
    frames = source(told, begin=start + 1, ifos=("H1",))
    frames.check()
    monkeypatch.setattr(live_frames, "TIMEOUT", 0.3)
    os.kill(frames._reader._child.pid, signal.SIGSTOP)
    assert frames.arrivals(0.0) == []
    monkeypatch.setattr(live_frames, "TIMEOUT", 20.0)
    assert [each.start - start for each in frames.arrivals(5.0)] == [1, 2]
    assert frames.flaws == {"slow": 1}
    assert len(told) == 1
    assert "is not read within 0.3 s" in told[0]


def test_a_frame_that_is_never_read_is_a_gap(feed, source, start, monkeypatch):
    path = feed(0, "H1")
    feed(1, "H1")
    frames, read = source(begin=start, ifos=("H1",)), LiveFrameReader.read

    def stopped(reader: LiveFrameReader, which: str, *others: object) -> list[object]:
        if which == str(path) and reader._child is not None:
            os.kill(reader._child.pid, signal.SIGSTOP)
        return read(reader, which, *others)

    frames.check()
    monkeypatch.setattr(live_frames, "TIMEOUT", 5.0)
    monkeypatch.setattr(LiveFrameReader, "read", stopped)
    frames.arrivals(0.0)
    frames._reader._start()
    arrivals = frames.arrivals(0.0)
    assert [each.start - start for each in arrivals] == [1]
    assert frames.flaws == {"slow": 2}
