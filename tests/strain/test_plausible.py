"""Times and values that no detector has recorded."""

from pathlib import Path

import h5py
import lal
import lalframe
import numpy as np
import pytest

from aframe.errors import DataError
from aframe.strain import hdf5_files
from aframe.strain.recordings import of_files

START, RATE = 1262304200.0, 1024
WHITE = np.random.default_rng(0).normal(0, 1, 16 * RATE)
RED = np.cumsum(WHITE) / np.std(np.cumsum(WHITE))
"""White and red noise with a standard deviation of 1."""


def write(path: Path, data: np.ndarray = 1e-21 * RED, start: float = START, name: str = "H1") -> str:
    """A file of strain, in HDF5 or as a frame by its suffix."""
    if path.suffix == ".gwf":
        file = lalframe.FrameUFrFileOpen(str(path), "w")
        frame = lalframe.FrameNew(lal.LIGOTimeGPS(start), len(data) / RATE, "LIGO", 0, 0, 0)
        series = lal.CreateREAL8TimeSeries(name, lal.LIGOTimeGPS(start), 0.0, 1 / RATE, lal.Unit("strain"), len(data))
        series.data.data = data
        lalframe.FrameAddREAL8TimeSeriesProcData(frame, series)
        lalframe.FrameUFrameHWrite(file, frame)
        del file
        return str(path)
    with h5py.File(path, "w") as file:
        file.create_dataset(name, data=data).attrs.update({"x0": start, "dx": 1 / RATE})
    return str(path)


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file here crashes the HDF5 library."""
    monkeypatch.setattr(hdf5_files, "check", lambda paths: None)


UNIX, DYN_RANGE_FAC = START + 315964782, 5.902958103587057e20

FLAWS = {
    "UNIX time": ({"start": UNIX}, "begins at 1578268982, in the year 2030: it seems to be in UNIX time, and GPS sec"),
    "negative": ({"start": -5.0}, "begins at -5 s, before the first GPS second: write GPS seconds"),
    "whitened": ({"data": WHITE}, "has values of 6e-01, and strain has about 1e-21: it seems to be whitened"),
    "quiet and whitened": ({"data": 1e-3 * WHITE}, "has values of 6e-04, .* it seems to be whitened"),
    "scaled by PyCBC": ({"data": 1e-20 * DYN_RANGE_FAC * RED}, r"seems to be scaled, perhaps by 5\.9e20 as PyCBC does"),
    "scaled": ({"data": 1e-6 * RED}, r"seems to be scaled, by about \de\+14: divide it by the factor"),
    "energy": ({"data": 1e-42 * WHITE}, "has values of 7e-43, and strain has about 1e-21: give strain"),
    "named so": ({"name": "H1:WHITENED_STRAIN"}, "'H1:WHITENED_STRAIN' is made from strain or tells about it"),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_what_no_detector_records_is_refused(flaw: str, tmp_path: Path) -> None:
    change, reason = FLAWS[flaw]
    with pytest.raises(DataError, match=f"holds no strain: .*{reason}"):
        of_files([write(tmp_path / "H.hdf5", **change)])


@pytest.mark.parametrize("change", [{"start": UNIX}, {"data": WHITE}])
def test_frames_are_judged_alike(change: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"H\.gwf holds no strain: 'H1:STRAIN' .* it seems to be"):
        of_files([write(tmp_path / "H.gwf", name="H1:STRAIN", **change)])


def test_simulated_times_have_a_note(tmp_path: Path) -> None:
    for start, when in ((0.0, "GPS 0, before 2000"), (2.1e9, "GPS 2100000000, in the year 2046"), (START, "")):
        notes: list[str] = []
        path = write(tmp_path / f"{start}.hdf5", start=start)
        assert [recording.start for recording in of_files([path], tell=notes.append)] == [start]
        assert (
            notes
            == [f"strain of H1 in {path} begins at {when}: it is taken for simulated strain" if when else ""][
                : len(when)
            ]
        )


def test_a_long_gap_is_no_amplitude(tmp_path: Path) -> None:
    for fill in (0.0, -9999.0, np.nan):
        data = np.where(np.arange(len(RED)) < 2 * RATE, 1e-21 * RED, fill)
        assert of_files([write(tmp_path / f"{fill}.hdf5", data)])


def test_whitened_files_among_others_are_left_out(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{k}.hdf5", 1e-21 * RED if k else WHITE, START + 16 * k) for k in range(6)]
    notes: list[str] = []
    assert len(of_files(paths, tell=notes.append)) == 5
    assert notes[0].startswith(f"left out of {paths[0]}: H1 has values of 6e-01")
