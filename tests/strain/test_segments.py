import itertools
import random

import numpy as np
import pytest
from gwpy.segments import DataQualityFlag
from hypothesis import given
from hypothesis import strategies as st

from aframe import storage
from aframe.errors import DataError, StorageError
from aframe.strain import files, segments
from aframe.strain.segments import Segment

S6_START, S6_STOP = 931035615.0, 971654415.0

lists = st.lists(
    st.tuples(st.integers(0, 100), st.integers(1, 20)).map(lambda pair: Segment(float(pair[0]), float(sum(pair)))),
    max_size=12,
)


def seconds(of):
    return {t for segment in of for t in range(int(segment.start), int(segment.stop))}


@given(st.lists(lists, min_size=1, max_size=3))
def test_intersection_is_the_seconds_in_all_lists(several):
    result = segments.intersect(*several)
    assert seconds(result) == set.intersection(*map(seconds, several))
    assert all(a.stop < b.start for a, b in itertools.pairwise(result))


@given(lists, st.floats(0.5, 5), st.floats(5, 30))
def test_pieces_are_of_the_wanted_lengths_and_lose_only_short_rests(given_segments, shortest, longest):
    whole = segments.coalesce(given_segments)
    pieces = segments.divide(whole, shortest, longest)
    assert all(shortest <= piece.duration <= longest + 1e-9 for piece in pieces)
    assert all(a.stop <= b.start for a, b in itertools.pairwise(pieces))
    lost = sum(s.duration for s in whole) - sum(p.duration for p in pieces)
    assert -1e-9 <= lost < len(whole) * shortest + 1e-9


def test_a_piece_of_exactly_the_longest_duration_is_not_cut():
    assert segments.divide([Segment(0.5, 40.5)], 10.0, 20.0) == [Segment(0.5, 20.5), Segment(20.5, 40.5)]
    assert segments.divide([Segment(0.5, 45.5)], 10.0, 20.0) == [Segment(0.5, 20.5), Segment(20.5, 40.5)]


def test_real_lists_agree_with_gwpy(data_directory):
    paths = [str(data_directory / "segments" / f"S6-{ifo}segments-cat1.txt") for ifo in ("H1", "L1")]
    ours = segments.intersect(*map(segments.read_segments, paths))
    assert len(segments.read_segments(paths[0])) == 4015
    flags = [DataQualityFlag(active=[(s.start, s.stop) for s in segments.read_segments(p)]) for p in paths]
    theirs = (flags[0] & flags[1]).active.coalesce()
    assert [(s.start, s.stop) for s in ours] == [(float(a), float(b)) for a, b in theirs]


def test_segwizard_round_trip_keeps_every_bit(tmp_path):
    rng = random.Random(0)
    edges = sorted(rng.uniform(1e9, 2e9) for _ in range(40))
    written = [Segment(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    path = str(tmp_path / "segments.txt")
    segments.write_segments(path, written, made_with={"seed": 1})
    assert segments.read_segments(path) == written
    storage.check_parameters(path, {"seed": 1})


@pytest.mark.parametrize("row", ["10 20", "10 20 10", "3 10 20 10", "  3\t10.0 20.0 10.0 # comment"])
def test_columns(tmp_path, row):
    path = tmp_path / "segments.txt"
    path.write_text(f"# seg start stop duration\n\n{row}\n")
    assert segments.read_segments(str(path)) == [Segment(10.0, 20.0)]


@pytest.mark.parametrize("row", ["10", "a b", "20 10", "10 20 11", "0 10 20 9", "1 2 3 4 5", "10 nan", "10 20 x"])
def test_malformed_rows_are_named_by_file_and_line(tmp_path, row):
    path = tmp_path / "bad.txt"
    path.write_text(f"1 2\n{row}\n")
    with pytest.raises(DataError, match=r"bad\.txt, line 2"):
        segments.read_segments(str(path))


def test_a_list_in_other_forms(tmp_path):
    path = tmp_path / "segments.txt"
    for text in (
        "10,20\n30,40\n",
        "start,stop,duration\n10,20,10\n30,40,10\n",
        ",GPS start,GPS end\r\n0,10,20\r\n1,30,40\r\n",
        "\ufeff30\t40.000\n10.0 20 # first\n",
        "start_time;end_time\n1e1;2e1\n30;40\n",
        '{"id": "H1_DATA", "segments": [[10, 20], [30, 40]]}',
        '{"active": [[30, 40], [10, 20]], "known": [[0, 50]]}',
        "0 10 20 10.4\n1 25 25 0\n2 30 40 9.5\n",
        "1980-01-06T00:00:10,1980-01-06 00:00:20\n1980-01-06T00:00:30,1980-01-06T01:00:40+01:00\n",
        "1980-01-06 00:00:10 1980-01-06 00:00:20\n1980-01-06T00:00:30Z 1980-01-06 00:00:40 UTC\n",
        "start,duration\n10,10\n30,10\n",
        "Start (GPS);Length [s];flag\n10;10;DATA\n30;10;DATA\n",
        "  start  dt\n0    10  10\n1    30  10\n",
        "   start  stop  duration\n4     10    20      10\n9     30    40      10\n",
        "[10, 20)\n[30, 40)  # the second\n",
        "[10 ... 20)\n[30 ... 40)\n",
        "(10.0, 20.0)\n[30.0, 40.0],\n",
        "[[10, 20],\n [30, 40]]\n",
        "! start stop\n10 20 // glitches\n% more\n30 40\n",
        '[{"id": "H1_DATA", "segments": [[10, 20], [30, 40]]}]',
        "# start duration\n1e1 1e1\n3e1 1e1\n",
        "# from GWOSC\n10 20\n30 40\n",
        "stop;start;start\n20;10;10\n40;30;30\n",
        '{"start": [10, 30], "stop": [20, 40]}',
    ):
        path.write_text(text, encoding="utf-8")
        assert segments.read_segments(str(path)) == [Segment(10.0, 20.0), Segment(30.0, 40.0)]
    for text in ("10,5 20,5\n", "10,5\t20,5\n", "10,5;20,5\n", "begins,ends\n10,20\n", "1980-01-06 1980-01-07\n",
                 "duration\n10\n", "[10, 20, 30, 40, 50)\n"):  # fmt: skip
        path.write_text(text)
        with pytest.raises(DataError, match=r"segments\.txt, line 1: .*: expected 'start stop'"):
            segments.read_segments(str(path))


@pytest.mark.parametrize("unit", ["min", "h", "ms", "samples", "1/s", ""])
def test_columns_of_other_units_than_seconds_are_refused(unit, tmp_path):
    path = tmp_path / "segments.csv"
    for text in (
        f"start,duration [{unit}]\n10,10\n",
        f"start;stop ({unit})\n10;20\n",
        f"start duration ({unit})\n10 10\n",
        f"# start (s) duration ({unit})\n10 10\n",
        f"# start, duration ({unit})\n10 10\n",
    ):
        path.write_text(text)
        with pytest.raises(
            DataError,
            match=rf"(line 1|above the rows): .*: a column is in '{unit}', and seconds are needed: convert it",
        ):
            segments.read_segments(str(path))
    for text in (
        "start (GPS s),duration [seconds]\n10,10\n",
        "start (GPS s) duration [seconds]\n10 10\n",
        "# stop (s) start (s)\n20 10\n",
        "start_s,duration_s\n10,10\n",
        "start in s,stop in s\n10,20\n",
    ):
        path.write_text(text)
        assert segments.read_segments(str(path)) == [Segment(10.0, 20.0)]


@pytest.mark.parametrize(
    "comment", ["start_s duration_min", "start, duration_min", "start, duration/h", "start, dt {ms}"]
)
def test_comments_with_other_units_are_no_names_of_seconds(comment, tmp_path):
    path = tmp_path / "segments.txt"
    path.write_text(f"# {comment}\n1262304000 1262304010\n")
    with pytest.raises(DataError, match=r"comment above the rows: .* has no columns start and stop"):
        segments.read_segments(str(path))


@pytest.mark.parametrize("text", ["start=1262304000,stop=1262304010\n", "start:1262304000 stop:1262304010\n"])
def test_times_behind_their_names_are_no_names_of_columns(text, tmp_path):
    path = tmp_path / "segments.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=r"line 1: .* is no segment: expected"):
        segments.read_segments(str(path))


def test_a_column_of_states_leaves_rows_out_if_it_says_yes_or_no(tmp_path):
    path = tmp_path / "segments.csv"
    for title in ("active", "state", "valid"):
        path.write_text(f"start,stop,{title}\n10,20,1\n30,40,0\n")
        assert segments.read_segments(str(path)) == [Segment(10.0, 20.0)]
    path.write_text("start,stop,state\n10,20,lock\n30,40,0\n")
    assert segments.read_segments(str(path)) == [Segment(10.0, 20.0), Segment(30.0, 40.0)]


def test_nanoseconds_of_segments(tmp_path):
    path = tmp_path / "segments.csv"
    for text in (
        "start_time,start_time_ns,end_time,end_time_ns\n10,500000000,20,250000000\n",
        "start_time,start_time_ns,duration\n10,500000000,9.75\n",
        "end,start,start ns,duration,duration ns,end ns\n20,10,500000000,9,750000000,250000000\n",
        '[{"start": 10, "start_ns": 500000000, "end": 20, "end_ns": 250000000}]',
    ):
        path.write_text(text)
        assert segments.read_segments(str(path)) == [Segment(10.5, 20.25)]
    path.write_text("start_time,start_ns,end_time\n10,500000000,20\n")
    with pytest.raises(
        DataError, match=r"line 1: .*: 'start_ns' continues no column: name it as the column of its sec"
    ):
        segments.read_segments(str(path))


def test_rows_that_are_not_active_are_left_out(tmp_path):
    path = tmp_path / "segments.csv"
    for no, yes in (("0", "1"), ("False", "True"), ("no", "yes")):
        path.write_text(f"start,stop,active\n10,20,{yes}\n30,40,{no}\n")
        assert segments.read_segments(str(path)) == [Segment(10.0, 20.0)]
    path.write_text("start,stop,active\n10,20,1\n30,40,\n")
    with pytest.raises(DataError, match=r"line 3: '30 40 ?' has '' in the column of activity: write 1 or 0"):
        segments.read_segments(str(path))


def test_paddings_are_refused(tmp_path):
    path = tmp_path / "segments.csv"
    path.write_text("start,stop,start_pad,end_pad\n10,20,0,\n30,40,0,8\n")
    with pytest.raises(DataError, match="line 3: '30 40 0 8' has a padding: add it to start and stop, and leave its"):
        segments.read_segments(str(path))
    path.write_text("start,stop,start_pad,end_pad\n10,20,0,\n")
    assert segments.read_segments(str(path)) == [Segment(10.0, 20.0)]


def test_numbers_of_rows_before_times(tmp_path):
    path = tmp_path / "segments.txt"
    for text in (
        "0,1262304000,1262304300\n7,1262304310.5,1262304768\n",
        "3 1262304000 1262304300 300\n4 1262304310.5 1262304768",
    ):
        path.write_text(text)
        assert segments.read_segments(str(path)) == [
            Segment(1262304000.0, 1262304300.0),
            Segment(1262304310.5, 1262304768.0),
        ]


def test_an_error_quotes_the_whole_row(tmp_path):
    path = tmp_path / "segments.txt"
    path.write_text("0 1262304000 300\n")
    with pytest.raises(DataError, match="line 1: '0 1262304000 300' does not end after it starts"):
        segments.read_segments(str(path))


def test_a_duration_that_is_no_stop_is_named(tmp_path):
    path = tmp_path / "segments.txt"
    for text, line in (("1262304000 300\n", 1), ("start stop duration\n10 20 30\n", 2), ("start,duration\n10,-1\n", 2)):
        path.write_text(text)
        with pytest.raises(
            DataError, match=rf"line {line}: .* does not end after it starts, .*\(start and stop, or start and"
        ):
            segments.read_segments(str(path))


def test_overlapping_rows_are_united_with_a_note(source, tmp_path, capsys):
    path = tmp_path / "overlap.txt"
    path.write_text("10 20\n0 11\n20 30\n")
    settings = source(segments=str(path), min_duration=1.0, max_duration=100.0)
    for _ in range(2):
        assert segments.analysable(settings, 0.0, 100.0) == [Segment(0.0, 30.0)]
    assert capsys.readouterr().err == f"note: segments in {path} overlap, by 1 s in all: they are united\n"
    path.write_text("20 30\n10 20\n")
    assert segments.analysable(settings, 0.0, 100.0) == [Segment(10.0, 30.0)]
    assert not capsys.readouterr().err
    with pytest.raises(StorageError, match="does not exist"):
        segments.read_segments(str(tmp_path / "none.txt"))


def test_simulated_time_is_analysable_throughout(source):
    settings = source(min_duration=16.0, max_duration=40.0)
    pieces = segments.analysable(settings, 1000.5, 1100.5)
    assert pieces == [Segment(1000.5, 1040.5), Segment(1040.5, 1080.5), Segment(1080.5, 1100.5)]


def test_own_list_of_simulated_time_moves_in_to_the_samples(source, tmp_path):
    path = str(tmp_path / "own.txt")
    segments.write_segments(path, [Segment(1000.0001, 1050.7)])
    (piece,) = segments.analysable(source(segments=path), 900.0, 1100.0)
    assert piece == Segment(1000 + 1 / 2048, 1050 + 1433 / 2048)


def test_measured_segments_leave_room_for_the_filter(source, data_directory):
    path = str(data_directory / "segments" / "S6-H1segments-cat1.txt")
    own = segments.read_segments(path)
    settings = source(kind="gwosc", segments=path, min_duration=64.0)
    pieces = segments.analysable(settings, S6_START, S6_STOP)
    assert {(p.start, p.stop) for p in pieces} == {(s.start + 1, s.stop - 1) for s in own if s.duration >= 66}


def test_local_coverage_is_the_time_of_all_detectors(source, tmp_path):
    for ifo, start, duration in (("H1", 1000, 30), ("H1", 1030, 30), ("L1", 1010, 60)):
        path = str(tmp_path / f"{ifo}-{start}.hdf5")
        files.write_background(path, {ifo: np.ones(duration * 2048)}, float(start), 2048.0)
    settings = source(kind="local", frames=str(tmp_path))
    assert segments.analysable(settings, 0.0, 2000.0) == [Segment(1011.0, 1059.0)]


def test_nothing_analysable_says_what_to_do(source):
    with pytest.raises(DataError, match=r"H1,L1 have no coincident .*longest is 5 s.*lower min_duration"):
        segments.analysable(source(), 1000.0, 1005.0)


def test_no_network_says_what_to_do(monkeypatch):
    def unreachable(*arguments):
        raise ConnectionError("name resolution failed")

    monkeypatch.setattr(segments, "_ask_gwosc", unreachable)
    with pytest.raises(DataError, match=r"H1_DATA \(name resolution failed\): check the network"):
        segments.open_data_segments(("H1", "L1"), 0.0, 10.0)


def test_open_data_segments_are_those_of_all_detectors(monkeypatch):
    timelines = {"H1_DATA": [(0, 50), (60, 90)], "L1_DATA": [(40, 70)]}
    monkeypatch.setattr(segments, "_ask_gwosc", lambda flag, start, stop: timelines[flag])
    assert segments.open_data_segments(("H1", "L1"), 45.5, 80.0) == [Segment(45.5, 50.0), Segment(60.0, 70.0)]


def test_an_empty_segment_is_refused():
    with pytest.raises(DataError, match="is empty"):
        Segment(10.0, 10.0)
