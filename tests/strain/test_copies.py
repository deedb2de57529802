import numpy as np
import pytest

from aframe.errors import DataError
from aframe.strain.copies import check_detectors_differ
from aframe.strain.files import write_background
from aframe.strain.recordings import of_files

NOISE = np.random.default_rng(0).normal(0, 1e-21, size=(2, 4096))


@pytest.mark.parametrize(
    ("other", "is_copy"), [(NOISE[0], True), (-1e3 * NOISE[0], True), (NOISE[0] + NOISE[1], False), (NOISE[1], False)]
)
def test_one_detector_with_the_samples_of_another(tmp_path, other, is_copy):
    for ifo, data in (("H1", NOISE[0]), ("L1", other)):
        write_background(str(tmp_path / f"{ifo}.hdf5"), {ifo: data}, 1e9, 512.0)
    recordings = {ifo: of_files([str(tmp_path / f"{ifo}.hdf5")]) for ifo in ("H1", "L1")}
    if not is_copy:
        check_detectors_differ(recordings)
        return
    with pytest.raises(DataError, match=r"H1\.hdf5 and \S+L1\.hdf5 have the same samples as strain of H1 and of L1: "):
        check_detectors_differ(recordings)


def test_zeros_are_no_copy(tmp_path):
    write_background(str(tmp_path / "both.hdf5"), {"H1": np.zeros(4096), "L1": np.zeros(4096)}, 1e9, 512.0)
    recordings = of_files([str(tmp_path / "both.hdf5")])
    check_detectors_differ({each.ifo: [each] for each in recordings})


def test_recordings_that_overlap_by_less_than_a_sample_are_no_copies(tmp_path):
    for ifo in ("H1", "L1"):
        write_background(str(tmp_path / f"{ifo}.hdf5"), {ifo: NOISE[0]}, 1e9, 1e12)
    check_detectors_differ({ifo: of_files([str(tmp_path / f"{ifo}.hdf5")]) for ifo in ("H1", "L1")})
