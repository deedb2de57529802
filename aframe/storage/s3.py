"""S3 file system for unattended work: retries, clear errors, complete objects, and safe forks."""

import asyncio
import contextlib
import hashlib
import os
import random
import sys
import time
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
from aframe.storage.s3_errors import transient, translated
from aframe.storage.s3_reader import ObjectReader

RETRY_TIME = 300.0
"""Seconds for which a failed operation is repeated, unless AFRAME_S3_PATIENCE sets another time."""

ATTEMPT_TIMEOUT = 900.0
"""Maximum duration of one attempt, s. Without it, a write blocks forever if the other end no longer reads."""

FIRST_PAUSE = 0.2
"""Seconds between the first two attempts. The pause doubles after each attempt."""

MAX_PAUSE = 15.0
"""Maximum number of seconds between two attempts."""

MIN_PART_BYTES = 2**24
"""Minimum size of a part of an upload."""

MAX_PARTS = 9000
"""Maximum number of parts of an upload. S3 accepts 10 000."""

CONCURRENT_PARTS = 4
"""Number of parts that are uploaded at the same time."""

MAX_READS = 5
"""Maximum number of reads of a range of an object that other processes replace meanwhile."""

CHECKSUM = "sha256"
"""Key of an object's metadata with the SHA-256 of its content."""

MAX_UPLOAD_AGE = 86400.0
"""Age in s above which an incomplete upload counts as abandoned."""

_message_time = shared_array((1,))
"""Time of the last message about an outage, s of the monotonic clock. All forked processes share it."""

_stores: list["ObjectStore"] = []
"""Every store of this process and of its ancestors. ``ObjectStore`` explains why they are kept."""

Answer = TypeVar("Answer")


class _ReplacedError(StorageError):
    """An object was replaced between two requests."""


class ObjectInfo(NamedTuple):
    """Properties of an object in a store.

    Attributes:
        size: Size, bytes.
        etag: Tag that changes with the content.
        sha256: SHA-256 of the content, in hexadecimal; empty if the upload did not record it.
        md5: MD5 of the content, in hexadecimal; empty if the store does not provide it.
    """

    size: int
    etag: str
    sha256: str
    md5: str


def patience() -> float:
    """Time for which a failed operation is repeated, s.

    Raises:
        ConfigurationError: If AFRAME_S3_PATIENCE is no number.
    """
    text = os.environ.get("AFRAME_S3_PATIENCE", str(RETRY_TIME))
    try:
        return float(text)
    except ValueError:
        raise ConfigurationError(f"AFRAME_S3_PATIENCE = {text!r} is no number of seconds") from None


class ObjectStore(S3FileSystem):
    """S3 file system with the interface of fsspec. All code of this process uses it for ``s3://`` paths.

    Endpoint, credentials, profile and region come from the environment and the files that boto3 reads. Listings are not
    cached. Requests are repeated after a dropped connection or an overloaded server. Errors that the user must correct
    are a ``StorageError``. A missing object is a FileNotFoundError, and an existing one a FileExistsError.

    A forked process opens its own connection. It must neither close nor garbage-collect the connection of its parent:
    both remove the parent's sockets from the event queue that the processes share, and the parent would wait forever.
    """

    retries = 1  # _patiently repeats requests instead

    def __init__(self, *arguments: Any, **options: Any) -> None:
        configuration = {
            "retries": {"total_max_attempts": 1},
            "connect_timeout": 10,
            "read_timeout": 60,
            "max_pool_connections": 32,
            # older stores do not support checksums in trailers and answer with errors
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        }
        options["config_kwargs"] = configuration | options.get("config_kwargs", {})
        super().__init__(*arguments, **{"use_listings_cache": False, **options})
        self.loop.set_exception_handler(_without_lost_connections)
        _stores.append(self)

    @staticmethod
    def close_session(loop: Any, s3: Any) -> None:
        """Close connections at the end of the process that opened them, and in no other process.

        Args:
            loop: Event loop of the connections.
            s3: The connections.
        """
        if loop is fsspec.asyn.loop[0]:
            S3FileSystem.close_session(loop, s3)

    @property
    def endpoint(self) -> str:
        """URL of the store, in words if it is not known yet."""
        return str(self._s3.meta.endpoint_url) if self._s3 is not None else "the configured endpoint"

    async def _call_s3(self, method: str, *arguments: Any, **keywords: Any) -> Any:
        call = super()._call_s3
        what = f"{method} {keywords.get('Bucket', '')}/{keywords.get('Key', keywords.get('Prefix', ''))}".rstrip("/")
        return await self._patiently(lambda: call(method, *arguments, **keywords), what, keywords.get("Bucket", ""))

    call_s3 = sync_wrapper(_call_s3)

    async def _patiently(self, attempt: Callable[[], Awaitable[Answer]], what: str, bucket: str) -> Answer:
        """Repeat a request until the store answers, or the time for retries ends.

        Args:
            attempt: Makes the request.
            what: The request in words, for errors.
            bucket: Bucket of the request.

        Raises:
            StorageError: If the store does not answer, or the user must correct something.
        """
        pause, deadline = FIRST_PAUSE, 0.0
        while True:
            try:
                return await asyncio.wait_for(attempt(), ATTEMPT_TIMEOUT)
            except Exception as error:
                reason = transient(error)
                if not reason:
                    translation = translated(error, what, bucket, self.endpoint)
                    if translation is error:
                        raise
                    raise translation from error
                deadline = deadline or time.monotonic() + patience()
                if time.monotonic() + pause > deadline:
                    raise StorageError(
                        f"the S3 store at {self.endpoint} did not answer for {patience():.0f} s ({reason}; {what}): "
                        "check AWS_ENDPOINT_URL and the network, then run again, what is complete is kept"
                    ) from error
                _tell(self.endpoint, reason)
            await asyncio.sleep(pause * random.SystemRandom().uniform(0.5, 1))
            pause = min(2 * pause, MAX_PAUSE)

    async def _exists(self, path: str) -> bool:
        try:
            await self._info(path)
        except FileNotFoundError:
            return False
        return True

    exists = sync_wrapper(_exists)

    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Do nothing: S3 has no directories, and the user creates buckets."""

    makedirs = sync_wrapper(_makedirs)
    _mkdir = _makedirs
    mkdir = makedirs

    async def _describe(self, path: str) -> ObjectInfo:
        """Properties of an object."""
        bucket, key, _ = self.split_path(path)
        answer = await self._call_s3("head_object", Bucket=bucket, Key=key)
        etag = str(answer.get("ETag", "")).strip('"')
        is_md5 = len(etag) == 32 and "kms" not in str(answer.get("ServerSideEncryption", ""))
        metadata = {name.lower(): value for name, value in answer.get("Metadata", {}).items()}
        return ObjectInfo(answer["ContentLength"], etag, metadata.get(CHECKSUM, ""), etag if is_md5 else "")

    describe = sync_wrapper(_describe)

    async def _read_object(self, path: str, extent: tuple[int, int] | None = None, etag: str = "") -> bytes:
        """Read an object, or a range of it, in one request. All bytes of one answer are of one version of the object.

        Args:
            path: Bucket and key.
            extent: First byte, and end, exclusive; None for the whole object.
            etag: Expected tag of the object; empty for any.

        Raises:
            StorageError: If the object has another tag.
        """
        bucket, key, _ = self.split_path(path)
        call = super()._call_s3
        limits = {"Range": f"bytes={extent[0]}-{extent[1] - 1}"} if extent else {}

        async def attempt() -> tuple[str, bytes]:
            answer = await call("get_object", Bucket=bucket, Key=key, **limits)
            try:
                data = await answer["Body"].read()
            finally:
                answer["Body"].close()
            answer_etag = str(answer.get("ETag", "")).strip('"')
            size = extent[1] - extent[0] if extent else answer.get("ContentLength", len(data))
            if (not etag or answer_etag == etag) and len(data) != size:
                raise ConnectionError(f"{len(data)} bytes instead of {size}")
            return answer_etag, data

        answer_etag, data = await self._patiently(attempt, f"get_object {bucket}/{key}", bucket)
        if etag and answer_etag != etag:
            raise _ReplacedError(f"s3://{bucket}/{key} was replaced while it was being read: run again")
        return data

    async def _read_range(self, path: str, start: int, stop: int, etag: str = "") -> bytes:
        """Read a range of bytes of an object.

        Args:
            path: Bucket and key.
            start: First byte.
            stop: End of the range, exclusive.
            etag: Expected tag of the object; empty for any.

        Raises:
            StorageError: If the object has another tag.
        """
        return await self._read_object(path, (start, stop), etag)

    read_range = sync_wrapper(_read_range)

    async def _cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        if start is None and end is None and self.split_path(path)[1]:
            with contextlib.suppress(FileNotFoundError):  # it may be a directory
                return await self._read_object(path)
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
                if reads == MAX_READS:
                    raise

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        return ObjectReader(self, path) if "r" in mode else super()._open(path, mode, **options)

    def upload(self, local: Path, path: str) -> None:
        """Upload a local file atomically, with its SHA-256.

        Args:
            local: The file.
            path: Bucket and key.

        Raises:
            StorageError: If the size of the uploaded object is wrong.
        """
        with local.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        size = local.stat().st_size
        part = max(MIN_PART_BYTES, -(-size // MAX_PARTS))
        self.put_file(str(local), path, chunksize=part, max_concurrency=CONCURRENT_PARTS, Metadata={CHECKSUM: digest})
        stored = self.describe(path)
        if stored.size != size:
            raise StorageError(f"s3://{path} has {stored.size} bytes instead of {size}: run again")

    async def _put_file(self, lpath: str, rpath: str, *arguments: Any, **options: Any) -> None:
        """Upload a file, and repeat it if the store completed an upload but the answer was lost."""
        try:
            await super()._put_file(lpath, rpath, *arguments, **options)
        except FileNotFoundError:  # NoSuchUpload
            await super()._put_file(lpath, rpath, *arguments, **options)

    put_file = sync_wrapper(_put_file)

    async def _abort_mpu(self, bucket: str, key: str, mpu: str) -> None:
        """Abort an upload. Errors are ignored, since an earlier error was the cause."""
        with contextlib.suppress(Exception):
            await super()._call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=mpu)

    abort_mpu = sync_wrapper(_abort_mpu)

    def abort_stale_uploads(self, prefix: str) -> None:
        """Abort uploads that killed processes began more than a day ago. Not all stores can list them."""
        bucket, key, _ = self.split_path(prefix)
        with contextlib.suppress(OSError, StorageError):
            answer = self.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=f"{key}/")
            for upload in answer.get("Uploads", []):
                if (datetime.now(UTC) - upload["Initiated"]).total_seconds() > MAX_UPLOAD_AGE:
                    self.call_s3(
                        "abort_multipart_upload", Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )


def _without_lost_connections(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Suppress the event loop's messages about lost connections, since the requests are repeated.

    Args:
        loop: The event loop.
        context: The exception and its context.
    """
    if not isinstance(context.get("exception"), (aiohttp.ClientError, OSError)):
        loop.default_exception_handler(context)


def _tell(endpoint: str, reason: str) -> None:
    """Print once per outage, for all processes, that the store does not answer.

    Args:
        endpoint: URL of the store.
        reason: Reason of the first failure.
    """
    now = time.monotonic()
    if _message_time[0] == 0 or now - _message_time[0] > 2 * patience():
        _message_time[0] = now
        print(
            f"note: the S3 store at {endpoint} does not answer ({reason}): trying again for up to {patience():.0f} s",
            file=sys.stderr, flush=True,
        )  # fmt: skip
