import resource

import numpy as np
import pytest

from aframe import storage
from aframe.errors import StorageError

LARGEST = 4096


@pytest.fixture
def small_files():
    """Files cannot grow beyond ``LARGEST`` bytes, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("size", [LARGEST // 8, 100 * LARGEST])
@pytest.mark.parametrize("options", [{}, {"chunks": (64,)}])
def test_a_write_error_is_one_error_and_leaves_nothing(tmp_path, small_files, size, options):
    """Chunks wait in HDF5's cache, so the error comes when the file closes."""
    with (
        pytest.raises(StorageError, match=r"x\.hdf5 cannot be written \(File too large\): mend"),
        storage.create_hdf5(str(tmp_path / "x.hdf5")) as file,
    ):
        file.create_dataset("scores", data=np.arange(float(size)), **options)
    assert not list(tmp_path.iterdir())


def test_a_file_is_read_as_it_was_written(tmp_path):
    with storage.create_hdf5(str(tmp_path / "x.hdf5"), {"a": 1}) as file:
        file.create_dataset("scores", data=np.arange(1000.0), chunks=(64,), compression="gzip")
    with storage.open_hdf5(str(tmp_path / "x.hdf5")) as file:
        assert file["scores"][:].tolist() == list(range(1000))
