from pathlib import Path

import lal
import lalframe
import numpy as np
import pytest

from aframe.errors import DataError, StorageError
from aframe.strain import frame_files
from aframe.strain.frame_files import is_whole_frame_file, read
from aframe.strain.recordings import assemble, inventory, of_files

START, RATE = 1000000000, 512
NOISE = np.random.default_rng(0).normal(0, 1e-21, 16 * RATE)


HANFORD, LIVINGSTON = 1 << 10, 1 << 12
"""LAL's bits of detectors."""


def write(path, channels, spans=((0, 16),), lacking=(), detectors=0):
    """A file with a frame for each span (s after ``START``). Channels are names with data, rate and unit.

    The frames with numbers in ``lacking`` have none. Each frame names the detectors of some bits.
    """
    file = lalframe.FrameUFrFileOpen(str(path), "w")
    for number, (low, high) in enumerate(spans):
        frame = lalframe.FrameNew(lal.LIGOTimeGPS(START + low), float(high - low), "LIGO", 0, number, detectors)
        for name, (data, rate, unit) in channels.items() if number not in lacking else ():
            part = data[low * rate : high * rate]
            series = lal.CreateREAL8TimeSeries(
                name, lal.LIGOTimeGPS(START + low), 0.0, 1 / rate, lal.Unit(unit), len(part)
            )
            series.data.data = part
            lalframe.FrameAddREAL8TimeSeriesProcData(frame, series)
        lalframe.FrameUFrameHWrite(file, frame)
    del file
    return str(path)


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "H-H1_X-1000000000-16.gwf", {"H1:GDS-CALIB_STRAIN": (NOISE, RATE, "strain")})


def test_frames_as_they_were_written(path):
    (recording,) = inventory(path)
    assert (recording.ifo, recording.channel) == ("H1", "H1:GDS-CALIB_STRAIN")
    assert (recording.start, recording.sample_rate, recording.size) == (START, RATE, len(NOISE))
    np.testing.assert_array_equal(read([(recording, 0, len(NOISE))])[0], NOISE)
    np.testing.assert_array_equal(read([(recording, 100, 300)])[0], NOISE[100:300])


@pytest.mark.parametrize(
    "name",
    ["strain.gwf", "H-H1_X-1000000004-12.gwf", "L-L1_X-900000000-16.gwf", "H1 [v2] 100%#1.gwf", "12:30.gwf", "H.GWF"],
)
def test_contents_count_and_names_do_not(path, tmp_path, name):
    (tmp_path / "files [a]").mkdir()
    other = Path(path).rename(tmp_path / "files [a]" / name)
    (recording,) = inventory(str(other))
    assert (recording.ifo, recording.start) == ("H1", START)
    np.testing.assert_array_equal(read([(recording, 0, len(NOISE))])[0], NOISE)


@pytest.mark.parametrize(
    ("name", "detectors", "ifo"),
    [("H-H1_X-0-16.gwf", 0, "H1"), ("l1.gwf", 0, "L1"), ("x.gwf", LIVINGSTON, "L1"), ("H-X-0-16.gwf", 0, "H1"),
     ("H-H1_X-0-16.gwf", HANFORD | LIVINGSTON, "H1")],
)  # fmt: skip
@pytest.mark.parametrize("channel", ["STRAIN", "strain"])
def test_channels_that_do_not_name_their_detector(tmp_path, name, detectors, ifo, channel):
    path = write(tmp_path / name, {channel: (NOISE, RATE, "strain")}, detectors=detectors)
    (recording,) = inventory(path)
    assert (recording.ifo, recording.channel, recording.start) == (ifo, channel, START)
    np.testing.assert_array_equal(read([(recording, 0, len(NOISE))])[0], NOISE)


def test_a_chosen_channel_that_does_not_name_its_detector(tmp_path):
    channels = {name: (NOISE, RATE, "strain") for name in ("STRAIN", "MINE")}
    (recording,) = of_files([write(tmp_path / "H-H1_X-0-16.gwf", channels)], {"H1": "MINE"})
    assert (recording.ifo, recording.channel) == ("H1", "MINE")


def test_frames_that_name_no_detector(tmp_path):
    path = write(tmp_path / "x.gwf", {"STRAIN": (NOISE, RATE, "strain")}, detectors=HANFORD | LIVINGSTON)
    with pytest.raises(DataError, match=r"of 'STRAIN': name the file as \S+\.gwf, or the channel as H1:STRAIN, with"):
        inventory(path)


def test_a_missing_frame_is_a_gap(tmp_path, capfd):
    path = write(tmp_path / "H.gwf", {"H1:STRAIN": (NOISE, RATE, "strain")}, ((0, 2), (2, 6), (10, 16)))
    recordings = inventory(path)
    assert [(r.start - START, r.stop - START) for r in recordings] == [(0, 6), (10, 16)]
    first, second = assemble(recordings, float(RATE))
    np.testing.assert_array_equal(first.data, NOISE[: 6 * RATE])
    np.testing.assert_array_equal(second.data, NOISE[10 * RATE :])
    assert capfd.readouterr() == ("", "")


def write_frames(path, frames):
    """A file of frames of H1:STRAIN, each with its start (s after ``START``), data, rate and unit."""
    file = lalframe.FrameUFrFileOpen(str(path), "w")
    for number, (low, data, rate, unit) in enumerate(frames):
        start = lal.LIGOTimeGPS(START + low)
        frame = lalframe.FrameNew(start, len(data) / rate, "LIGO", 0, number, 0)
        series = lal.CreateREAL8TimeSeries("H1:STRAIN", start, 0.0, 1 / rate, lal.Unit(unit), len(data))
        series.data.data = data
        lalframe.FrameAddREAL8TimeSeriesProcData(frame, series)
        lalframe.FrameUFrameHWrite(file, frame)
    del file
    return str(path)


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ((8, NOISE[: 4 * RATE], RATE // 2, "strain"), "has 256 Hz in the frame at GPS 1000000008, and 512 Hz before"),
        (
            (8, NOISE[8 * RATE :], RATE, "m"),
            "is in m in the frame at GPS 1000000008, and in strain in the file's first",
        ),
        ((4, NOISE[: 8 * RATE], RATE, "strain"), "has two frames with different samples from GPS 1000000004 on: give"),
    ],
)
def test_frames_that_contradict_the_first_are_refused(tmp_path, second, reason):
    both = write_frames(tmp_path / "both.gwf", [(0, NOISE[: 8 * RATE], RATE, "strain"), second])
    with pytest.raises(DataError, match=rf"both\.gwf: H1:STRAIN {reason}"):
        read([(inventory(both)[0], 0, 12 * RATE)])
    if second[3] == "m":
        with pytest.raises(DataError, match=reason):
            read([(inventory(both)[0], 10 * RATE, 12 * RATE)])


def test_no_unit_is_strain(tmp_path):
    parts = [(0, NOISE[: 8 * RATE], RATE, "strain"), (8, NOISE[8 * RATE :], RATE, "")]
    (recording,) = inventory(write_frames(tmp_path / "H.gwf", parts))
    np.testing.assert_array_equal(read([(recording, 0, len(NOISE))])[0], NOISE)


def test_two_files_one_behind_the_other(path):
    Path(path).write_bytes(2 * Path(path).read_bytes())
    with pytest.raises(StorageError, match=r"\.gwf is several frame files one behind the other: give each file by its"):
        inventory(path)


def test_a_frame_that_is_there_twice(tmp_path):
    path = write(tmp_path / "H.gwf", {"H1:STRAIN": (NOISE, RATE, "strain")}, ((0, 6), (4, 6), (6, 16)))
    (recording,) = inventory(path)
    np.testing.assert_array_equal(read([(recording, 0, len(NOISE))])[0], NOISE)


def test_a_frame_without_the_channel_is_a_gap(tmp_path, capsys):
    spans, gaps = ((0, 2), (2, 6), (6, 16)), []
    path = write(tmp_path / "H.gwf", {"H1:STRAIN": (NOISE, RATE, "strain")}, spans, lacking=(1,))
    first, second = assemble(inventory(path), float(RATE), report=gaps.append)
    assert (first.stop - START, second.start - START) == (2, 6)
    assert [(gap.start - START, gap.stop - START, gap.value) for gap in gaps] == [(2, 6, "NaN")]
    np.testing.assert_array_equal(second.data, NOISE[6 * RATE :])
    assert capsys.readouterr().err == (
        f"note: {path}: the channel H1:STRAIN is missing in the frame from GPS 1000000002 to 1000000006\n"
    )


def test_a_spectrum_is_no_strain(tmp_path):
    file = lalframe.FrameUFrFileOpen(str(tmp_path / "H.gwf"), "w")
    frame = lalframe.FrameNew(lal.LIGOTimeGPS(START), 16.0, "LIGO", 0, 0, 0)
    spectrum = lal.CreateREAL8FrequencySeries("H1:STRAIN_X", lal.LIGOTimeGPS(START), 0.0, 0.25, lal.Unit("strain"), 10)
    spectrum.data.data = np.ones(10)
    lalframe.FrameAddREAL8FrequencySeriesProcData(frame, spectrum, 3)
    lalframe.FrameUFrameHWrite(file, frame)
    del file
    with pytest.raises(DataError, match=r"holds no strain: 'H1:STRAIN_X' is in steps of s\^-1, no time series"):
        inventory(str(tmp_path / "H.gwf"))


def test_channels(tmp_path):
    content = {
        "H1:GDS-CALIB_STRAIN": (NOISE, RATE, "strain"),
        "H1:PEM-CS_ACC_X_DQ": (np.ones(16 * 64), 64, ""),
        "H1:GDS-CALIB_STATE_VECTOR": (np.ones(16 * 16), 16, ""),
    }
    path, notes = write(tmp_path / "H.gwf", content), []
    (recording,) = of_files([path], tell=notes.append)
    assert recording.channel == "H1:GDS-CALIB_STRAIN"
    (note,) = notes
    assert note.startswith(f"left out of {path}: H1:")
    assert all(name in note for name in content if "STRAIN" not in name)
    (recording,) = of_files([path], {"H1": "PEM-CS_ACC_X_DQ"})
    assert (recording.channel, recording.sample_rate) == ("H1:PEM-CS_ACC_X_DQ", 64)
    with pytest.raises(DataError, match=r"no file has the channel H1:NOTHING: choose among H1:GDS-CALIB"):
        of_files([path], {"H1": "NOTHING"})
    content["H1:GDS-CALIB_STRAIN_CLEAN"] = (NOISE, RATE, "strain")
    path = write(tmp_path / "H2.gwf", content)
    with pytest.raises(DataError, match="H1:GDS-CALIB_STRAIN and H1:GDS-CALIB_STRAIN_CLEAN: choose with --channel"):
        of_files([path])
    (recording,) = of_files([path], {"H1": "GDS-CALIB_STRAIN_CLEAN"})
    np.testing.assert_array_equal(read([(recording, 0, 10)])[0], NOISE[:10])


@pytest.mark.parametrize("place", [0.3, 0.5, 0.7])
def test_damaged_bytes_are_reported_in_one_line(path, place, monkeypatch, capfd):
    content = bytearray(Path(path).read_bytes())
    first = int(place * len(content))
    content[first : first + 400] = np.random.default_rng(0).bytes(400)
    Path(path).write_bytes(content)
    assert is_whole_frame_file(path)
    with pytest.raises(StorageError, match=r"\.gwf is damaged \(LAL.*\): fetch it again$"):
        inventory(path)
    assert capfd.readouterr() == ("", "")
    monkeypatch.setenv("AFRAME_DEBUG", "1")
    with pytest.raises(StorageError):
        inventory(path)
    assert "XLAL Error" in capfd.readouterr().err


ENDLESS = """
from aframe.strain import frame_reader
frame_reader.LEAST_TIME = 0.5
frame_reader.QUESTIONS = {"contents": lambda *_: max(iter(int, 1))}
frame_reader.main()
"""
"""A reader that is at work for ever, as LAL is on one damaged file in a thousand."""


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import os; os.kill(os.getpid(), 11)", "LAL's frame library ends with SIGSEGV"),
        ("raise ImportError('no lalframe')", "LAL's frame library ends with ImportError: no lalframe"),
        (ENDLESS, "LAL's frame library never ends"),
    ],
)
def test_the_end_of_the_frame_library_is_reported(path, monkeypatch, program, reason):
    monkeypatch.setattr(frame_files, "READER", program)
    with pytest.raises(StorageError, match=reason):
        inventory(path)
