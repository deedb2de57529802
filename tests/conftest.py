import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "2000")


@pytest.fixture(scope="session")
def data_directory() -> Path:
    """Real LIGO data, where they are at hand."""
    directory = Path(os.environ.get("AFRAME_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not directory.is_dir():
        pytest.skip(f"no real data: {directory} does not exist (set AFRAME_TEST_DATA)")
    return directory
