import errno
import os
import re
import shutil

import fsspec
import h5py
import numpy as np
import pytest

from aframe import storage
from aframe.errors import ParameterMismatchError, StorageError


def leftovers(directory):
    return [path.name for path in directory.iterdir() if path.name.startswith(".partial")]


def test_files_appear_whole(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    storage.write_text(str(path), "Tb = 3 s")
    assert storage.read_text(str(path)) == "Tb = 3 s"
    assert not leftovers(path.parent)


def test_an_interrupted_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "file.hdf5"
    with storage.create_hdf5(str(path)) as file:
        file["x"] = np.arange(3)

    def interrupted():
        with storage.create_hdf5(str(path)) as file:
            file["x"] = np.arange(9)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with storage.open_hdf5(str(path)) as file:
        np.testing.assert_array_equal(file["x"][:], np.arange(3))
    assert not leftovers(tmp_path)


def test_a_directory_replaces_the_one_before(tmp_path):
    for content in ("first", "second"):
        with storage.atomic(str(tmp_path / "model")) as temporary:
            temporary.mkdir()
            (temporary / content).touch()
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["second"]
    assert not leftovers(tmp_path)


def test_remote_paths_are_written_read_and_listed_alike(tmp_path):
    base = "memory://bucket/run"
    with storage.create_hdf5(f"{base}/a.hdf5", {"seed": 1}) as file:
        file["x"] = np.arange(5)
    storage.write_text(f"{base}/b.txt", "text")
    assert storage.glob(base, "*.hdf5") == ["memory:///bucket/run/a.hdf5"]
    with storage.open_hdf5(f"{base}/a.hdf5") as file:
        np.testing.assert_array_equal(file["x"][1:3], [1, 2])
    assert storage.made_with(f"{base}/a.hdf5") == {"seed": 1}
    assert storage.read_text(f"{base}/b.txt") == "text"
    storage.remove(f"{base}/b.txt")
    assert not storage.exists(f"{base}/b.txt")


@pytest.mark.parametrize("where", ["local", "memory://tried"])
def test_a_place_is_tried_and_left_as_it_was(tmp_path, where):
    base = str(tmp_path) if where == "local" else where
    storage.write_text(f"{base}/events.hdf5", "before")
    storage.try_to_write(f"{base}/events.hdf5")
    assert storage.read_text(f"{base}/events.hdf5") == "before"
    assert len(storage.glob(base, "*")) == 1


def test_what_is_remote():
    assert storage.is_remote("s3://bucket/x")
    assert not storage.is_remote("/data/x")
    assert not storage.is_remote("x:y")
    assert storage.join("s3://bucket/", "a", "b") == "s3://bucket/a/b"


def test_missing_and_damaged_files_say_what_to_do(tmp_path):
    path = tmp_path / "cut.hdf5"
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(10000)
    path.write_bytes(path.read_bytes()[:3000])
    with (
        pytest.raises(StorageError, match=r"cut\.hdf5 is not a complete HDF5 file.*truncated"),
        storage.open_hdf5(str(path)),
    ):
        pass
    with pytest.raises(StorageError, match="does not exist"), storage.open_hdf5(str(tmp_path / "none.hdf5")):
        pass
    with pytest.raises(StorageError, match="does not exist"):
        storage.read_text(str(tmp_path / "none.txt"))


def why_not_opened(path):
    with pytest.raises(StorageError) as refused, storage.open_hdf5(str(path)):
        pass
    return str(refused.value)


def test_a_damaged_part_of_an_hdf5_file_is_reported(tmp_path):
    with storage.create_hdf5(str(tmp_path / "a.hdf5")) as file:
        dataset = file.create_dataset("x", data=np.arange(1000.0), chunks=(100,), compression="gzip")
        place = dataset.id.get_chunk_info(5)
    with open(tmp_path / "a.hdf5", "r+b") as stream:
        stream.seek(place.byte_offset)
        stream.write(bytes(place.size))
    damaged = pytest.raises(StorageError, match=r"a\.hdf5 is damaged \(.*\): if a step of the run made it, delete it")
    with damaged, storage.open_hdf5(str(tmp_path / "a.hdf5")) as file:
        file["x"][:]


def test_what_is_no_hdf5_file_is_not_to_be_deleted(tmp_path):
    (tmp_path / "table.hdf5").write_text("mass_1,mass_2\n30,20\n")
    (tmp_path / "empty.hdf5").touch()
    assert why_not_opened(tmp_path / "table.hdf5").startswith(f"{tmp_path}/table.hdf5 is no HDF5 file: mend the path")
    assert why_not_opened(tmp_path) == f"{tmp_path} is a directory: give an HDF5 file"
    assert "is not a complete HDF5 file" in why_not_opened(tmp_path / "empty.hdf5")
    assert "cannot be read (Not a directory)" in why_not_opened(tmp_path / "table.hdf5" / "x.hdf5")


def test_a_file_without_permission_cannot_be_read(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError(errno.EACCES, "Unable to open file (errno = 13,\nbuf = 0x7ff)")

    monkeypatch.setattr(h5py, "File", refused)
    monkeypatch.setattr(fsspec.implementations.local.LocalFileSystem, "cat_file", refused)
    path = str(tmp_path / "mine.hdf5")
    message = f"{path} cannot be read (Permission denied): mend its permissions or the path"
    assert why_not_opened(path) == message
    with pytest.raises(StorageError, match=re.escape(message)):
        storage.read_text(path)


def test_why_a_directory_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    assert storage.existing_parent(tmp_path / "new" / "deep") == tmp_path
    assert storage.free_bytes(tmp_path / "new" / "deep") == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)
    assert storage.why_not_written(tmp_path / "new" / "deep") == ""
    assert storage.why_not_written(tmp_path / "file" / "x") == f"{tmp_path}/file is no directory"
    assert "longer than 255 bytes" in storage.why_not_written(tmp_path / ("x" * 300))
    assert re.search(r"its disk has \d+ MB left", storage.why_not_written(tmp_path, 1e18))
    with pytest.raises(StorageError, match=r"cannot be written \(.*/file is no directory\)"):
        storage.write_text(str(tmp_path / "file" / "page.html"), "")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert storage.why_not_written(tmp_path / "new") == f"there is no permission to write in {tmp_path}"


@pytest.mark.parametrize("name", ["output.hdf5", "output.pt"])
def test_outputs_remember_what_made_them(tmp_path, name):
    path, parameters = str(tmp_path / name), {"search.ifos": ("H1", "L1"), "inference.Tb": 3.5, "data.asd": None}
    if name.endswith(".hdf5"):
        with storage.create_hdf5(path, parameters):
            pass
    else:
        storage.sign(path, parameters)
        storage.write_text(path, "weights")
    storage.check_parameters(path, parameters)
    with pytest.raises(ParameterMismatchError, match=r"inference\.Tb = 3\.5, but .* inference\.Tb = 7\.0: restore"):
        storage.check_parameters(path, parameters | {"inference.Tb": 7.0})
    with pytest.raises(ParameterMismatchError, match=r"search\.seed = None, but .* search\.seed = 1"):
        storage.check_parameters(path, parameters | {"search.seed": 1})


def test_outputs_of_unknown_origin_are_refused(tmp_path):
    storage.write_text(str(tmp_path / "model.pt"), "weights")
    with pytest.raises(ParameterMismatchError, match="does not say which parameters"):
        storage.check_parameters(str(tmp_path / "model.pt"), {})


@pytest.mark.parametrize("where", ["local", "memory://first"])
def test_the_first_of_several_writers_is_kept(where, tmp_path):
    path = storage.join(str(tmp_path) if where == "local" else where, "new", "choice.json")
    assert storage.write_first(path, "one") == "one"
    assert storage.write_first(path, "two") == "one"
    assert storage.read_text(path) == "one"
    if where == "local":
        assert [each.name for each in (tmp_path / "new").iterdir()] == ["choice.json"]
