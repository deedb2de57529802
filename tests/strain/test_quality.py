import itertools
from pathlib import Path

import h5py
import numpy as np
import pytest

from aframe.errors import DataError
from aframe.strain import segments as segments_module
from aframe.strain.quality import (
    read_bits,
    read_gates,
    read_list,
    unset_in_files,
    unset_in_timeline,
)
from aframe.strain.segments import Segment

GW200129 = "L-L1_GWOSC_4KHZ_R1-1264316101-32.hdf5"
UNTRUSTED = [Segment(1264316116.0, 1264316124.0), Segment(1264316126.0, 1264316127.0)]
"""Seconds …116 to …123 and …126, each a whole one."""


def strain(data_directory: Path) -> Path:
    return data_directory / "strain"


def bits_file(
    path: Path, ifo: str, start: int, values: list[int], names: tuple[str, ...] = ("DATA", "CBC_CAT2")
) -> None:
    """A GWOSC file of a few seconds."""
    with h5py.File(path, "w") as file:
        series = file.create_dataset("strain/Strain", data=np.zeros(16 * len(values)))
        series.attrs.update({"Xstart": start, "Xspacing": 1 / 16})
        file["meta/Detector"], file["meta/GPSstart"] = ifo, start
        mask = file.create_dataset("quality/simple/DQmask", data=np.array(values, dtype=np.int32))
        mask.attrs.update({"Xstart": start, "Xspacing": 1.0})
        file["quality/simple/DQShortnames"] = np.array([name.encode() for name in names])


def test_the_gates_of_o3(data_directory: Path) -> None:
    gates = read_gates(str(data_directory / "segments/H1-O3_GATES_1238166018-31197600.txt"))
    first = gates[0]
    assert (first.start, first.stop) == pytest.approx((1238175742.66 - 0.84375, 1238175742.66 + 0.84375))
    assert 2000 < len(gates) <= 2313
    assert gates == sorted(gates)
    assert all(earlier.stop < later.start for earlier, later in itertools.pairwise(gates))


def test_gates_are_widened_by_their_taper_and_merged(tmp_path: Path) -> None:
    path = tmp_path / "gates.txt"
    path.write_text("# centre half-width taper\n100 1 0.5\n\n102.5 1 0.5  # touches\n50 0 0.25\n")
    assert read_gates(str(path)) == [Segment(49.75, 50.25), Segment(98.5, 104.0)]


@pytest.mark.parametrize("line", ["100 1", "100 1 0.5 3", "100 x 0.5", "100 -1 0.5", "100 0 0", "100 nan 0.5"])
def test_malformed_gates_are_named_by_file_and_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "gates.txt"
    path.write_text(f"90 1 0.5\n{line}\n")
    with pytest.raises(DataError, match=f"^{path}, line 2: '{line}' is no gate: expected 'centre half-width taper'"):
        read_gates(str(path))


def test_gates_in_other_forms(tmp_path: Path) -> None:
    path = tmp_path / "gates.txt"
    for text in ("100,1,0.5\n", "# t\thw\tpad\n100\t1\t0.5\n", "time half_width taper\n100 1 0.5\n",
                 "taper;half-width;GPS\r\n0.5;1;100\r\n", "  time  half_width  taper\n0  100.0  1.0  0.5\n",
                 ",time,half_width,taper\n0,100,1,0.5\n",
                 "gps_time,zero_half_width,pad_half_width\n100,1,0.5\n", "# taper half_width gps\n0.5 1 100\n",
                 "gps,gps_ns,half_width,taper\n99,500000000,0.5,0.5\n100,500000000,0.5,0.5\n",
                 "peak_time,peak_time_ns,half_width,taper\n99,750000000,1,0.25\n100,250000000,1,0.25\n",
                 ):  # fmt: skip
        path.write_text(text)
        assert read_gates(str(path)) == [Segment(98.5, 101.5)]
    for text in ("1262304100 1262304101 0.25", "100.5 250 250", "100 30 0.5"):  # start, stop, padding; milliseconds
        path.write_text(text)
        with pytest.raises(
            DataError,
            match=r"line 1: .* is a gate of .* s, longer than 60 s: expected .*no start, stop and padding, nor mill",
        ):
            read_gates(str(path))
    for text in ("start stop pad\n100 101 0.5\n", "100,5 0,25 0,25\n", "x y z\n"):
        path.write_text(text)
        with pytest.raises(DataError, match=r"gates\.txt, line 1: .*: expected 'centre half-width taper'"):
            read_gates(str(path))
    path.write_text("# start duration pad\n1262304400 2 0.25\n")
    with pytest.raises(
        DataError, match=r"gates\.txt, comment above the rows: 'start duration pad' has no columns cent"
    ):
        read_gates(str(path))


def test_numbered_gates(tmp_path: Path) -> None:
    path = tmp_path / "gates.txt"
    path.write_text("0,1262304100.5,0.25,0.25\n1,1262304200,1,0.5\n")
    assert read_gates(str(path)) == [Segment(1262304100.0, 1262304101.0), Segment(1262304198.5, 1262304201.5)]


def test_a_list_of_another_detector_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "DATA.csv"
    path.write_text("ifo,start,stop\nH1,10,20\nL1,15,30\nH1,40,50\n")
    assert read_list(str(path), "H1") == [Segment(10.0, 20.0), Segment(40.0, 50.0)]
    with pytest.raises(DataError, match=r"DATA\.csv has no flag of V1 \(H1, L1\)"):
        read_list(str(path), "V1")
    path.write_text("flag,start,stop\nH1_DATA,10,20\nH1_CBC_CAT1,15,30\n")
    with pytest.raises(DataError, match=r"DATA\.csv has several flags of H1 \(H1_DATA, H1_CBC_CAT1\): write"):
        read_list(str(path), "H1")
    path.write_text("ifo,name,version,start_time,end_time\nH1,DATA,1,10,20\nH1,CBC_CAT1,2,15,30\nL1,DATA,1,1,2\n")
    assert read_list(str(path), "L1") == [Segment(1.0, 2.0)]
    with pytest.raises(DataError, match=r"several flags of H1 \(H1:DATA:1, H1:CBC_CAT1:2, L1:DATA:1\): write"):
        read_list(str(path), "H1")
    path.write_text("ifo,name,version,start_time,end_time\nH1,DATA,1,10,20\nH1,DATA,2,15,30\n")
    with pytest.raises(DataError, match=r"several flags of H1 \(H1:DATA:1, H1:DATA:2\): write"):
        read_list(str(path), "H1")
    path.write_text("name,start,stop\nH1:X,10,20\nL1:Y,15,30\n")
    assert read_list(str(path), "H1") == [Segment(10.0, 20.0)]
    path.write_text("detector,name,time,half_width,taper\nH1,loud,10,1,0.5\nL1,faint,15,1,0.5\nL1,loud,15,1,0.5\n")
    assert read_gates(str(path), "L1") == [Segment(13.5, 16.5)]
    path = tmp_path / "DATA.json"
    path.write_text('{"id": "L1_DATA", "start": 0, "end": 90, "segments": [[10, 20]]}')
    assert read_list(str(path), "L1") == [Segment(10.0, 20.0)]
    with pytest.raises(DataError, match=r"DATA\.json has no flag of H1 \(L1_DATA\)"):
        read_list(str(path), "H1")


@pytest.mark.parametrize(
    ("column", "of_h1", "of_l1"),
    [
        ("ifo", "H1", "L1"),
        ("site", "H", "L"),
        ("where", "Hanford", "LLO"),
        ("interferometer", "H1", "L1"),
        ("channel", "H1:PEM", "L1:LSC"),
        ("ifos", "H1V1", "L1V1"),
        ("ifos", '"H1,V1"', "\"['L1', 'V1']\""),
        ("flag", "H1:DATA:1", "L1:DATA:1"),
    ],
)
def test_rows_of_the_other_detector_are_left_out(column: str, of_h1: str, of_l1: str, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"{column},start,stop\n{of_h1},10,20\n{of_l1},15,30\n{of_h1},40,50\n")
    assert read_list(str(path), "H1") == [Segment(10.0, 20.0), Segment(40.0, 50.0)]
    assert read_list(str(path), "L1") == [Segment(15.0, 30.0)]
    with pytest.raises(DataError, match=r"list\.csv has several flags \(H1"):
        segments_module.read_segments(str(path))
    path.write_text(f"{column},time,half_width,taper\n{of_h1},10,1,0.5\n{of_l1},15,1,0.5\n")
    assert read_gates(str(path), "L1") == [Segment(13.5, 16.5)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "ifo,start,stop\nH1,10,20\nboth,15,30\n",
            "line 3: .* has 'both' in the column 'ifo', in which a row has a de",
        ),
        (
            "why,start,stop\nH1: PEM,10,20\n,15,30\n",
            "line 3: .* has '' in the column 'why', in which a row has a detec",
        ),
        ("why,start,stop\nH,10,20\nL,15,30\n", "line 2: .*: 'why' may be a column of detectors: name it ifo if it is"),
        ("ifo,channel,start,stop\nH1,L1:LSC,10,20\n", "line 2: .* names H1 and L1: leave one of the columns out"),
        ("ifo,flag,start,stop\nH1,L1:DATA,10,20\n", "line 2: .* names H1 and L1: mend the detector or the flag"),
    ],
)
def test_columns_that_mix_detectors_are_refused(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(DataError, match=rf"list\.csv, {reason}"):
        read_list(str(tmp_path / "list.csv"), "H1")


def test_the_segment_lists_of_s6(data_directory: Path) -> None:
    segments = read_list(str(data_directory / "segments/S6-L1segments-cat1.txt"), "L1")
    assert len(segments) == 4571
    assert sum(segment.duration for segment in segments) / 86400 == pytest.approx(223.067, abs=1e-3)


def test_lists_of_what_is_vetoed_may_overlap(tmp_path: Path) -> None:
    path = tmp_path / "vetoes.txt"
    path.write_text("10 20\n15 30\n40 50\n")
    assert read_list(str(path), "H1") == [Segment(10.0, 30.0), Segment(40.0, 50.0)]
    path.write_text("10 20\n20 15\n")
    with pytest.raises(DataError, match=f"^{path}, line 2: '20 15' does not end after it starts"):
        read_list(str(path), "H1")


def test_gw200129_happened_while_l1_was_not_trusted(data_directory: Path) -> None:
    quality, injections = read_bits(str(strain(data_directory) / GW200129))
    assert quality.names[:4] == ("DATA", "CBC_CAT1", "CBC_CAT2", "CBC_CAT3")
    assert quality.unset("CBC_CAT2") == quality.unset("CBC_CAT3") == UNTRUSTED
    assert quality.unset("CBC_CAT1") == quality.unset("DATA") == []
    assert injections.names[0] == "NO_CBC_HW_INJ"
    assert injections.unset("NO_CBC_HW_INJ") == []
    needed = [Segment(1264316102.0, 1264316130.0)]
    directory = str(strain(data_directory))
    unset = unset_in_files(directory, ["CBC_CAT3", "NO_CBC_HW_INJ"], ["H1", "L1"], needed)
    assert {key: segments for key, segments in unset.items() if segments} == {("L1", "CBC_CAT3"): UNTRUSTED}


def test_bits_over_several_files(tmp_path: Path) -> None:
    bits_file(tmp_path / "L-L1_a.hdf5", "L1", 100, [3, 1, 1])
    bits_file(tmp_path / "L-L1_b.hdf5", "L1", 103, [1, 3, 0])
    needed = [Segment(100.0, 102.0), Segment(102.5, 106.0)]
    unset = unset_in_files(str(tmp_path), ["CBC_CAT2", "DATA"], ["L1"], needed)
    assert unset == {
        ("L1", "CBC_CAT2"): [Segment(101.0, 104.0), Segment(105.0, 106.0)],
        ("L1", "DATA"): [Segment(105.0, 106.0)],
    }
    with pytest.raises(
        DataError, match="no HDF5 file with bit DATA of L1 from 106 to 107: add GWOSC's file to dq_files"
    ):
        unset_in_files(str(tmp_path), ["DATA"], ["L1"], [Segment(104.0, 107.0)])
    with pytest.raises(DataError, match="no HDF5 file with bit DATA of H1 from 100 to 102"):
        unset_in_files(str(tmp_path), ["DATA"], ["L1", "H1"], needed)
    with pytest.raises(DataError, match=r"L-L1_a.hdf5 has no bit CBC_CAT9: dq_bits may name DATA, CBC_CAT2"):
        unset_in_files(str(tmp_path), ["CBC_CAT9"], ["L1"], needed)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0, -9999.0, 2.5, 0.0])
def test_masks_of_floating_point_numbers(tmp_path: Path, bad: float) -> None:
    """What is no mask is time that is not good."""
    bits_file(tmp_path / "L-L1_a.hdf5", "L1", 100, [3, 3, 3, 1])
    with h5py.File(tmp_path / "L-L1_a.hdf5", "a") as file:
        values = file["quality/simple/DQmask"][:].astype(np.float64)
        values[1] = bad
        attributes = dict(file["quality/simple/DQmask"].attrs)
        del file["quality/simple/DQmask"]
        file["quality/simple/DQmask"] = values
        file["quality/simple/DQmask"].attrs.update(attributes)
    unset = unset_in_files(str(tmp_path), ["DATA", "CBC_CAT2"], ["L1"], [Segment(100.0, 104.0)])
    second = Segment(101.0, 102.0)
    assert unset == {("L1", "DATA"): [second], ("L1", "CBC_CAT2"): [second, Segment(103.0, 104.0)]}


def test_files_without_bits_tell_nothing(tmp_path: Path) -> None:
    path = tmp_path / "L-L1_a.hdf5"
    bits_file(path, "L1", 100, [3, 1, 1])
    with h5py.File(path, "a") as file:
        del file["quality"]
    assert read_bits(str(path)) == []
    with pytest.raises(DataError, match="no HDF5 file with bit DATA of L1 from 100 to 103"):
        unset_in_files(str(tmp_path), ["DATA"], ["L1"], [Segment(100.0, 103.0)])


def test_bits_from_timelines(monkeypatch: pytest.MonkeyPatch) -> None:
    """GWOSC gives the whole seconds in which a bit is set."""
    timelines = {"H1_CBC_CAT2": [[990, 1010]], "L1_CBC_CAT2": [[990, 1002], [1003, 1010]]}
    asked = []
    monkeypatch.setattr(
        segments_module, "_ask_gwosc", lambda flag, start, stop: asked.append((flag, start, stop)) or timelines[flag]
    )
    needed = [Segment(1000.5, 1002.5), Segment(1004.0, 1009.0)]
    unset = unset_in_timeline(["CBC_CAT2"], ["H1", "L1"], needed)
    assert unset == {("H1", "CBC_CAT2"): [], ("L1", "CBC_CAT2"): [Segment(1002.0, 1002.5)]}
    assert asked == [("H1_CBC_CAT2", 1000, 1009), ("L1_CBC_CAT2", 1000, 1009)]
