"""S3 as unattended work needs it: patient with servers, plain about what is wrong, whole objects, safe to fork."""

import asyncio
import contextlib
import hashlib
import io
import os
import random
import sys
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import aiohttp
import fsspec
from fsspec.asyn import sync_wrapper
from s3fs import S3FileSystem

from aframe.errors import ConfigurationError, StorageError
from aframe.machine.parallel import shared_array
from aframe.storage.s3_errors import told_plainly, transient

PATIENCE = 300.0
"""Seconds for which an operation is tried again before it fails, unless AFRAME_S3_PATIENCE says otherwise."""

LONGEST_TRY = 900.0
"""Seconds for one try: a connection whose other end no longer reads blocks a write for good."""

FIRST_WAIT, LONGEST_WAIT = 0.2, 15.0
"""Seconds between two tries: the first pause, which doubles, and the longest."""

PART_BYTES, PARTS, PARTS_AT_ONCE = 2**24, 9000, 4
"""Least size of a part of an upload, most parts (S3 takes 10 000), and how many travel side by side."""

BLOCK_BYTES, BLOCKS_KEPT, BLOCKS_AHEAD = 2**18, 256, 64
"""Unit in which objects are read, how many are kept of each open object, and how many are read ahead at most."""

READS_OF_A_CHANGING_OBJECT = 5
"""How often an object that others replace is read as a whole before that is an error."""

CHECKSUM = "sha256"
"""Name of the metadata in which an upload keeps its content's SHA-256."""

STALE_UPLOAD = 86400.0
"""Seconds after which an upload that is not complete is taken for a dead process's."""

_told = shared_array((1,))
"""When an outage was last told of (s of the monotonic clock): once for all forked processes."""

_kept: list["ObjectStore"] = []
"""Every store of this process and of those it was forked from: see ``ObjectStore``."""

Answer = TypeVar("Answer")


class _ReplacedError(StorageError):
    """An object that was replaced between two looks at it."""


class ObjectInfo(NamedTuple):
    """What a store says of an object.

    Attributes:
        size: Bytes.
        etag: Changes with the content.
        sha256: Of the content, in hexadecimal; empty where the upload did not say.
        md5: Of the content, in hexadecimal; empty where the store gives none.
    """

    size: int
    etag: str
    sha256: str
    md5: str


def patience() -> float:
    """Seconds for which an operation is tried again.

    Raises:
        ConfigurationError: If AFRAME_S3_PATIENCE is no number.
    """
    text = os.environ.get("AFRAME_S3_PATIENCE", str(PATIENCE))
    try:
        return float(text)
    except ValueError:
        raise ConfigurationError(f"AFRAME_S3_PATIENCE = {text!r} is no number of seconds") from None


class ObjectStore(S3FileSystem):
    """S3 behind fsspec's interface, for all that opens ``s3://`` paths in this process, third parties included.

    Endpoint, credentials, profile and region come from the environment and files that boto3 reads too. Nothing is
    remembered of listings. Dropped connections and busy servers are waited for. What the user must mend is a
    ``StorageError``; of the rest, missing objects are a FileNotFoundError and existing ones a FileExistsError.

    A forked process makes a connection of its own, and its parent's must neither be closed nor collected there: both
    would take the parent's sockets out of the event queue that the two share, and the parent would wait forever.
    """

    retries = 1  # ours are in _patiently

    def __init__(self, *arguments: Any, **options: Any) -> None:
        configuration = {
            "retries": {"total_max_attempts": 1},
            "connect_timeout": 10,
            "read_timeout": 60,
            "max_pool_connections": 32,
            # older stores answer what they do not know, checksums in trailers, with errors
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        }
        options["config_kwargs"] = configuration | options.get("config_kwargs", {})
        super().__init__(*arguments, **{"use_listings_cache": False, **options})
        self.loop.set_exception_handler(_without_lost_connections)
        _kept.append(self)

    @staticmethod
    def close_session(loop: Any, s3: Any) -> None:
        """Close connections when the process ends that has opened them, and in no other."""
        if loop is fsspec.asyn.loop[0]:
            S3FileSystem.close_session(loop, s3)

    @property
    def endpoint(self) -> str:
        """Where the store is."""
        return str(self._s3.meta.endpoint_url) if self._s3 is not None else "the configured endpoint"

    async def _call_s3(self, method: str, *arguments: Any, **keywords: Any) -> Any:
        call = super()._call_s3
        what = f"{method} {keywords.get('Bucket', '')}/{keywords.get('Key', keywords.get('Prefix', ''))}".rstrip("/")
        return await self._patiently(lambda: call(method, *arguments, **keywords), what, keywords.get("Bucket", ""))

    call_s3 = sync_wrapper(_call_s3)

    async def _patiently(self, attempt: Callable[[], Awaitable[Answer]], what: str, bucket: str) -> Answer:
        """Try until the store answers, or patience ends."""
        wait, end = FIRST_WAIT, 0.0
        while True:
            try:
                return await asyncio.wait_for(attempt(), LONGEST_TRY)
            except Exception as error:
                reason = transient(error)
                if not reason:
                    plain = told_plainly(error, what, bucket, self.endpoint)
                    if plain is error:
                        raise
                    raise plain from error
                end = end or time.monotonic() + patience()
                if time.monotonic() + wait > end:
                    raise StorageError(
                        f"the S3 store at {self.endpoint} did not answer for {patience():.0f} s ({reason}; {what}): "
                        "check AWS_ENDPOINT_URL and the network, then run again, what is complete is kept"
                    ) from error
                _tell(self.endpoint, reason)
            await asyncio.sleep(wait * random.SystemRandom().uniform(0.5, 1))
            wait = min(2 * wait, LONGEST_WAIT)

    async def _exists(self, path: str) -> bool:
        try:
            await self._info(path)
        except FileNotFoundError:
            return False
        return True

    exists = sync_wrapper(_exists)

    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Nothing: directories are names here, and buckets are the user's to make."""

    makedirs = sync_wrapper(_makedirs)
    _mkdir = _makedirs
    mkdir = makedirs

    async def _describe(self, path: str) -> ObjectInfo:
        bucket, key, _ = self.split_path(path)
        answer = await self._call_s3("head_object", Bucket=bucket, Key=key)
        etag = str(answer.get("ETag", "")).strip('"')
        is_md5 = len(etag) == 32 and "kms" not in str(answer.get("ServerSideEncryption", ""))
        metadata = {name.lower(): value for name, value in answer.get("Metadata", {}).items()}
        return ObjectInfo(answer["ContentLength"], etag, metadata.get(CHECKSUM, ""), etag if is_md5 else "")

    describe = sync_wrapper(_describe)

    async def _read_range(self, path: str, start: int, stop: int, etag: str = "") -> bytes:
        bucket, key, _ = self.split_path(path)
        call = super()._call_s3

        async def attempt() -> tuple[str, bytes]:
            answer = await call("get_object", Bucket=bucket, Key=key, Range=f"bytes={start}-{stop - 1}")
            try:
                data = await answer["Body"].read()
            finally:
                answer["Body"].close()
            found = str(answer.get("ETag", "")).strip('"')
            if (not etag or found == etag) and len(data) != stop - start:
                raise ConnectionError(f"{len(data)} bytes instead of {stop - start}")
            return found, data

        found, data = await self._patiently(attempt, f"get_object {bucket}/{key}", bucket)
        if etag and found != etag:
            raise _ReplacedError(f"s3://{bucket}/{key} was replaced while it was being read: run again")
        return data

    read_range = sync_wrapper(_read_range)

    async def _cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        reads = 0
        while True:
            about = await self._info(path)
            if about["type"] != "file":
                raise IsADirectoryError(path)
            first, last, _ = slice(start, end).indices(int(about["size"]))
            etag = str(about["ETag"]).strip('"')
            try:
                return await self._read_range(path, first, last, etag) if last > first else b""
            except _ReplacedError:
                reads += 1
                if reads == READS_OF_A_CHANGING_OBJECT:
                    raise

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        return ObjectReader(self, path) if "r" in mode else super()._open(path, mode, **options)

    def upload(self, local: Path, path: str) -> None:
        """Make an object of a local file: it appears whole, with its SHA-256, or not at all.

        Args:
            local: The file.
            path: Bucket and key.

        Raises:
            StorageError: If what the store then has is of another size.
        """
        with local.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        size = local.stat().st_size
        part = max(PART_BYTES, -(-size // PARTS))
        self.put_file(str(local), path, chunksize=part, max_concurrency=PARTS_AT_ONCE, Metadata={CHECKSUM: digest})
        stored = self.describe(path)
        if stored.size != size:
            raise StorageError(f"s3://{path} has {stored.size} bytes instead of {size}: run again")

    async def _put_file(self, lpath: str, rpath: str, *arguments: Any, **options: Any) -> None:
        """As s3fs does; once more where the store has completed an upload and a lost connection hid that."""
        try:
            await super()._put_file(lpath, rpath, *arguments, **options)
        except FileNotFoundError:  # NoSuchUpload
            await super()._put_file(lpath, rpath, *arguments, **options)

    put_file = sync_wrapper(_put_file)

    async def _abort_mpu(self, bucket: str, key: str, mpu: str) -> None:
        """Let the store forget an upload; the error before this says what is wrong."""
        with contextlib.suppress(Exception):
            await super()._call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=mpu)

    abort_mpu = sync_wrapper(_abort_mpu)

    def abort_stale_uploads(self, prefix: str) -> None:
        """Forget parts of uploads that killed processes have begun a day ago or earlier; not all stores list them."""
        bucket, key, _ = self.split_path(prefix)
        with contextlib.suppress(OSError, StorageError):
            found = self.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=f"{key}/")
            for upload in found.get("Uploads", []):
                if (datetime.now(UTC) - upload["Initiated"]).total_seconds() > STALE_UPLOAD:
                    self.call_s3(
                        "abort_multipart_upload", Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )


class ObjectReader(io.RawIOBase):
    """An object as a file to read, block by block: what was read stays for a while, and what follows on is read ahead.

    Args:
        store: Where it lies.
        path: Bucket and key.
    """

    def __init__(self, store: ObjectStore, path: str) -> None:
        super().__init__()
        about = store.info(path)
        if about["type"] != "file":
            raise IsADirectoryError(path)
        self.store, self.path = store, path
        self.size, self.etag = int(about["size"]), str(about["ETag"]).strip('"')
        self._position, self._expected, self._ahead = 0, -1, 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move, and give the position."""
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        return self._position

    def readall(self) -> bytes:
        """All from here on."""
        return self.read(max(0, self.size - self._position)) or b""

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as the object reaches; the number of bytes."""
        view = memoryview(buffer).cast("B")
        start, stop = self._position, min(self.size, self._position + len(view))
        block = start // BLOCK_BYTES
        while block * BLOCK_BYTES < stop:
            if block in self._blocks:
                self._blocks.move_to_end(block)
                run, data = 1, self._blocks[block]
            else:
                run, data = self._fetch(block, -(-stop // BLOCK_BYTES))
            first, last = max(start, block * BLOCK_BYTES), min(stop, block * BLOCK_BYTES + len(data))
            view[first - start : last - start] = data[first - block * BLOCK_BYTES : last - block * BLOCK_BYTES]
            block += run
        self._position = max(start, stop)
        return max(0, stop - start)

    def _fetch(self, block: int, end: int) -> tuple[int, bytes]:
        """Read the missing blocks from one on and before ``end``, in one request, and more where reading goes on."""
        self._ahead = min(max(1, 2 * self._ahead), BLOCKS_AHEAD) if block == self._expected else 0
        last = block + 1
        while last < min(end + self._ahead, block + BLOCKS_KEPT) and last not in self._blocks:
            last += 1
        start, stop = block * BLOCK_BYTES, min(self.size, last * BLOCK_BYTES)
        data = self.store.read_range(self.path, start, stop, self.etag)
        for index in range(block, -(-stop // BLOCK_BYTES)):
            self._blocks[index] = data[(index - block) * BLOCK_BYTES :][:BLOCK_BYTES]
        while len(self._blocks) > BLOCKS_KEPT:
            self._blocks.popitem(last=False)
        self._expected = last
        return last - block, data


def _without_lost_connections(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Leave unsaid that a request ended with its connection: who made it knows, and tries again."""
    if not isinstance(context.get("exception"), (aiohttp.ClientError, OSError)):
        loop.default_exception_handler(context)


def _tell(endpoint: str, reason: str) -> None:
    """Say once in an outage, whichever process sees it first, that somebody waits for the store."""
    now = time.monotonic()
    if _told[0] == 0 or now - _told[0] > 2 * patience():
        _told[0] = now
        print(
            f"note: the S3 store at {endpoint} does not answer ({reason}): trying again for up to {patience():.0f} s",
            file=sys.stderr, flush=True,
        )  # fmt: skip
