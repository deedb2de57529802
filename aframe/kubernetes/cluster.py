"""Connection to a Kubernetes API, with retries during outages and clear errors for the user."""

import asyncio
import contextlib
import json
import re
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeVar

from aframe.errors import BatchError, ConfigurationError
from aframe.settings.jobs import Kubernetes

CONNECTION_PATIENCE = 30.0
"""Seconds for which the first request is repeated."""

OUTAGE_PATIENCE = 3600.0
"""Seconds for which any other request is repeated."""

FIRST_PAUSE = 0.5
"""Seconds between the first two attempts. The pause doubles after each attempt."""

MAX_PAUSE = 30.0
"""Maximum number of seconds between two attempts."""

ANSWER_TIMEOUT = 60.0
"""Seconds within which an answer must begin."""

LOG_TIMEOUT = 900.0
"""Seconds without a line after which a log is requested again, since a connection may be lost without notice."""

BATCH, CORE = "batch/v1", "v1"
"""Versions of the API for Jobs, and for all other resources."""

TIMED = re.compile(r"(?P<time>(?P<second>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(?P<offset>Z|[+-]\d\d:\d\d)) ?")
"""Matches the time (RFC 3339) at the start of each line of a log."""

REFUSALS = {
    401: "renew your credentials: `kubectl get jobs` must work here",
    403: "ask for the right to make Jobs, Secrets and ConfigMaps there, and to read pods' logs",
    404: "mend namespace in [luigi_kubernetes]",
}
"""Advice to the user for a refused request, by HTTP status."""

Answer = TypeVar("Answer")


class Cluster:
    """A namespace of a cluster.

    Args:
        api: Connection of kr8s. It finds the kubeconfig (KUBECONFIG, ``~/.kube/config``, or the account of a pod).
        namespace: Name of the namespace.
    """

    def __init__(self, api: Any, namespace: str) -> None:
        self.namespace, self._api = namespace, api

    @classmethod
    @contextlib.asynccontextmanager
    async def connected(cls, settings: Kubernetes) -> AsyncIterator["Cluster"]:
        """Connect to a cluster, and check that its Jobs can be listed.

        Args:
            settings: Context and namespace.

        Yields:
            The cluster.

        Raises:
            ConfigurationError: If kr8s is not installed, or the kubeconfig or its context does not exist.
            BatchError: If the API does not answer, or refuses the request.
        """
        try:
            import kr8s.asyncio
        except ImportError:
            raise ConfigurationError(
                "training_image is set in [luigi_kubernetes]: install the client for clusters: "
                "pip install 'aframe[kubernetes]'"
            ) from None

        async def attempt() -> Any:
            try:
                with _translated_errors():
                    return await kr8s.asyncio.api(context=settings.kube_context, namespace=settings.namespace)
            except (ValueError, KeyError, TypeError, FileNotFoundError, PermissionError, _MissingError) as error:
                where = settings.kube_context or "the current context"
                raise ConfigurationError(
                    f"no way to the cluster of {where} is known ({' '.join(str(error).split())}): set KUBECONFIG, or "
                    "kube_context in [luigi_kubernetes]; `kubectl get jobs` must work here"
                ) from None

        api = await patiently(attempt, CONNECTION_PATIENCE)
        api.timeout = ANSWER_TIMEOUT
        cluster = cls(api, settings.namespace or api.namespace)
        try:
            await cluster.call("GET", BATCH, "jobs", params={"limit": 1})
            yield cluster
        finally:
            await api._session.aclose()  # kr8s closes it only at the end of the process

    async def call(self, method: str, version: str, path: str, missing_is_fine: bool = False, **options: Any) -> Any:
        """Send a request about this namespace.

        Args:
            method: HTTP method.
            version: ``BATCH`` or ``CORE``.
            path: Path of the resource in the namespace.
            missing_is_fine: Whether to return None for a missing resource, instead of an error.
            options: Options of the request for httpx.

        Returns:
            Answer of the API; None for a missing resource.

        Raises:
            BatchError: If the API refuses the request, or does not answer for ``OUTAGE_PATIENCE``.
        """

        async def attempt() -> Any:
            async with self._request(version, path, method, **options) as response:
                return response.json()

        try:
            return await patiently(attempt, OUTAGE_PATIENCE)
        except _MissingError as error:
            if missing_is_fine:
                return None
            raise BatchError(f"the Kubernetes API has nothing of that: {error}") from None

    async def renew(self, version: str, kind: str, manifest: dict[str, Any]) -> None:
        """Delete a resource if it exists, and create it again.

        Args:
            version: ``BATCH`` or ``CORE``.
            kind: Plural name of the kind of resource.
            manifest: Manifest of the resource.
        """
        name = manifest["metadata"]["name"]
        await self.call("DELETE", version, f"{kind}/{name}", missing_is_fine=True)
        await self.call("POST", version, kind, content=json.dumps(manifest))

    async def log(self, pod: str, container: str, since: str) -> AsyncIterator[tuple[str, str]]:
        """Follow the log of a pod until the pod or the connection ends.

        Args:
            pod: Name of the pod.
            container: Name of its container.
            since: Time (RFC 3339) of the last line that the caller has; empty for all lines.

        Yields:
            Time (RFC 3339) and text of each line.
        """
        parameters = {"container": container, "follow": "true", "timestamps": "true"}
        last_line = TIMED.match(since)
        if last_line:
            parameters["sinceTime"] = last_line["second"] + last_line["offset"]  # the API does not accept fractions
        with contextlib.suppress(_TransientError, _MissingError):
            async with self._request(
                CORE, f"pods/{pod}/log", stream=True, params=parameters, timeout=LOG_TIMEOUT
            ) as response:
                async for line in response.aiter_lines():
                    timed = TIMED.match(line)
                    if timed is None:
                        yield "", line
                    elif timed["time"] > since:
                        yield timed["time"], line[timed.end() :]

    @contextlib.asynccontextmanager
    async def _request(self, version: str, path: str, method: str = "GET", **options: Any) -> AsyncIterator[Any]:
        """Response of the API to a request about this namespace.

        Args:
            version: ``BATCH`` or ``CORE``.
            path: Path of the resource in the namespace.
            method: HTTP method.
            options: Options of the request for httpx.
        """
        if method == "PATCH":
            options["headers"] = {"Content-Type": "application/merge-patch+json"}
        with _translated_errors(f"{method} {path} in namespace {self.namespace}"):
            async with self._api.call_api(
                method, version=version, namespace=self.namespace, url=path, **options
            ) as response:
                yield response


@contextlib.contextmanager
def _translated_errors(what: str = "the first request") -> Iterator[None]:
    """Translate errors of kr8s into a BatchError, a ``_TransientError`` or a ``_MissingError``.

    Args:
        what: The request in words.
    """
    import httpx
    import kr8s

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Kubernetes version")  # all versions have these parts of the API
            yield
    except (httpx.TransportError, kr8s.APITimeoutError, ConnectionError) as error:
        raise _TransientError(str(error) or type(error).__name__) from error
    except kr8s.ServerError as error:
        code = error.response.status_code if error.response is not None else 0
        message = " ".join(str(error).split())
        if code == 404 and not message.startswith("namespaces "):
            raise _MissingError(f"{what}: {message}") from error
        if code == 429 or code >= 500:
            raise _TransientError(f"HTTP {code}") from error
        mend = REFUSALS.get(code, "mend what it names in [luigi_kubernetes]")
        raise BatchError(f"the Kubernetes API refuses {what} with HTTP {code}: {message}: {mend}") from error


async def patiently(attempt: Callable[[], Awaitable[Answer]], patience: float) -> Answer:
    """Repeat a request until the API answers.

    Args:
        attempt: Sends the request. It raises ``_TransientError`` if another attempt may succeed.
        patience: Time for which the request is repeated, s.

    Returns:
        The answer.

    Raises:
        UnreachableError: If the API does not answer within this time.
    """
    pause, deadline, is_reported = FIRST_PAUSE, time.monotonic() + patience, False
    while True:
        try:
            return await attempt()
        except _TransientError as error:
            if time.monotonic() + pause > deadline:
                raise UnreachableError(
                    f"the Kubernetes API did not answer for {patience:.0f} s ({error}): check the kubeconfig's server "
                    "and the network, then run again; a training that runs there goes on"
                ) from None
            if not is_reported:
                print(f"Train: the Kubernetes API does not answer ({error}): trying on", flush=True)
                is_reported = True
        await asyncio.sleep(pause)
        pause = min(2 * pause, MAX_PAUSE)


class UnreachableError(BatchError):
    """The API does not answer. No further request can succeed."""


class _TransientError(Exception):
    """An error after which another attempt may succeed."""


class _MissingError(Exception):
    """A resource does not exist."""
