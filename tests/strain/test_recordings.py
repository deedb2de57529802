import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from gwpy.timeseries import TimeSeries

from aframe.errors import DataError, StorageError
from aframe.preprocessing import Whitening
from aframe.strain import files, recordings
from aframe.strain.coincidence import coincident
from aframe.strain.recordings import (
    assemble,
    check_recordings,
    expand,
    in_directory,
    inventory,
    of_files,
    read_strain,
)
from aframe.strain.resample import EDGE_DURATION, Stretch
from aframe.whitening import whiten_whole

EVENT = 1126259446.0
RATE, SECONDS = 64, 12
NOISE = np.random.default_rng(5).normal(0, 1e-21, SECONDS * RATE)
WHITENING = Whitening(2048.0, 8.0, 1.0, 1.0, 8.0, 32.0, None)


@pytest.fixture
def event(data_directory):
    return {
        "H1": str(data_directory / "strain" / "H-H1_LOSC_4_V2-1126259446-32.hdf5"),
        "L1": str(data_directory / "strain" / "L-L1_LOSC_4_V2-1126259446-32.hdf5"),
    }


def whitened(stretch):
    return whiten_whole(torch.from_numpy(stretch.data), WHITENING).data.numpy()


@pytest.mark.parametrize("ifo", ["H1", "L1"])
@pytest.mark.parametrize("rate", [4096.0, 2048.0, 1024.0])
def test_frame_and_hdf5_files_are_the_same_bytes(event, ifo, rate):
    (first,) = read_strain([event[ifo]], None, rate)[ifo]
    (second,) = read_strain([event[ifo].replace(".hdf5", ".gwf")], None, rate)[ifo]
    assert (first.start, first.sample_rate) == (second.start, second.sample_rate)
    assert first.sample_rate == rate
    np.testing.assert_array_equal(first.data, second.data)


@pytest.mark.parametrize("ifo", ["H1", "L1"])
def test_gwosc_file_as_gwpy_reads_it(event, ifo):
    (ours,) = read_strain([event[ifo]], None, 4096.0)[ifo]
    theirs = TimeSeries.read(event[ifo], format="hdf5.gwosc")
    assert ours.start == theirs.t0.value
    np.testing.assert_array_equal(ours.data, theirs.value)


@pytest.mark.parametrize("ifo", ["H1", "L1"])
def test_both_rates_of_gwosc_give_one_whitened_answer(data_directory, event, ifo):
    high = str(data_directory / "strain" / f"{ifo[0]}-{ifo}_GWOSC_16KHZ_R1-1126259447-32.hdf5")
    (low,), (fine,) = read_strain([event[ifo]], None, 2048.0)[ifo], read_strain([high], None, 2048.0)[ifo]
    assert fine.start == EVENT + 1 + EDGE_DURATION
    common = Stretch(ifo, fine.start, 2048.0, low.data[2048:])
    size = min(len(common.data), len(fine.data))
    first, second = (whitened(Stretch(ifo, s.start, 2048.0, s.data[:size])) for s in (common, fine))
    assert np.std(first - second) < 1e-2 * np.std(first)


def test_gw150914_is_where_it_should_be(event):
    (piece,) = coincident(read_strain(list(event.values()), None, 2048.0))
    assert piece.start == EVENT + EDGE_DURATION
    assert 32 - piece.duration < 2 * EDGE_DURATION + 2e-3
    for ifo in ("H1", "L1"):
        stream = whiten_whole(torch.from_numpy(piece.strain[ifo]), WHITENING)
        power = np.convolve(stream.data.numpy() ** 2, np.ones(100), "same")
        loudest = piece.start + (stream.offset + int(power.argmax())) / 2048
        assert loudest == pytest.approx(1126259462.41, abs=0.05)


def test_files_that_follow_each_other_join_without_loss(event, tmp_path):
    (whole,) = read_strain([event["H1"]], None, 4096.0)["H1"]
    paths = []
    for second in range(0, 32, 8):
        part = whole.data[second * 4096 : (second + 8) * 4096]
        paths.append(str(tmp_path / f"part-{second}.hdf5"))
        files.write_background(paths[-1], {"H1": part}, EVENT + second, 4096.0)
    (joined,) = read_strain(paths[::-1], None, 2048.0)["H1"]
    (once,) = read_strain([event["H1"]], None, 2048.0)["H1"]
    assert joined.start == once.start
    np.testing.assert_array_equal(joined.data, once.data)


def test_gwpy_layout_as_gwpy_writes_it(tmp_path):
    rng = np.random.default_rng(1)
    for ifo in ("H1", "L1"):
        series = TimeSeries(
            rng.standard_normal(4096), t0=1000.5, sample_rate=1024, name=f"{ifo}:STRAIN", channel=f"{ifo}:X"
        )
        series.write(str(tmp_path / "two.h5"), format="hdf5", path=ifo, append=True)
    recordings = inventory(str(tmp_path / "two.h5"))
    expected = [(ifo, 1000.5, 1024, 4096) for ifo in ("H1", "L1")]
    assert [(r.ifo, r.start, r.sample_rate, r.size) for r in recordings] == expected
    assert [r.ifo for r in inventory(str(tmp_path / "two.h5"), "L1")] == ["L1"]


def test_recording_that_does_not_name_its_detector(data_directory):
    path = str(data_directory / "strain" / "mlgwsc_tutorial_real_noise_2kHz_500s.hdf")
    with pytest.raises(DataError, match="does not name the detector of"):
        read_strain([path], None, 2048.0)
    (stretch,) = read_strain([path], "H1", 2048.0)["H1"]
    assert (stretch.start, stretch.stop) == (1238205077, 1238205577)


def test_gaps_split_and_each_piece_loses_its_edges(event, tmp_path):
    path = str(tmp_path / "H-H1_gaps-1126259446-32.hdf5")
    shutil.copy(event["H1"], path)
    with h5py.File(path, "r+") as file:
        file["strain/Strain"][40001:45003] = np.nan
    pieces = read_strain([path, event["L1"]], None, 2048.0)
    assert len(pieces["H1"]) == 2
    before, after = coincident(pieces)
    (whole,) = read_strain([event["H1"]], None, 2048.0)["H1"]
    for piece in (before, after):
        first = round((piece.start - whole.start) * 2048)
        expected = whole.data[first : first + len(piece.strain["H1"])]
        np.testing.assert_allclose(piece.strain["H1"], expected, atol=1e-12 * np.abs(expected).max())
    last_sample = before.start + before.duration - 1 / 2048
    assert 0 <= EVENT + 40001 / 4096 - EDGE_DURATION - last_sample < 1e-3


def test_nothing_left_is_an_error(event, tmp_path):
    path = str(tmp_path / "H-H1_gaps-1126259446-32.hdf5")
    shutil.copy(event["H1"], path)
    with h5py.File(path, "r+") as file:
        file["strain/Strain"][:] = np.nan
    with pytest.raises(DataError, match=r"missing throughout \(NaN in H1\)"):
        read_strain([path], None, 2048.0)


@pytest.mark.parametrize("suffix", [".hdf5", ".gwf"])
def test_truncated_files(event, tmp_path, suffix):
    content = Path(event["H1"]).with_suffix(suffix).read_bytes()
    path = tmp_path / f"H-H1_cut-1126259446-32{suffix}"
    path.write_bytes(content[: len(content) // 3])
    with pytest.raises(StorageError, match=r"fetch it again"):
        read_strain([str(path)], None, 2048.0)


def test_unknown_layouts_and_wrong_files(event, tmp_path):
    with h5py.File(tmp_path / "odd.hdf5", "w") as file:
        file["numbers"] = np.zeros(10)
    with pytest.raises(DataError, match="no strain in a known layout"):
        read_strain([str(tmp_path / "odd.hdf5")], None, 2048.0)
    with h5py.File(tmp_path / "noise.hdf5", "w") as file:
        file["data"] = np.zeros(10)
        file["data"].attrs.update({"x0": 1e9, "dx": 0.5})
        file["mask"] = np.zeros(10, dtype=np.int32)
        file["mask"].attrs.update({"x0": 1e9, "dx": 0.5})
    with pytest.raises(DataError, match=r"the detector of 'data': name the file as H-H1_ANYTHING-START-DURATION\.hdf5"):
        read_strain([str(tmp_path / "noise.hdf5")], None, 1.0)
    (tmp_path / "noise.hdf5").rename(tmp_path / "H-H1_NOISE-1000000000-5.hdf5")
    assert [recording.channel for recording in inventory(str(tmp_path / "H-H1_NOISE-1000000000-5.hdf5"))] == ["/data"]
    with h5py.File(tmp_path / "H-H1_NOISE-1000000000-5.hdf5", "r+") as file:
        del file["data"]
    with pytest.raises(DataError, match="'mask' is of int32: strain must be floating-point numbers"):
        read_strain([str(tmp_path / "H-H1_NOISE-1000000000-5.hdf5")], None, 1.0)
    with pytest.raises(DataError, match="holds strain of H1, not of L1"):
        read_strain([event["H1"]], "L1", 2048.0)
    with pytest.raises(StorageError, match="does not exist"):
        read_strain([str(tmp_path / "none.gwf")], None, 2048.0)
    with pytest.raises(DataError, match=r"holds no \.hdf5"):
        in_directory(str(tmp_path / "empty"))


def test_paths_are_files_directories_and_patterns(tmp_path):
    directory = tmp_path / "my [v2] data"
    directory.mkdir()
    paths = [str(directory / name) for name in ("a.hdf5", "b.h5", "c[1].hdf5", "d.GWF")]
    for path in (*paths, directory / "notes.txt"):
        Path(path).touch()
    assert expand([str(directory)]) == expand([f"file://{directory}"]) == expand([f"{directory}/"]) == paths
    assert expand([paths[2], paths[0], paths[2]]) == [paths[2], paths[0]]
    assert expand([str(tmp_path / "*" / "*.hdf5")]) == [paths[0], paths[2]]
    for nothing in ("d.hdf5", "*.gwf", "notes.txt"):
        with pytest.raises(StorageError, match=r"is no \.hdf5.* mend the path"):
            expand([str(tmp_path / nothing)])


def test_files_without_strain_are_left_out_of_a_directory(event, tmp_path):
    """A directory may hold events of its own strain, and spectra."""
    notes = []
    for path in event.values():
        shutil.copy(path, tmp_path)
    with h5py.File(tmp_path / "events.hdf5", "w") as file:
        file["parameters/detection_statistic"] = np.zeros(3)
    recordings = in_directory(str(tmp_path), tell=notes.append)
    assert [recording.ifo for recording in recordings] == ["H1", "L1"]
    assert notes == [f"left out of {tmp_path / 'events.hdf5'}: it holds no time series"]
    with pytest.raises(DataError, match=r"events\.hdf5 holds no strain in a known layout"):
        of_files([str(tmp_path / "events.hdf5")])


def test_different_strain_of_the_same_time_is_refused(event, data_directory):
    high = str(data_directory / "strain" / "H-H1_GWOSC_16KHZ_R1-1126259447-32.hdf5")
    with pytest.raises(
        DataError, match=r"hdf5 \(/strain/Strain\) and .* have different strain of H1 at 1126259447: give"
    ):
        read_strain([event["H1"], high], None, 2048.0)


def part(path, low, high, noise=NOISE):
    files.write_background(str(path), {"H1": noise[low * RATE : high * RATE]}, 1000.0 + low, float(RATE))
    return str(path)


def test_files_of_the_same_samples_are_one(tmp_path):
    spans = ((0, 4), (0, 8), (2, 6), (4, 8), (6, 12), (10, 12))
    paths = [part(tmp_path / f"{number}.hdf5", *span) for number, span in enumerate(spans)]
    recordings = of_files(paths)
    check_recordings(recordings, ["H1"], float(RATE), "files")
    (whole,) = assemble(recordings, float(RATE))
    assert whole.start == 1000.0
    np.testing.assert_array_equal(whole.data, NOISE)
    (middle,) = assemble(recordings, float(RATE), 1003.0, 1011.0)
    np.testing.assert_array_equal(middle.data, NOISE[3 * RATE : 11 * RATE])


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_names_of_one_file_are_one(tmp_path, link):
    path = part(tmp_path / "a.hdf5", 0, SECONDS)
    link(path, tmp_path / "b.hdf5")
    assert [recording.path for recording in in_directory(str(tmp_path))] == [path]


def test_a_file_and_a_link_to_its_dataset_are_one(tmp_path):
    part(tmp_path / "a.hdf5", 0, SECONDS)
    with h5py.File(tmp_path / "b.hdf5", "w") as file:
        file["H1"] = h5py.ExternalLink("a.hdf5", "/H1")
    recordings = in_directory(str(tmp_path))
    check_recordings(recordings, ["H1"], float(RATE), "files")
    (whole,) = assemble(recordings, float(RATE))
    np.testing.assert_array_equal(whole.data, NOISE)


def test_one_sample_that_differs_is_noticed(tmp_path):
    noise = NOISE.copy()
    noise[9 * RATE] = 0.0
    recordings = of_files([part(tmp_path / "a.hdf5", 0, 10), part(tmp_path / "b.hdf5", 4, 12, noise)])
    assert len(assemble(recordings, float(RATE), 1000.0, 1009.0)[0].data) == 9 * RATE
    message = r"a\.hdf5 \(/H1\) and \S+b\.hdf5 \(/H1\) have different strain of H1 at 1004"
    with pytest.raises(DataError, match=message):
        assemble(recordings, float(RATE))
    with pytest.raises(DataError, match=message):
        check_recordings(recordings, ["H1"], float(RATE), "files")


@pytest.mark.parametrize("kind", ["hdf5", "gwf"])
def test_a_part_of_a_recording_has_the_samples_of_that_time(kind, data_directory):
    path = str(data_directory / "strain" / f"H-H1_LOSC_4_V2-1126259446-32.{kind}")
    (whole,) = recordings.inventory(path)
    part = whole.between(whole.start + 2.5, whole.start + 10.00005)
    again = part.between(part.start + 1, part.stop + 5)
    assert (part.start, part.size) == (whole.start + 2.5, 30721)
    expected = recordings.read(whole, part.start, part.stop).data
    np.testing.assert_array_equal(recordings.read(part, -np.inf, np.inf).data, expected)
    np.testing.assert_array_equal(recordings.read(again, -np.inf, np.inf).data, expected[4096:])
    assert whole.between(whole.stop, whole.stop + 1) is None
