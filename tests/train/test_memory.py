import os
import shutil
from pathlib import Path

import pytest
import torch

from aframe.errors import DataError
from aframe.train import memory
from aframe.train.memory import allocate, choose_place, free_on_host

CPU, GPU = torch.device("cpu"), torch.device("cuda")
FREE = {"device": 80, "host": 200}


@pytest.fixture
def _room(monkeypatch):
    monkeypatch.setattr(memory, "free_on_device", lambda device: FREE["device"])
    monkeypatch.setattr(memory, "free_on_host", lambda: FREE["host"])


@pytest.mark.usefixtures("_room")
@pytest.mark.parametrize(
    ("size", "device", "sharers", "expected"),
    [
        (40, GPU, 1, "device"), (41, GPU, 1, "host"), (100, GPU, 1, "host"), (101, GPU, 1, "disk"),
        (51, GPU, 2, "disk"), (40, GPU, 8, "device"), (40, CPU, 1, "host"), (101, CPU, 1, "disk"),
    ],
)  # fmt: skip
def test_the_first_place_with_room_is_taken(size, device, sharers, expected):
    assert choose_place("auto", size, device, sharers) == expected


@pytest.mark.usefixtures("_room")
@pytest.mark.parametrize("place", ["device", "host", "disk"])
def test_a_configured_place_is_taken(place):
    assert choose_place(place, 10**12, GPU) == place


def test_free_memory_is_less_than_all_memory():
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 2**20 < free_on_host() < whole


@pytest.mark.parametrize("place", ["device", "host", "disk"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_an_array_holds_its_values(tmp_path, place, dtype):
    array = allocate((3, 4, 5), dtype, place, CPU, str(tmp_path))
    values = torch.arange(60).reshape(3, 4, 5).to(dtype)
    array[:] = values
    assert array.dtype == dtype
    assert torch.equal(array, values)
    assert os.listdir(tmp_path) == []  # the file on disk has no name, so that nothing can be left behind


def resident() -> int:
    """Bytes of memory that this process takes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_an_array_on_disk_takes_memory_only_where_it_is_touched(tmp_path):
    before = resident()
    array = allocate((2**25,), torch.float32, "disk", CPU, str(tmp_path))
    assert float(array[2**24]) == 0
    assert resident() - before < array.nbytes / 8
    array += 1
    assert resident() - before > array.nbytes / 2


def test_a_full_disk_is_an_error_before_anything_is_written(tmp_path):
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(DataError, match=r"GB free, but .* GB of training data are to lie there: free some, set TMPDIR"):
        allocate((free,), torch.float32, "disk", CPU, str(tmp_path))
    assert os.listdir(tmp_path) == []
