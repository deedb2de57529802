import json
import logging
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from live_events import live_event

from aframe.errors import DataError
from aframe.inference.recorded import recordings_of
from aframe.online.arrivals import Arrival
from aframe.online.handover import Handovers, Reach, write_handover
from aframe.preprocessing import Whitening
from aframe.strain.recordings import read
from aframe.strain.resample import Stretch
from aframe.whitening import power_spectral_density

RATE = 256.0
WHITENING = Whitening(
    sample_rate=RATE, psd_length=16.0, fftlength=2.0, fduration=1.0, block_length=16.0, highpass=20.0, lowpass=None
)


@pytest.fixture
def strain() -> dict[str, Stretch]:
    generator = np.random.default_rng(3)
    start = np.floor(live_event().time) - 24
    data = {ifo: 1e-21 * generator.standard_normal(int(32 * RATE)) for ifo in ("H1", "L1")}
    return {ifo: Stretch(ifo, start, RATE, values) for ifo, values in data.items()}


def test_a_file_has_what_parameter_estimation_needs(strain: dict[str, Stretch], tmp_path: Path) -> None:
    event = live_event()
    path = write_handover(str(tmp_path), event, strain, WHITENING)
    assert path == str(tmp_path / "handover" / f"{event.name}.hdf5")
    with h5py.File(path) as file:
        assert file.attrs["schema"] == "aframe-handover-1"
        assert json.loads(file.attrs["event"]) == event.document()
        assert file["H1"].attrs["snr"] == 20.5
        assert file["H1/strain"].attrs["x0"] == strain["H1"].start
        assert np.array_equal(file["L1/strain"][:], strain["L1"].data)
        expected = power_spectral_density(torch.from_numpy(strain["L1"].data[: 16 * 256]), RATE, 2.0)
        assert np.array_equal(file["L1/psd"][:], expected.numpy())
        assert file["L1/psd"].attrs["resolution_hz"] == 0.5
        assert file["L1/psd"].attrs["stop_gps_s"] == strain["L1"].start + 16


def test_aframe_infer_reads_its_strain(strain: dict[str, Stretch], tmp_path: Path) -> None:
    path = write_handover(str(tmp_path), live_event(), strain, WHITENING)
    for ifo, (recording,) in recordings_of([path], ("H1", "L1")).items():
        stretch = read(recording, recording.start, recording.stop)
        assert stretch.start == strain[ifo].start
        assert np.array_equal(stretch.data, strain[ifo].data)


def test_too_little_strain_is_one_line(strain: dict[str, Stretch], tmp_path: Path) -> None:
    late = {ifo: Stretch(ifo, each.start + 12, RATE, each.data) for ifo, each in strain.items()}
    with pytest.raises(DataError, match=r"strain of H1 from .* has no 16 s of noise before the event at 1126259462\.4"):
        write_handover(str(tmp_path), live_event(), late, WHITENING)
    assert not (tmp_path / "handover").exists()


def arrivals(rate: float, first: int, stop: int, missing: int | None = None) -> Iterator[list[Arrival]]:
    """A sine of 40 Hz at one detector, and of 80 Hz at the other, a second at a time; L1 comes a second late."""
    start = np.floor(live_event().time)
    for second in range(first, stop):
        come = []
        for ifo, late, frequency in (("H1", 0, 40.0), ("L1", 1, 80.0)):
            time = start + second - late + np.arange(int(rate)) / rate
            strain = np.sin(2 * np.pi * frequency * (time - start))
            if second - late != missing or ifo == "H1":
                come += [Arrival(ifo, time[0], rate, strain, 0.0)] * 2  # twice, as frames may come
        yield come


@pytest.mark.parametrize("rate", [256.0, 1024.0])
def test_a_hand_over_is_written_when_its_strain_has_come(rate: float, tmp_path: Path) -> None:
    handovers = Handovers(str(tmp_path), ("H1", "L1"), WHITENING, Reach(20.0, 2.5))
    event = live_event()
    path = tmp_path / "handover" / f"{event.name}.hdf5"
    for come in arrivals(rate, -40, 3):
        handovers.add(come)
    handovers.want(live_event(revision=1))
    handovers.want(event)
    handovers.add([])
    assert not path.exists()
    for come in arrivals(rate, 3, 5):
        handovers.add(come)
    handovers.close()
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    with h5py.File(path) as file:
        for ifo, frequency in (("H1", 40.0), ("L1", 80.0)):
            series = file[ifo]["strain"]
            time = series.attrs["x0"] + series.attrs["dx"] * np.arange(len(series)) - np.floor(event.time)
            assert series.attrs["dx"] == 1 / RATE
            assert time[0] < event.time - np.floor(event.time) - 19.8
            assert time[-1] > 2.5
            inner = slice(64, -64)
            np.testing.assert_allclose(series[inner], np.sin(2 * np.pi * frequency * time[inner]), atol=1e-3)


def test_strain_that_never_comes_is_given_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    handovers = Handovers(str(tmp_path), ("H1", "L1"), WHITENING, Reach(20.0, 2.5))
    handovers.want(live_event())
    with caplog.at_level(logging.WARNING, "aframe.online"):
        for come in arrivals(256.0, -40, 70, missing=-3):
            handovers.add(come)
    handovers.close()
    assert "no hand-over of G1126259462421-0: not all strain around it has come" in caplog.text
    assert not (tmp_path / "handover").exists()


def test_an_event_at_the_end_of_all_strain_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    handovers = Handovers(str(tmp_path), ("H1", "L1"), WHITENING, Reach(20.0, 2.5))
    for come in arrivals(256.0, -40, 1):
        handovers.add(come)
    handovers.want(live_event())
    with caplog.at_level(logging.WARNING, "aframe.online"):
        handovers.close()
    assert "no hand-over of G1126259462421-0: the search ends before the strain after it has come" in caplog.text
