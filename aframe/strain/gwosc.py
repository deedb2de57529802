"""GWOSC's server: what it says about events, and addresses of its files of strain."""

import math
import os
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlparse

import requests
import tenacity

from aframe.errors import ServerError
from aframe.strain.download import reason_of

VARIABLE = "GWOSC_SERVER_URL"
"""Variable of the environment that names another server. The client of GWOSC reads it too."""

USUAL_SERVER = "https://gwosc.org"

TIMEOUT = (10.0, 30.0)
"""Time to connect, and longest time without a byte of an answer, s."""

DEFAULT_PARAMETERS = {"include-default-parameters": "true"}
"""Part of a query that asks for the parameters of each event."""

Answer = TypeVar("Answer")


class _Impatient(requests.Session):
    """A session whose time-outs are final. The client of GWOSC would wait ten times."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a request."""
        try:
            return super().send(request, **(options | {"timeout": TIMEOUT}))
        except requests.Timeout as error:
            raise requests.ConnectionError(reason_of(error)) from error


class GwoscServer:
    """GWOSC, or a server that answers as it does. A server that does not answer is not asked again.

    Args:
        address: URL; empty for ``GWOSC_SERVER_URL``, or else GWOSC's own.
    """

    def __init__(self, address: str = "") -> None:
        self.address = (address or os.environ.get(VARIABLE) or USUAL_SERVER).rstrip("/")
        self.failure = ""
        self._session = _Impatient()

    @property
    def name(self) -> str:
        """Name of the server, as a directory may have it."""
        return urlparse(self.address).netloc.replace(":", "-") or "gwosc"

    def event(self, name: str) -> dict[str, Any] | None:
        """What the server says about an event: ``name``, ``gps``, ``version``, ``catalog`` and more. None if unknown.

        Args:
            name: Name, also with a version as GW150914-v3.

        Raises:
            ServerError: If the server does not answer.
        """
        from gwosc.api import v2

        return self._ask(lambda: dict(v2.fetch_event_version(name, host=self.address, session=self._session)))

    def events(self, span: tuple[float, float] | None = None) -> list[dict[str, Any]]:
        """All events, with ``name``, ``gps``, ``version`` and ``catalog``.

        Args:
            span: First and last GPS time; None for any.

        Raises:
            ServerError: If the server does not answer.
        """
        from gwosc.api import v2

        options = {"segment": span, "select": DEFAULT_PARAMETERS, "host": self.address, "session": self._session}
        return self._ask(lambda: list(v2.fetch_event_versions(**options))) or []

    def files_of_event(self, name: str, ifo: str, sample_rate: int) -> list[str]:
        """Addresses of the HDF5 files about an event.

        Args:
            name: Name of the event.
            ifo: Detector.
            sample_rate: 4096 or 16384 Hz.

        Raises:
            ServerError: If the server does not answer.
        """
        from gwosc import locate

        options = {"detector": ifo, "sample_rate": sample_rate, "host": self.address, "session": self._session}
        return self._ask(lambda: list(locate.get_event_urls(name, **options))) or []

    def files_between(self, ifo: str, start: float, stop: float, sample_rate: int) -> list[str]:
        """Addresses of HDF5 files that cover a stretch of time. Empty if there are none.

        Args:
            ifo: Detector.
            start: GPS s.
            stop: GPS s.
            sample_rate: 4096 or 16384 Hz.

        Raises:
            ServerError: If the server does not answer.
        """
        from gwosc import locate

        def ask() -> list[str]:
            try:
                return list(
                    locate.get_urls(ifo, start, stop, sample_rate=sample_rate, host=self.address, session=self._session)
                )
            except requests.RequestException:  # some are ValueErrors
                raise
            except ValueError:  # no data set has the time
                return []

        return self._ask(ask) or []

    def segments(self, flag: str, start: float, stop: float) -> list[tuple[float, float]]:
        """When a flag, such as ``H1_DATA``, is set.

        Args:
            flag: Name of the flag.
            start: GPS s.
            stop: GPS s.

        Raises:
            ServerError: If the server does not answer.
        """
        from gwosc import timeline

        options = {"host": self.address, "session": self._session}
        rows = self._ask(lambda: timeline.get_segments(flag, math.floor(start), math.ceil(stop), **options)) or []
        return [(float(first), float(last)) for first, last, *_ in rows]

    def _ask(self, question: Callable[[], Answer]) -> Answer | None:
        """Ask the server. None if it knows no such thing.

        Raises:
            ServerError: If it does not answer, now or before.
        """
        if not self.failure:
            try:
                return question()
            except requests.HTTPError as error:
                if error.response is not None and error.response.status_code == requests.codes.not_found:
                    return None
                self.failure = reason_of(error)
            except requests.JSONDecodeError:
                self.failure = "its answer is no JSON"
            except (requests.RequestException, OSError) as error:
                self.failure = reason_of(error)
            except tenacity.RetryError:
                self.failure = "it answers that it is busy or has an error"
            except (KeyError, TypeError, AttributeError) as error:
                self.failure = f"its answer is not as expected: {error!r}"
        raise ServerError(
            f"{self.address} does not answer ({self.failure}): check the network, or give another server with --server"
        )
