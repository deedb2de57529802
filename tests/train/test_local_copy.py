"""Training data on a real S3 server, fetched to this machine: whole, once, verified, and resumed."""

import contextlib
import multiprocessing
import os
import pty
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import numpy as np
import pytest
import stores

from aframe import storage
from aframe.errors import StorageError
from aframe.storage import s3
from aframe.storage.cache import cache_directory
from aframe.train import local_copy
from aframe.train.local_copy import local_copies

SIZES = {"background/a.hdf5": 300_000, "background/b.hdf5": 700_001, "val_waveforms.hdf5": 10, "empty.hdf5": 0}


def content(name: str) -> bytes:
    return np.random.default_rng(len(name)).bytes(SIZES[name])


@pytest.fixture
def remote(bucket: str) -> str:
    """A directory of some files on the server."""
    for name in SIZES:
        with storage.atomic(f"{bucket}/data/{name}") as temporary:
            temporary.write_bytes(content(name))
    return f"{bucket}/data"


def files_of(directory: str) -> list[str]:
    return [storage.join(directory, name) for name in SIZES]


def check(copies: dict[str, str], directory: str) -> None:
    assert list(copies) == files_of(directory)
    for name in SIZES:
        assert Path(copies[storage.join(directory, name)]).read_bytes() == content(name)


def written(copies: dict[str, str]) -> list[int]:
    return [Path(path).stat().st_mtime_ns for path in copies.values()]


def test_local_files_stay_where_they_are(tmp_path: Path) -> None:
    paths = [str(tmp_path / "x.hdf5")]
    assert local_copies(str(tmp_path), paths) == {paths[0]: paths[0]}


def test_the_cache_is_where_the_user_wants_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AFRAME_CACHE_DIR", str(tmp_path / "own"))
    assert cache_directory() == tmp_path / "own"
    monkeypatch.delenv("AFRAME_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "aframe"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_directory() == tmp_path / "home" / ".cache" / "aframe"


@pytest.mark.s3
def test_files_are_fetched_once(remote: str, capsys: pytest.CaptureFixture[str]) -> None:
    first = local_copies(remote, files_of(remote))
    check(first, remote)
    assert all(Path(path).is_relative_to(cache_directory()) for path in first.values())
    assert re.fullmatch(r"fetching training data, 4 files: 1 MB in [\d.]+ s\n", capsys.readouterr().out)
    times = written(first)
    assert local_copies(remote, files_of(remote)) == first
    assert written(first) == times
    assert capsys.readouterr().out == ""


@pytest.mark.s3
def test_each_source_has_a_directory_of_its_own(remote: str, bucket: str) -> None:
    with storage.atomic(f"{bucket}/other/val_waveforms.hdf5") as temporary:
        temporary.write_bytes(b"other")
    first = local_copies(remote, [f"{remote}/val_waveforms.hdf5"])
    second = local_copies(f"{bucket}/other", [f"{bucket}/other/val_waveforms.hdf5"])
    assert [Path(path).read_bytes() for path in (*first.values(), *second.values())] == [
        content("val_waveforms.hdf5"), b"other",
    ]  # fmt: skip


@pytest.mark.s3
@pytest.mark.parametrize("change", ["remote", "size", "content", "gone"])
def test_only_changed_files_are_fetched_again(remote: str, change: str) -> None:
    copies = local_copies(remote, files_of(remote))
    times = written(copies)
    path, expected = f"{remote}/background/b.hdf5", content("background/b.hdf5")
    copy = Path(copies[path])
    if change == "remote":
        expected = expected[::-1]
        with storage.atomic(path) as temporary:
            temporary.write_bytes(expected)
    elif change == "gone":
        copy.unlink()
    else:
        copy.write_bytes(expected[:-1] if change == "size" else bytes(len(expected)))
    assert local_copies(remote, files_of(remote)) == copies
    assert copy.read_bytes() == expected
    assert [old == new for old, new in zip(times, written(copies), strict=True)] == [True, False, True, True]


@pytest.mark.s3
def test_a_damaged_object_is_an_error_that_names_it(remote: str) -> None:
    inner = f"{remote}/background/a.hdf5".removeprefix("s3://")
    store = fsspec.core.url_to_fs(remote)[0]
    store.pipe_file(inner, b"damaged", Metadata={s3.CHECKSUM: "0" * 64})
    with pytest.raises(
        StorageError, match=r"data/background/a\.hdf5 is damaged: the store promises the checksum 0{64}"
    ):
        local_copies(remote, files_of(remote))
    assert not list(cache_directory().rglob("a.hdf5"))
    assert not list(cache_directory().rglob(".partial-*"))


@pytest.mark.s3
def test_an_object_that_aframe_did_not_upload_is_checked_by_its_etag(remote: str) -> None:
    inner = f"{remote}/background/a.hdf5".removeprefix("s3://")
    fsspec.core.url_to_fs(remote)[0].pipe_file(inner, b"uploaded by other means")
    about = fsspec.core.url_to_fs(remote)[0].describe(inner)
    assert about.sha256 == ""
    assert about.md5 == local_copy.hashlib.md5(b"uploaded by other means").hexdigest()
    copies = local_copies(remote, files_of(remote))
    assert Path(copies[f"{remote}/background/a.hdf5"]).read_bytes() == b"uploaded by other means"


@pytest.mark.s3
def test_a_missing_object_is_an_error_that_names_it(remote: str) -> None:
    with pytest.raises(StorageError, match=r"data/none\.hdf5 does not exist: run the step that makes it"):
        local_copies(remote, [*files_of(remote), f"{remote}/none.hdf5"])


@pytest.mark.s3
def test_an_object_that_is_deleted_meanwhile_is_an_error_that_names_it(
    remote: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_copy, "_check_room", lambda *_: storage.remove(f"{remote}/background/b.hdf5"))
    with pytest.raises(StorageError, match=r"data/background/b\.hdf5 was deleted while it was being fetched"):
        local_copies(remote, files_of(remote))


@pytest.mark.s3
def test_a_disk_that_is_too_small_is_refused_before_anything_is_fetched(
    remote: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")._replace(free=local_copy.SPARE_BYTES + 900_000)
    monkeypatch.setattr(local_copy.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(StorageError, match=r"4 files of training data need 0\.00 GB, and .* has 0\.27 GB free: free"):
        local_copies(remote, files_of(remote))
    assert not list(cache_directory().rglob("*.hdf5"))
    usage = usage._replace(free=local_copy.SPARE_BYTES + 1_100_000)
    check(local_copies(remote, files_of(remote)), remote)


@pytest.mark.s3
def test_an_unwritable_cache_is_an_error_with_a_remedy(
    remote: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("AFRAME_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(StorageError, match=r"cannot be used .*or set AFRAME_CACHE_DIR to another directory"):
        local_copies(remote, files_of(remote))


@pytest.mark.s3
def test_dropped_connections_only_slow_it_down(remote: str, wire: stores.Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_copy, "PIECE_BYTES", 2**17)
    wire.cut_after("out", 400_000, 0.5)
    check(local_copies(remote, files_of(remote)), remote)
    assert wire.cuts == 1


@pytest.mark.s3
def test_an_outage_that_lasts_is_an_error_and_the_next_time_goes_on(
    remote: str, wire: stores.Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFRAME_S3_PATIENCE", "0.3")
    monkeypatch.setattr(local_copy, "PIECE_BYTES", 2**17)
    monkeypatch.setattr(local_copy, "FETCHED_AT_ONCE", 1)
    wire.cut_after("out", 500_000, 1000)
    with pytest.raises(StorageError, match="did not answer"):
        local_copies(remote, files_of(remote))
    complete = [path for path in cache_directory().rglob("a.hdf5")]
    assert len(complete) == 1
    time_written = complete[0].stat().st_mtime_ns
    assert not list(cache_directory().rglob("b.hdf5"))
    wire.is_cut = False
    copies = local_copies(remote, files_of(remote))
    check(copies, remote)
    assert complete[0].stat().st_mtime_ns == time_written


FETCH = """
import sys
from aframe.train import local_copy
local_copy.PIECE_BYTES, local_copy.FETCHED_AT_ONCE = 2**16, 1
local_copy.local_copies(sys.argv[1], sys.argv[2:])
"""


@pytest.mark.s3
def test_a_killed_fetch_goes_on_with_what_is_complete(remote: str, wire: stores.Wire) -> None:
    passed = wire.passed["out"]
    process = subprocess.Popen([sys.executable, "-c", FETCH, remote, *files_of(remote)])
    while wire.passed["out"] - passed < SIZES["background/a.hdf5"] + 2**17:
        assert process.poll() is None
        time.sleep(0.001)
    process.kill()
    process.wait()
    complete = list(cache_directory().rglob("a.hdf5"))
    times = [path.stat().st_mtime_ns for path in complete]
    check(local_copies(remote, files_of(remote)), remote)
    assert [path.stat().st_mtime_ns for path in complete] == times
    assert not list(cache_directory().rglob(".partial-*"))


def _fetch_in_child(directory: str) -> None:
    check(local_copies(directory, files_of(directory)), directory)


@pytest.mark.s3
def test_processes_that_start_together_fetch_once(remote: str, wire: stores.Wire) -> None:
    passed = wire.passed["out"]
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_fetch_in_child, args=(remote,)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    size = sum(SIZES.values())
    assert size <= wire.passed["out"] - passed < 1.5 * size


@pytest.mark.s3
def test_a_terminal_has_a_bar(remote: str) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", FETCH, remote, *files_of(remote)], stderr=slave, stdout=slave)
    os.close(slave)
    text = ""
    with contextlib.suppress(OSError):  # EIO: the other end is closed
        while data := os.read(master, 65536):
            text += data.decode(errors="replace")
    os.close(master)
    assert process.wait(60) == 0
    assert "fetching training data, 4 files" in text
    assert "1.0/1.0 MB" in text
