"""Events to GraceDB, by its own client: each signal once, with a new version for each revision.

The address may end in ``?group=CBC&pipeline=aframe&search=AllSky``. Without a group, events go to the group ``Test``,
of which no alerts are sent.
"""

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from aframe.constants import SECONDS_PER_YEAR
from aframe.errors import ConfigurationError, DataError, ServerError
from aframe.online.live_event import LiveEvent, first_time
from aframe.settings.keys import nearest

if TYPE_CHECKING:
    from ligo.gracedb.rest import GraceDb

EVENT_FILE = "aframe.json"
"""Name of the event's file at GraceDB. Its identifier and revision tell what GraceDB has."""

P_ASTRO_FILE = "aframe.p_astro.json"
"""Name of the file with the probability of each class."""

REACH = 60.0
"""Seconds on either side of a signal's first maximum in which GraceDB is asked for its events."""

TIMEOUT = 20.0
"""Seconds that a connection, and each part of an answer, may take."""

TRANSIENT = (408, 409, 425, 429)
"""Answers below 500 that say nothing about the event: conflicts and crowds pass."""

NOT_FOUND = 404
"""Answer where there is no such file."""


@dataclass(frozen=True)
class Address:
    """Where events go at GraceDB.

    Attributes:
        url: URL of the server's API.
        group: Group of the analysis. Events of ``Test`` alert nobody.
        pipeline: Name of the pipeline.
        search: Name of the search; empty for none.
    """

    url: str
    group: str = "Test"
    pipeline: str = "aframe"
    search: str = "AllSky"

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read an address such as ``https://gracedb-playground.ligo.org/api/?group=Test``.

        Raises:
            ConfigurationError: If it is no https URL, or has an unknown option.
        """
        parts = urlsplit(text)
        if parts.scheme != "https" or not parts.hostname:
            raise ConfigurationError(
                f"gracedb = {text} is no https URL: give one such as https://gracedb.ligo.org/api/"
            )
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        valid = ("group", "pipeline", "search")
        for name in options:
            if name not in valid:
                raise ConfigurationError(f"gracedb = {text} has an unknown option {name}{nearest(name, valid)}")
        address = cls(urlunsplit((parts.scheme, parts.netloc, f"{parts.path.rstrip('/')}/", "", "")))
        return replace(address, **options)


class GraceDbSink:
    """Sends events to GraceDB, with the credential of the environment: a SciToken or an X.509 certificate.

    Args:
        address: Where events go.

    Raises:
        ConfigurationError: If ligo-gracedb is not installed.
    """

    name = "gracedb"

    def __init__(self, address: Address) -> None:
        self.address = address
        self._client: GraceDb | None = None
        try:
            import ligo.gracedb  # noqa: F401
        except ImportError:
            raise ConfigurationError(
                "gracedb needs the package ligo-gracedb: pip install 'aframe[online]', or leave gracedb empty"
            ) from None

    def check(self) -> None:
        """Ask the server who we are, and whether it knows the group, the pipeline and the search.

        Raises:
            ConfigurationError: If it is no GraceDB, or refuses the credential, or lacks one of these.
            ServerError: If it does not answer.
        """
        where = self.address
        self.close()
        try:
            with self._asking() as client:
                info = client.service_info
                for kind, name in (("group", where.group), ("pipeline", where.pipeline), ("search", where.search)):
                    known = info.get({"search": "searches"}.get(kind, f"{kind}s"))
                    if not isinstance(known, list):
                        raise ConfigurationError(f"{where.url} is no GraceDB: it names no {kind}: mend gracedb")
                    if name and name not in known:
                        raise ConfigurationError(f"{where.url} has no {kind} {name!r}{nearest(name, known)}")
                if client.get_user_info().json().get("username", "") in ("", "AnonymousUser"):
                    raise _refused(where.url, "takes us for nobody")
        except DataError as error:
            raise ConfigurationError(f"{where.url} is no GraceDB ({error}): mend gracedb") from None

    def close(self) -> None:
        """End the connections. The next request makes new ones."""
        if self._client is not None:
            self._client.close()
        self._client = None

    def find(self, event: LiveEvent) -> str:
        """GraceDB's identifier of an event, if it has this revision or a later one; else empty.

        Raises:
            ServerError: If the server does not answer.
        """
        with self._asking() as client:
            identifier, revision = self._stored(client, event)
            return identifier if revision >= event.revision and self._has_classes(client, identifier, event) else ""

    def send(self, event: LiveEvent) -> str:
        """Make an event, or a new version of the one that GraceDB has of this signal, and return its identifier.

        Raises:
            ServerError: If the server does not take it now.
            DataError: If the server refuses it.
        """
        where = self.address
        with self._asking() as client:
            identifier, revision = self._stored(client, event)
            content = json.dumps(gracedb_document(event), indent=1, allow_nan=False)
            if not identifier:
                answer = client.create_event(
                    where.group, where.pipeline, EVENT_FILE, search=where.search or None, filecontents=content
                )
                identifier = str(answer.json()["graceid"])
            elif revision < event.revision:
                client.replace_event(identifier, EVENT_FILE, filecontents=content)
            if event.p_astro and not self._has_classes(client, identifier, event):
                client.write_log(
                    identifier, _classes_comment(event), P_ASTRO_FILE, json.dumps(dict(event.p_astro)), ["p_astro"]
                )
            return identifier

    def _stored(self, client: "GraceDb", event: LiveEvent) -> tuple[str, int]:
        """GraceDB's identifier of the signal, and its latest revision there; empty and -1 if there is none."""
        where, time = self.address, first_time(event.identifier)
        query = f"group: {where.group} pipeline: {where.pipeline} gpstime: {time - REACH:.3f} .. {time + REACH:.3f}"
        for each in client.events(query):
            document = self._document(client, each["graceid"])
            if document.get("identifier") == event.identifier:
                return str(each["graceid"]), int(document.get("revision", -1))
        return "", -1

    @staticmethod
    def _document(client: "GraceDb", identifier: str) -> Mapping[str, Any]:
        """Our document of an event; empty if it is of another search, without such a file or with one of its own."""
        from ligo.gracedb.exceptions import HTTPError
        from requests.exceptions import JSONDecodeError

        try:
            content = client.files(identifier, EVENT_FILE).json()
        except JSONDecodeError:
            return {}
        except HTTPError as error:
            if error.status != NOT_FOUND:
                raise
            return {}
        return content if isinstance(content, dict) else {}

    @staticmethod
    def _has_classes(client: "GraceDb", identifier: str, event: LiveEvent) -> bool:
        """Whether GraceDB has the classes' probabilities of this revision, or there are none."""
        if not event.p_astro:
            return True
        logs = client.logs(identifier).json().get("log", [])
        return any(entry.get("comment") == _classes_comment(event) for entry in logs)

    @contextmanager
    def _asking(self) -> Iterator["GraceDb"]:
        """The client, with its errors turned into ours."""
        import requests
        from igwn_auth_utils.error import IgwnAuthError
        from ligo.gracedb.exceptions import HTTPError

        url = self.address.url
        try:
            if self._client is None:
                self._client = _client(url)
            yield self._client
        except IgwnAuthError as error:
            raise _refused(url, f"cannot be asked, as there is no credential ({error})") from None
        except HTTPError as error:
            text = " ".join(error.text.split())[:200]
            if error.status in (401, 403):
                raise _refused(url, f"answers {error.status}") from None
            if error.status >= 500 or error.status in TRANSIENT:
                raise ServerError(f"{url} answers {error.status} {error.reason}: {text}") from None
            raise DataError(f"answer {error.status} {error.reason}: {text}") from None
        except requests.exceptions.SSLError as error:
            raise ConfigurationError(
                f"{url} cannot be trusted ({_reason(error)}): mend gracedb, or name its certificate authority in "
                "REQUESTS_CA_BUNDLE"
            ) from None
        except requests.exceptions.JSONDecodeError:
            raise DataError("an answer that is no JSON") from None
        except requests.exceptions.RequestException as error:
            raise ServerError(f"{url} does not answer ({_reason(error)}): mend gracedb or the network") from None


def gracedb_document(event: LiveEvent) -> dict[str, Any]:
    """The document of an event with the names that GraceDB takes its columns from.

    Args:
        event: The event.

    Returns:
        The document, with ``gpstime`` (s), ``far`` (Hz), ``ifos`` and ``detection_statistic`` besides.
    """
    return {
        "gpstime": event.time,
        "far": event.far_per_year / SECONDS_PER_YEAR,
        "ifos": list(event.detectors),
        "detection_statistic": event.statistic,
        **event.document(),
    }


def _client(url: str) -> "GraceDb":
    """The client with a token, or else with a certificate, either of which it reads again before it expires."""
    from igwn_auth_utils.error import IgwnAuthError
    from ligo.gracedb.rest import GraceDb

    class Client(GraceDb):
        """GraceDB's client, which waits for no answer forever."""

        def request(self, method: str, url: str, **options: Any) -> Any:
            return super().request(method, url, **{**options, "timeout": TIMEOUT})

    # at each request it reads its certificate's end as cryptography would no longer have it
    warnings.filterwarnings("ignore", "Properties that return a naïve datetime", module=r"ligo\.gracedb\.")

    def with_(credential: str) -> GraceDb:
        return Client(url, use_auth=credential, reload_cred=True, retries=0)

    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        try:
            return with_("scitoken")
        except IgwnAuthError:
            try:
                return with_("x509")
            except IgwnAuthError as error:
                texts = [str(note.message) for note in notes if note.category is UserWarning]
                raise IgwnAuthError("; ".join([*texts, str(error)])) from None


def _classes_comment(event: LiveEvent) -> str:
    return f"Source classes of {event.identifier}, revision {event.revision}"


def _refused(url: str, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"{url} {what}: get a token (htgettoken) or a certificate (X509_USER_CERT and X509_USER_KEY)"
    )


def _reason(error: Exception) -> str:
    """The innermost reason of an error of requests, in one line."""
    inner: Any = error
    while True:
        further = getattr(inner, "reason", None) or (inner.args[0] if inner.args else None)
        if not isinstance(further, BaseException):
            return " ".join(str(inner).split())
        inner = further
