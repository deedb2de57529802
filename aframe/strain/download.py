"""Downloads of whole files: continued where they broke off, and compared with their checksum when used again."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlparse

import requests
import urllib3

from aframe import storage
from aframe.errors import StorageError
from aframe.progress.lines import transfer_progress

TIMEOUT = (10.0, 30.0)
"""Time to connect, and longest time without a byte, s."""

DELAYS = (1.0, 3.0, 9.0)
"""Time before each further attempt, s."""

LEAST_SPEED, PATIENCE = 1e3, 60.0
"""Bytes per second that a server must send in this time (s) at least."""

PIECE_BYTES = 2**18
"""Most bytes that are read at once."""

LASTING = range(400, 500)
"""Answers that another attempt does not change, but for those of ``PASSING``."""

PASSING = (408, 416, 429)
"""Answers of a server that is slow or busy, or has another file than the one that was begun."""


class _BrokenOffError(Exception):
    """A transfer ended before its file."""


def download(url: str, path: Path) -> None:
    """Fetch a file, and record its size and SHA-256 beside it.

    What arrives before an interruption is kept, and the next call goes on there, if the server has the same file still.

    Args:
        url: Address of the file.
        path: Where it goes. It appears when it is complete.

    Raises:
        StorageError: If the file does not arrive whole, with the reason.
    """
    part = path.with_name(f".{path.name}.part")
    for delay in (*DELAYS, None):
        try:
            _go_on(url, part, path.name)
            break
        except (requests.RequestException, urllib3.exceptions.HTTPError, _BrokenOffError) as error:
            answer = getattr(error, "response", None)
            code = answer.status_code if isinstance(answer, requests.Response) else 0
            reason, is_lasting = f"the server answers {code}" if code else reason_of(error), is_final(code)
        if delay is None or is_lasting:
            raise StorageError(f"{url} was not downloaded ({reason})")
        time.sleep(delay)
    content = {"url": url, "size": part.stat().st_size, "sha256": storage.sha256(str(part))}
    storage.sign(str(path), content)
    _record(part).unlink(missing_ok=True)
    os.replace(part, path)


def is_intact(path: str) -> bool:
    """Whether a file is as it was downloaded. A file that the user put there counts as intact."""
    recorded = storage.signed(path)
    if recorded is None:
        return True
    return recorded["size"] == os.path.getsize(path) and recorded["sha256"] == storage.sha256(path)


def is_final(code: int) -> bool:
    """Whether a server's answer of this HTTP status stays the same when it is asked again."""
    return code in LASTING and code not in PASSING


def reason_of(error: BaseException) -> str:
    """What a user may want to know of a failed request, in a few words."""
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return f"no answer within {TIMEOUT[1]:.0f} s"
    if isinstance(error, requests.ConnectionError):
        text = str(error)
        for sign, meaning in (
            ("Name or service not known", "its name is not known: there is no network, or the name is wrong"),
            ("name resolution", "its name is not known: there is no network, or the name is wrong"),
            ("Connection refused", "connection refused"),
            ("timed out", f"no answer within {TIMEOUT[0]:.0f} s"),
        ):
            if sign in text:
                return meaning
    return " ".join(str(error).split()) or type(error).__name__


def _record(part: Path) -> Path:
    """File that says of which file a part is."""
    return part.with_name(f"{part.name}.json")


def _begun(url: str, part: Path) -> tuple[int, str]:
    """Number of bytes that an interrupted download left, and what identifies the server's file. Zero without one."""
    try:
        recorded = json.loads(_record(part).read_text(encoding="utf-8"))
        size = part.stat().st_size
    except (OSError, ValueError):
        return 0, ""
    return (size, recorded["state"]) if recorded["url"] == url and recorded["state"] else (0, "")


def _go_on(url: str, part: Path, name: str) -> None:
    """Fetch what a part lacks.

    Args:
        url: Address of the file.
        part: Path of the part.
        name: Name of the file, for progress.

    Raises:
        requests.RequestException: If the server cannot be asked, or answers with an error.
        _BrokenOffError: If not all of the file arrives.
    """
    size, state = _begun(url, part)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={size}-", "If-Range": state} if size else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink()
        answer.raise_for_status()
        size = size if answer.status_code == requests.codes.partial_content else 0
        length = answer.headers.get("Content-Length", "")
        total = size + int(length) if length.isdigit() else None
        with part.open("ab" if size else "wb") as file, transfer_progress(f"fetching {name}", total or 0) as advance:
            _record(part).write_text(json.dumps({"url": url, "state": _state(answer)}), encoding="utf-8")
            advance(size)
            try:
                for piece in _pieces(answer):
                    file.write(piece)
                    size += len(piece)
                    advance(len(piece))
            except urllib3.exceptions.ProtocolError:
                raise _BrokenOffError(f"it ended after {size} of {total or 'unknown'} bytes") from None
            if total is not None and size != total:
                raise _BrokenOffError(f"it ended after {size} of {total} bytes")


def _state(answer: requests.Response) -> str:
    """What identifies the content of a server's file; empty if the server does not say."""
    tag = answer.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")


def _pieces(answer: requests.Response) -> Iterator[bytes]:
    """The bytes of an answer as they arrive.

    Raises:
        _BrokenOffError: If they arrive too slowly.
    """
    begin, received = time.monotonic(), 0
    while piece := answer.raw.read1(PIECE_BYTES):
        yield piece
        received += len(piece)
        seconds = time.monotonic() - begin
        if seconds > PATIENCE and received < LEAST_SPEED * seconds:
            raise _BrokenOffError(f"{received} bytes came in {seconds:.0f} s")


def name_of(url: str) -> str:
    """Name of the file at an address."""
    return os.path.basename(urlparse(url).path).lstrip(".")
