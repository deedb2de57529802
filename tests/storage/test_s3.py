"""S3 on a real server: whole, complete, patient, plain, and safe from threads and forks."""

import hashlib
import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import h5py
import numpy as np
import pytest
import stores
from terminal import aframe, environment_of, write_run

from aframe import storage
from aframe.errors import ConfigurationError, StorageError
from aframe.storage import s3
from aframe.storage.files import _partial_prefix
from aframe.storage.s3 import ObjectStore
from aframe.storage.s3_reader import BLOCK_BYTES, ObjectReader
from aframe.tables import Table

pytestmark = pytest.mark.s3


def store() -> ObjectStore:
    return fsspec.core.url_to_fs("s3://x")[0]


@pytest.fixture
def other_settings(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Changes the environment of the client."""

    def change(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        ObjectStore.clear_instance_cache()

    return change


def test_files_are_written_read_listed_and_deleted(bucket: str) -> None:
    path = f"{bucket}/a/b.txt"
    assert not storage.exists(path)
    storage.write_text(path, "Tb = 3 s")
    assert storage.read_text(path) == "Tb = 3 s"
    assert storage.exists(path)
    assert storage.exists(f"{bucket}/a")
    assert not storage.exists(f"{bucket}/a/b")
    assert storage.glob(bucket, "a", "*.txt") == [path]
    assert storage.glob(bucket, "*", "b.*") == [path]
    assert storage.glob(bucket, "none", "*") == []
    assert storage.sha256(path) == store().describe(path.removeprefix("s3://")).sha256
    storage.remove(path)
    storage.remove(path)
    assert not storage.exists(f"{bucket}/a")
    with pytest.raises(StorageError, match=r"b\.txt does not exist: run the step"):
        storage.read_text(path)
    with (
        pytest.raises(StorageError, match=r"none\.hdf5 does not exist: run the step"),
        storage.open_hdf5(f"{bucket}/none.hdf5"),
    ):
        pass


def test_what_another_process_writes_and_deletes_is_seen_at_once(bucket: str) -> None:
    place = f"{bucket}/units"
    assert storage.glob(place, "*.txt") == []
    assert not storage.exists(f"{bucket}/units/1.txt")
    script = "import sys; from aframe import storage; storage.write_text(sys.argv[1], 'x')"
    subprocess.run([sys.executable, "-c", script, f"{bucket}/units/1.txt"], check=True)
    assert storage.exists(f"{bucket}/units/1.txt")
    assert storage.glob(place, "*.txt") == [f"{bucket}/units/1.txt"]
    script = "import sys; from aframe import storage; storage.remove(sys.argv[1])"
    subprocess.run([sys.executable, "-c", script, f"{bucket}/units"], check=True)
    assert storage.glob(place, "*.txt") == []
    assert not storage.exists(f"{bucket}/units/1.txt")


def test_more_files_than_a_page_of_a_listing_has(bucket: str) -> None:
    inner = bucket.removeprefix("s3://")
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda k: store().pipe_file(f"{inner}/many/{k:04d}.txt", b"x"), range(1020)))
    paths = storage.glob(bucket, "many", "*.txt")
    assert paths == [f"{bucket}/many/{k:04d}.txt" for k in range(1020)]
    assert len(storage.glob(bucket, "many", "*9.txt")) == 102


def test_tables_are_read_in_place_by_column_and_slice(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng, rows = np.random.default_rng(1), 200_000
    table = Table({name: rng.normal(size=rows) for name in ("mass_1", "mass_2", "ra", "dec", "psi", "phase")})
    table.write(f"{bucket}/table.hdf5", {"seed": 1})
    fetched = []
    read = ObjectStore.read_range

    def counted(self: ObjectStore, path: str, start: int, stop: int, etag: str = "") -> bytes:
        fetched.append(stop - start)
        return read(self, path, start, stop, etag)

    monkeypatch.setattr(ObjectStore, "read_range", counted)
    part = Table.read(f"{bucket}/table.hdf5", ["ra"], rows=slice(70_000, 70_010))
    np.testing.assert_array_equal(part["ra"], table["ra"][70_000:70_010])
    size = store().describe(f"{bucket}/table.hdf5".removeprefix("s3://")).size
    assert sum(fetched) < 0.4 * size
    fetched.clear()
    whole = Table.read(f"{bucket}/table.hdf5")
    for name, column in table.parameters.items():
        np.testing.assert_array_equal(whole[name], column)
    assert sum(fetched) < 1.3 * size
    assert len(fetched) < 40


def test_a_reader_gives_the_bytes_of_the_object_wherever_it_is_asked(bucket: str) -> None:
    content = np.random.default_rng(2).bytes(5 * BLOCK_BYTES + 1234)
    path = f"{bucket}/blob".removeprefix("s3://")
    store().pipe_file(path, content)
    with ObjectReader(store(), path) as reader:
        rng = np.random.default_rng(3)
        for start, length in zip(rng.integers(0, len(content), 50), rng.integers(0, 2 * BLOCK_BYTES, 50), strict=True):
            reader.seek(int(start))
            assert reader.read(int(length)) == content[start : start + length]
        assert reader.seek(-10, 2) == len(content) - 10
        assert reader.read() == content[-10:]
        assert reader.read(5) == b""
        assert reader.seek(0) == 0
        assert reader.read() == content
    with pytest.raises(IsADirectoryError):
        ObjectReader(store(), bucket.removeprefix("s3://"))


def test_an_object_replaced_while_it_is_read_is_an_error_and_no_mixture(bucket: str) -> None:
    path = f"{bucket}/t.hdf5"
    with storage.create_hdf5(path) as file:
        file.create_dataset("x", data=np.full(2**18, 1.0), chunks=(2**14,))
    with storage.open_hdf5(path) as opened:
        assert (opened["x"][:10] == 1).all()
        with storage.create_hdf5(path) as file:
            file.create_dataset("x", data=np.full(2**18, 2.0), chunks=(2**14,))
        with pytest.raises((StorageError, OSError), match="replaced while it was being read"):
            opened["x"][:]


def test_a_small_object_is_read_whole_while_another_process_replaces_it(bucket: str) -> None:
    path = f"{bucket}/lease"
    filesystem, inner = fsspec.core.url_to_fs(path)
    script = (
        "import sys, fsspec\n"
        "from aframe import storage\n"
        "filesystem, inner = fsspec.core.url_to_fs(sys.argv[1])\n"
        "for number in range(200):\n    filesystem.pipe_file(inner, f'{number:04}'.encode() * 9)\n"
    )
    filesystem.pipe_file(inner, b"0000" * 9)  # of one size: rclone's server may cut a new object at the old one's end
    seen = set()
    with subprocess.Popen([sys.executable, "-c", script, path]) as writer:
        while writer.poll() is None:
            seen.add(storage.read_text(path))
    assert writer.returncode == 0
    assert seen <= {f"{number:04}" * 9 for number in range(200)}
    assert len(seen) > 1


@pytest.fixture
def replaced_after_each_look(bucket: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Bucket and key of an object that gets other content each time its size is asked for."""
    path, info, number = f"{bucket}/restless".removeprefix("s3://"), ObjectStore._info, itertools.count(1)

    async def replacing(self: ObjectStore, *arguments: Any, **options: Any) -> dict[str, Any]:
        about = await info(self, *arguments, **options)
        await self._pipe_file(path, f"{next(number):04}".encode() * 9)
        return about

    store().pipe_file(path, b"0000" * 9)
    monkeypatch.setattr(ObjectStore, "_info", replacing)
    return path


def test_a_whole_object_is_read_in_one_request(replaced_after_each_look: str) -> None:
    assert storage.read_text(f"s3://{replaced_after_each_look}") == "0000" * 9
    store().pipe_file(replaced_after_each_look, b"")
    assert storage.read_text(f"s3://{replaced_after_each_look}") == ""


def test_a_range_of_an_object_that_is_replaced_again_and_again_is_an_error(replaced_after_each_look: str) -> None:
    with pytest.raises(StorageError, match="restless was replaced while it was being read: run again"):
        store().cat_file(replaced_after_each_look, 4, -4)
    replacements = int(storage.read_text(f"s3://{replaced_after_each_look}")[:4])
    assert replacements == s3.MAX_READS


@pytest.mark.parametrize(
    ("start", "end"), [(None, None), (0, 10), (7, None), (None, -3), (-5, None), (-5, -2), (4, 4), (90, 99)]
)
def test_a_range_is_a_slice_of_the_whole(bucket: str, start: int | None, end: int | None) -> None:
    content, path = bytes(range(20)), f"{bucket}/blob".removeprefix("s3://")
    store().pipe_file(path, content)
    assert store().cat_file(path, start, end) == content[start:end]


def test_a_directory_cannot_be_read(bucket: str) -> None:
    storage.write_text(f"{bucket}/directory/x.txt", "x")
    for path in (f"{bucket}/directory", bucket.partition("://")[2].partition("/")[0]):
        with pytest.raises(IsADirectoryError):
            store().cat_file(path.removeprefix("s3://"))


def test_an_upload_in_parts_is_the_file(bucket: str, tmp_path: Path) -> None:
    content = np.random.default_rng(4).bytes(3 * s3.MIN_PART_BYTES)
    with storage.atomic(f"{bucket}/large.bin") as temporary:
        temporary.write_bytes(content)
    assert storage.sha256(f"{bucket}/large.bin") == hashlib.sha256(content).hexdigest()


def test_a_directory_replaces_the_one_before_and_does_not_nest(bucket: str) -> None:
    for content in ("first", "second"):
        with storage.atomic(f"{bucket}/model") as temporary:
            (temporary / "1").mkdir(parents=True)
            (temporary / "1" / content).write_text(content)
            (temporary / "config.pbtxt").write_text(content)
    inner = f"{bucket}/model".removeprefix("s3://")
    assert store().find(inner) == [f"{inner}/1/second", f"{inner}/config.pbtxt"]
    assert storage.read_text(f"{bucket}/model/config.pbtxt") == "second"


UPLOAD = """
import sys
from aframe import storage
with storage.atomic(sys.argv[1]) as temporary:
    temporary.write_bytes(b"new" * (20 * 2**20))
    print("uploading", flush=True)
"""


@pytest.mark.parametrize("is_replaced", [True, False])
def test_a_killed_upload_leaves_what_was_there(bucket: str, wire: stores.Wire, is_replaced: bool) -> None:
    path = f"{bucket}/large.bin"
    if is_replaced:
        storage.write_text(path, "old")
    uploaded = wire.passed["in"]
    process = subprocess.Popen([sys.executable, "-c", UPLOAD, path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    while wire.passed["in"] - uploaded < 2**22:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    process.stdout.close()
    time.sleep(0.5)
    assert storage.exists(path) == is_replaced
    assert storage.glob(bucket, "*") == [path] * is_replaced
    if is_replaced:
        assert storage.read_text(path) == "old"


def test_an_interrupted_write_leaves_what_was_there(bucket: str) -> None:
    def interrupted() -> None:
        with storage.create_hdf5(f"{bucket}/file.hdf5") as file:
            file["x"] = np.arange(9)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not storage.exists(f"{bucket}/file.hdf5")


def test_the_first_of_several_writers_is_kept(bucket: str) -> None:
    assert storage.write_first(f"{bucket}/choice.json", "one") == "one"
    assert storage.write_first(f"{bucket}/choice.json", "two") == "one"


@pytest.mark.parametrize(
    "use",
    [storage.exists, storage.read_text, storage.made_with, lambda path: storage.glob(path, "*")],
    ids=["exists", "read", "hdf5", "glob"],
)
@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"AWS_SECRET_ACCESS_KEY": "wrong"},
            "refuses .*mend AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFI",
        ),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, "refuses .*mend AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"),
        ({"AWS_PROFILE": "none"}, r"cannot be used .*profile.*none.*mend the path or the AWS_… settings"),
    ],
    ids=["secret", "key", "profile"],
)
def test_wrong_credentials_are_one_line(
    bucket: str,
    other_settings: Callable[..., None],
    use: Callable[[str], object],
    variables: dict[str, str],
    message: str,
) -> None:
    storage.write_text(f"{bucket}/x.hdf5", "x")
    other_settings(**variables)
    with pytest.raises(StorageError, match=message) as error:
        use(f"{bucket}/x.hdf5")
    assert len(str(error.value).splitlines()) == 1


def test_no_credentials_are_one_line(
    bucket: str, monkeypatch: pytest.MonkeyPatch, other_settings: Callable[..., None], tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    other_settings(HOME=str(tmp_path), AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "c"), AWS_CONFIG_FILE=str(tmp_path))
    with pytest.raises(
        StorageError, match=r"no credentials for s3://aframe-test .*set AWS_ACCESS_KEY_ID and AWS_SECRET"
    ):
        storage.exists(f"{bucket}/x")


def test_credentials_and_endpoint_of_a_profile_are_found(
    bucket: str,
    store_server: stores.Store,
    monkeypatch: pytest.MonkeyPatch,
    other_settings: Callable[..., None],
    tmp_path: Path,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name)
    keys = f"aws_access_key_id = {store_server.key}\naws_secret_access_key = {store_server.secret}\n"
    (tmp_path / "credentials").write_text(f"[own]\n{keys}")
    (tmp_path / "config").write_text(f"[profile own]\nendpoint_url = {store_server.endpoint}\nregion = us-east-1\n")
    other_settings(
        AWS_PROFILE="own",
        AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "credentials"),
        AWS_CONFIG_FILE=str(tmp_path / "config"),
    )
    storage.write_text(f"{bucket}/x.txt", "x")
    assert store().endpoint == store_server.endpoint
    assert storage.read_text(f"{bucket}/x.txt") == "x"


def test_a_missing_bucket_is_one_line(bucket: str, store_server: stores.Store) -> None:
    uses = (storage.exists, storage.read_text, storage.made_with, storage.try_to_write)
    for use in (*uses, lambda path: storage.glob(path, "*")):
        message = (
            rf"{store_server.endpoint} has no bucket no-such-bucket: make it, or mend the s3:// path or AWS_ENDPOINT"
        )
        with pytest.raises(StorageError, match=message):
            use("s3://no-such-bucket/x.hdf5")


def test_commands_tell_of_a_missing_bucket_and_a_wrong_secret_before_any_work(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = write_run(tmp_path / "run")
    variables = environment_of() | {"AWS_SECRET_ACCESS_KEY": "wrong"}
    kept = (directory / ".env").read_text()
    for place, message, extra in (("s3://no-such-bucket", "no bucket", {}), (bucket, "refuses", variables)):
        text = kept.replace('RESULTS_DIR="$AFRAME_RUN_DIR', f'RESULTS_DIR="{place}')
        (directory / ".env").write_text(text)
        result = aframe("run", str(directory), variables={**environment_of(), **extra})
        assert result.returncode == 1
        assert len(result.stderr.splitlines()) == 1, result.stderr
        assert result.stderr.startswith("error: the S3 store at ")
        assert message in result.stderr
        assert not (directory / "train_data").exists()


def test_a_server_that_drops_connections_for_a_while_only_slows_things_down(
    bucket: str, wire: stores.Wire, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    content = np.random.default_rng(5).bytes(4 * BLOCK_BYTES)
    steps: list[Callable[[], object]] = [
        lambda: storage.write_text(f"{bucket}/new.txt", "new"),
        lambda: storage.exists(f"{bucket}/blob"),
        lambda: storage.glob(bucket, "*"),
        lambda: storage.sha256(f"{bucket}/blob"),
    ]
    store().pipe_file(f"{bucket}/blob".removeprefix("s3://"), content)
    for step in steps:
        wire.cut(0.5)
        step()
    wire.cut_after("out", BLOCK_BYTES, 0.5)  # in the middle of an answer
    assert storage.sha256(f"{bucket}/blob") == hashlib.sha256(content).hexdigest()
    assert wire.dropped > len(steps)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"note: the S3 store at {wire.endpoint} does not answer (")


def test_a_large_upload_survives_a_cut(bucket: str, wire: stores.Wire) -> None:
    content = np.random.default_rng(6).bytes(3 * s3.MIN_PART_BYTES)
    wire.cut_after("in", s3.MIN_PART_BYTES, 0.5)
    with storage.atomic(f"{bucket}/large.bin") as temporary:
        temporary.write_bytes(content)
    assert wire.cuts == 1
    assert storage.sha256(f"{bucket}/large.bin") == hashlib.sha256(content).hexdigest()


def test_patience_ends(bucket: str, wire: stores.Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFRAME_S3_PATIENCE", "1")
    wire.cut(1000)
    with pytest.raises(StorageError, match=r"did not answer for 1 s .*check AWS_ENDPOINT_URL and the network"):
        storage.exists(f"{bucket}/x")
    monkeypatch.setenv("AFRAME_S3_PATIENCE", "long")
    with pytest.raises(ConfigurationError, match="AFRAME_S3_PATIENCE = 'long' is no number"):
        storage.exists(f"{bucket}/x")


def _child(path: str, number: int) -> None:
    storage.write_text(f"{path}/{number}.txt", str(number))
    assert len(storage.read_text(f"{path}/parent.txt")) == 3 * 2**16


def test_forked_processes_and_their_parent_work_at_the_same_time(bucket: str) -> None:
    """As luigi's workers: forked while the parent has open connections, some of them in use by another thread."""
    storage.write_text(f"{bucket}/parent.txt", "abc" * 2**16)
    context, running = multiprocessing.get_context("fork"), True

    def keep_reading() -> int:
        count = 0
        while running:
            assert len(storage.read_text(f"{bucket}/parent.txt")) == 3 * 2**16
            count += 1
        return count

    with ThreadPoolExecutor(1) as pool:
        readers = [pool.submit(keep_reading)]
        for first in (0, 3):
            children = [context.Process(target=_child, args=(bucket, first + k)) for k in range(3)]
            for child in children:
                child.start()
            for child in children:
                child.join(60)
                assert child.exitcode == 0
            storage.write_text(f"{bucket}/after-{first}.txt", "x")
        running = False
        assert all(reader.result(timeout=60) > 0 for reader in readers)
    assert len(storage.glob(bucket, "[0-9].txt")) == 6


def test_threads_share_a_store(bucket: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda k: storage.write_text(f"{bucket}/{k}.txt", str(k)), range(40)))
        texts = list(pool.map(lambda k: storage.read_text(f"{bucket}/{k}.txt"), range(40)))
    assert texts == [str(k) for k in range(40)]


def test_a_run_can_be_interrupted_while_it_waits(bucket: str, wire: stores.Wire) -> None:
    wire.cut(1000)
    script = "import sys; from aframe import storage; print(1, flush=True); storage.exists(sys.argv[1])"
    process = subprocess.Popen([sys.executable, "-c", script, bucket], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    assert b"does not answer" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert b"KeyboardInterrupt" in errors


def test_hdf5_that_is_cut_short_says_so(bucket: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "cut.hdf5", "w") as file:
        file["x"] = np.arange(10000)
    store().pipe_file(f"{bucket}/cut.hdf5".removeprefix("s3://"), (tmp_path / "cut.hdf5").read_bytes()[:3000])
    with (
        pytest.raises(StorageError, match=r"cut\.hdf5 is not a complete HDF5 file"),
        storage.open_hdf5(f"{bucket}/cut.hdf5"),
    ):
        pass


def test_sweeping_leaves_other_processes_scratch_alone(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead = subprocess.Popen(["true"])
    dead.wait()
    for pid in (dead.pid, os.getpid()):
        (tmp_path / f"{_partial_prefix(pid)}x").mkdir()
    storage.sweep(bucket)
    assert [path.name for path in tmp_path.iterdir()] == [f"{_partial_prefix(os.getpid())}x"]
