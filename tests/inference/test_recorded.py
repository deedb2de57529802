from pathlib import Path

import h5py
import numpy as np
import pytest

from aframe.errors import DataError, StorageError
from aframe.inference.recorded import search_recorded
from aframe.strain.files import write_background
from aframe.strain.recordings import inventory, read

RATE = 256.0
RESOLUTION = 0.13  # s: half a stride
PULSE = 3e-20 * np.exp(-0.5 * ((np.arange(64) - 32) / 1.5) ** 2) * np.cos(0.9 * (np.arange(64) - 32))


@pytest.fixture
def record(make_strain, tmp_path):
    """Writes recorded strain, a pulse at some times in every detector."""

    def write(duration, times=(), ifos=("H1", "L1"), start=2000.0, name="recording.hdf5"):
        strain = make_strain(ifos, duration, 11)
        for time in times:
            first = round((time - start) * RATE) - 32
            for data in strain.values():
                data[first : first + 64] += PULSE
        path = str(tmp_path / name)
        write_background(path, strain, start, RATE)
        return path

    return write


@pytest.mark.parametrize("duration", [7.0, 20.0])
def test_a_pulse_is_found_in_strain_of_any_length(record, make_model, duration):
    # 20 s can give psd_length = 4 s away for a PSD from the past; 7 s cannot
    time = 2000.0 + duration - 2.3125
    events = search_recorded(make_model("coincidence"), [record(duration, [time])], 0.5, 4.0, "cpu")
    assert events["detection_time"][0] == pytest.approx(time, abs=RESOLUTION)
    assert (np.diff(events["detection_statistic"]) <= 0).all()
    assert events["shift"].shape == (len(events), 2)
    lost = 1.0 if duration == 7.0 else 4.5
    assert events.livetime == duration - lost - 1.0 + 0.25


def test_files_that_follow_each_other_are_one_recording(record, make_model):
    whole = search_recorded(make_model("coincidence"), [record(30.0, [2014.99])], 0.5, 4.0, "cpu")
    recording = {r.ifo: r for r in inventory(record(30.0, [2014.99]))}
    paths = []
    for low, high in ((2015.0, 2030.0), (2000.0, 2015.0)):
        strain = {ifo: read(r, low, high).data for ifo, r in recording.items()}
        paths.append(record(1.0, name=f"{low}.hdf5"))
        write_background(paths[-1], strain, low, RATE)
    parts = search_recorded(make_model("coincidence"), paths, 0.5, 4.0, "cpu")
    for name in whole.parameters:
        np.testing.assert_array_equal(parts[name], whole[name])
    assert whole["detection_time"][0] == pytest.approx(2014.99, abs=RESOLUTION)


def test_missing_samples_split_the_search(record, make_model):
    path = record(40.0, [2009.0, 2035.0])
    with h5py.File(path, "r+") as file:
        file["L1"][20 * 256 : 21 * 256] = np.nan
    events = search_recorded(make_model("coincidence"), [path], 0.5, 4.0, "cpu")
    assert np.isfinite(events["detection_statistic"]).all()
    assert sorted(events["detection_time"][:2]) == pytest.approx([2009.0, 2035.0], abs=RESOLUTION)
    assert events.livetime == (20 - 4.5 - 1.0 + 0.25) + (19 - 4.5 - 1.0 + 0.25)


@pytest.mark.parametrize("ifos", [("H1",), ("H1", "V1"), ("H1", "L1", "V1")])
def test_other_detectors_than_the_models_are_refused(record, make_model, ifos):
    with pytest.raises(DataError, match=f"the model searches H1, L1 together, the files hold {', '.join(ifos)}"):
        search_recorded(make_model("coincidence"), [record(20.0, ifos=ifos)], 0.5, 4.0, "cpu")


def test_too_short_a_recording_is_refused_with_what_it_needs(record, make_model):
    with pytest.raises(DataError, match=r"is 2\.5 s long, which this model needs"):
        search_recorded(make_model("coincidence"), [record(2.25)], 0.5, 4.0, "cpu")
    assert len(search_recorded(make_model("coincidence"), [record(2.75)], 0.5, 4.0, "cpu")) == 1


def test_a_truncated_file_is_refused(record, make_model, tmp_path):
    content = Path(record(20.0)).read_bytes()
    (tmp_path / "broken.hdf5").write_bytes(content[: len(content) // 2])
    with pytest.raises(StorageError, match=r"broken\.hdf5 is not a complete HDF5 file"):
        search_recorded(make_model("coincidence"), [str(tmp_path / "broken.hdf5")], 0.5, 4.0, "cpu")
    with pytest.raises(StorageError, match="does not exist"):
        search_recorded(make_model("coincidence"), [str(tmp_path / "nothing.hdf5")], 0.5, 4.0, "cpu")


def test_gw150914_is_the_loudest_coincidence_of_its_half_minute(data_directory, make_model):
    # excess of both detectors' energies at once, within the light's travel time; merger at GPS 1126259462.42
    model = make_model("energy", rate=2048.0)
    paths = [str(data_directory / "strain" / f"{ifo[0]}-{ifo}_LOSC_4_V2-1126259446-32.hdf5") for ifo in ("H1", "L1")]
    events = search_recorded(model, paths, 0.5, 8.0, "cpu")
    assert events["detection_time"][0] == pytest.approx(1126259462.42, abs=RESOLUTION)
