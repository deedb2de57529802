from pathlib import Path

import h5py
import numpy as np
import pytest
from live_strain import noise, write_frame

from aframe.errors import DataError, StorageError
from aframe.strain.recordings import of_files, read
from aframe.strain.state_vectors import StateVectors, has_bits

RATE, START = 256.0, 1_400_000_000.0
STATES = StateVectors({"H1": "GDS-CALIB_STATE_VECTOR"}, (0, 1))


def hdf5(path: Path, values: np.ndarray, name: str = "H1:GDS-CALIB_STATE_VECTOR", **attributes: float) -> str:
    """Four seconds of strain of H1, and a state vector that begins with it and has one value a second."""
    with h5py.File(path, "w") as file:
        file["H1"] = noise(4.0, RATE)["H1"]
        file["H1"].attrs.update({"x0": START, "dx": 1 / RATE})
        file[name] = values
        file[name].attrs.update({"x0": START, "dx": 1.0} | attributes)
    return str(path)


def masked(path: str) -> np.ndarray:
    """Which samples are left, of the strain in a file."""
    (recording,) = of_files([path])
    return np.isfinite(STATES.masked(read(recording, recording.start, recording.stop), path).data)


def test_bits_tell_which_samples_are_searched():
    values = np.array([3, 1, 2, 7])
    found = has_bits(values, 0.5, (0, 1), range(10))
    np.testing.assert_array_equal(found, [True, True, False, False, False, False, True, True, True, True])
    np.testing.assert_array_equal(has_bits(values, 0.5, (0, 1), range(1, 3)), [True, False])


def test_states_in_hdf5_files_take_strain_out(tmp_path):
    good = masked(hdf5(tmp_path / "a.hdf5", np.array([3, 1, 3, 7])))
    np.testing.assert_array_equal(good, np.repeat([True, False, True, True], 256))
    # states that begin later, or end earlier, leave strain without a state: it is not searched
    good = masked(hdf5(tmp_path / "b.hdf5", np.array([3, 3]), x0=START + 1))
    np.testing.assert_array_equal(good, np.repeat([False, True, True, False], 256))
    good = masked(hdf5(tmp_path / "c.hdf5", np.array([3, 3, 3, 3]), "GDS-CALIB_STATE_VECTOR", x0=START - 2))
    np.testing.assert_array_equal(good, np.repeat([True, True, False, False], 256))


def test_states_in_frames_take_strain_out(tmp_path):
    for second, state in enumerate((3, 1)):
        path = tmp_path / f"H-H1_TEST-{START + second:.0f}-1.gwf"
        write_frame(path, {"H1": noise(1.0, RATE)["H1"]}, START + second, RATE, {"H1": state})
        (recording,) = of_files([str(path)])
        left = np.isfinite(STATES.masked(read(recording, recording.start, recording.stop), str(path)).data)
        assert left.all() == (state == 3)
        assert left.any() == (state == 3)


def test_a_detector_without_a_state_vector_keeps_its_strain(tmp_path):
    path = hdf5(tmp_path / "a.hdf5", np.zeros(4, int))
    (recording,) = of_files([path])
    stretch = read(recording, recording.start, recording.stop)
    assert StateVectors({"L1": "X"}, (0,)).masked(stretch, path) is stretch


def test_what_is_no_state_vector_is_one_line(tmp_path):
    path = hdf5(tmp_path / "a.hdf5", np.array([0.5, 1.0, 1.0, 1.0]))
    with pytest.raises(DataError, match=r"a\.hdf5: H1:GDS-CALIB_STATE_VECTOR is no state vector"):
        STATES.check(of_files([path], {"H1": "H1"}))
    path = hdf5(tmp_path / "b.hdf5", np.array([1, 1]), "H1:OTHER")
    with pytest.raises(DataError, match="has no dataset H1:GDS-CALIB_STATE_VECTOR: mend state_channel"):
        STATES.check(of_files([path]))
    frame = tmp_path / "H-H1_TEST-1400000000-1.gwf"
    write_frame(frame, {"H1": noise(1.0, RATE)["H1"]}, START, RATE)
    with pytest.raises(DataError, match="has no channel H1:GDS-CALIB_STATE_VECTOR"):
        STATES.check(of_files([str(frame)]))
    (recording,) = of_files([str(frame)])
    frame.write_bytes(frame.read_bytes()[:-500])
    with pytest.raises(StorageError, match="no complete frame file"):
        STATES.check([recording])
