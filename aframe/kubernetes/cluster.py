"""A connection to a Kubernetes API, patient with outages and plain about what the user must mend."""

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

FIRST_PATIENCE, PATIENCE = 30.0, 3600.0
"""Seconds for which the API is tried: when it has never answered, and when it has."""

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds between two tries: the first pause, which doubles, and the longest."""

TIMEOUT = 60.0
"""Seconds in which an answer must begin."""

SILENCE = 900.0
"""Seconds without a line after which a log is asked for anew: connections may die without a word."""

BATCH, CORE = "batch/v1", "v1"

TIMED = re.compile(r"(?P<time>(?P<second>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(?P<offset>Z|[+-]\d\d:\d\d)) ?")
"""The time before each line of a log, RFC 3339."""

REFUSALS = {
    401: "renew your credentials: `kubectl get jobs` must work here",
    403: "ask for the right to make Jobs, Secrets and ConfigMaps there, and to read pods' logs",
    404: "mend namespace in [luigi_kubernetes]",
}
"""What to do about a refusal, by HTTP status."""

Answer = TypeVar("Answer")


class Cluster:
    """A namespace of a cluster.

    Args:
        api: kr8s' connection, which finds the kubeconfig (KUBECONFIG, ``~/.kube/config``, or a pod's own account).
        namespace: The namespace.
    """

    def __init__(self, api: Any, namespace: str) -> None:
        self.namespace, self._api = namespace, api

    @classmethod
    @contextlib.asynccontextmanager
    async def connected(cls, settings: Kubernetes) -> AsyncIterator["Cluster"]:
        """A connection, after a look whether Jobs can be looked at.

        Raises:
            ConfigurationError: If kr8s is not installed, or there is no kubeconfig or no such context.
            BatchError: If the API does not answer, or refuses.
        """
        try:
            import kr8s.asyncio
        except ImportError:
            raise ConfigurationError(
                "training_image is set in [luigi_kubernetes]: install what speaks to clusters: "
                "pip install 'aframe[kubernetes]'"
            ) from None

        async def attempt() -> Any:
            try:
                with _plainly():
                    return await kr8s.asyncio.api(context=settings.kube_context, namespace=settings.namespace)
            except (ValueError, KeyError, TypeError, FileNotFoundError, PermissionError, _MissingError) as error:
                where = settings.kube_context or "the current context"
                raise ConfigurationError(
                    f"no way to the cluster of {where} is known ({' '.join(str(error).split())}): set KUBECONFIG, or "
                    "kube_context in [luigi_kubernetes]; `kubectl get jobs` must work here"
                ) from None

        api = await patiently(attempt, FIRST_PATIENCE)
        api.timeout = TIMEOUT
        cluster = cls(api, settings.namespace or api.namespace)
        try:
            await cluster.call("GET", BATCH, "jobs", params={"limit": 1})
            yield cluster
        finally:
            await api._session.aclose()  # kr8s leaves that to the end of the process

    async def call(self, method: str, version: str, path: str, missing_is_fine: bool = False, **options: Any) -> Any:
        """What the API answers to a request about this namespace; None for what is not there.

        Args:
            method: Of HTTP.
            version: ``BATCH`` or ``CORE``.
            path: Below the namespace.
            missing_is_fine: Whether to answer None for what is not there, instead of an error.
            options: The request's, as httpx has them.

        Raises:
            BatchError: If the API refuses, or does not answer for ``PATIENCE``.
        """

        async def attempt() -> Any:
            async with self._request(version, path, method, **options) as response:
                return response.json()

        try:
            return await patiently(attempt, PATIENCE)
        except _MissingError as error:
            if missing_is_fine:
                return None
            raise BatchError(f"the Kubernetes API has nothing of that: {error}") from None

    async def renew(self, version: str, kind: str, manifest: dict[str, Any]) -> None:
        """Make something anew: nothing stays of what there is under that name."""
        name = manifest["metadata"]["name"]
        await self.call("DELETE", version, f"{kind}/{name}", missing_is_fine=True)
        await self.call("POST", version, kind, content=json.dumps(manifest))

    async def log(self, pod: str, container: str, since: str) -> AsyncIterator[tuple[str, str]]:
        """Times (RFC 3339) and texts of a pod's lines as they come, until the pod or the connection ends.

        Args:
            pod: Its name.
            container: Of the pod.
            since: Time (RFC 3339) of the last line that is known; empty for all lines.
        """
        asked = {"container": container, "follow": "true", "timestamps": "true"}
        known = TIMED.match(since)
        if known:
            asked["sinceTime"] = known["second"] + known["offset"]  # the API takes no fractions
        with contextlib.suppress(_TransientError, _MissingError):
            async with self._request(CORE, f"pods/{pod}/log", stream=True, params=asked, timeout=SILENCE) as response:
                async for line in response.aiter_lines():
                    timed = TIMED.match(line)
                    if timed is None:
                        yield "", line
                    elif timed["time"] > since:
                        yield timed["time"], line[timed.end() :]

    @contextlib.asynccontextmanager
    async def _request(self, version: str, path: str, method: str = "GET", **options: Any) -> AsyncIterator[Any]:
        if method == "PATCH":
            options["headers"] = {"Content-Type": "application/merge-patch+json"}
        with _plainly(f"{method} {path} in namespace {self.namespace}"):
            async with self._api.call_api(
                method, version=version, namespace=self.namespace, url=path, **options
            ) as response:
                yield response


@contextlib.contextmanager
def _plainly(what: str = "the first request") -> Iterator[None]:
    """Turn kr8s' errors into a BatchError, a ``_TransientError`` (it may pass) or a ``_MissingError`` (not there)."""
    import httpx
    import kr8s

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Kubernetes version")  # what is used here all versions have
            yield
    except (httpx.TransportError, kr8s.APITimeoutError, ConnectionError) as error:
        raise _TransientError(str(error) or type(error).__name__) from error
    except kr8s.ServerError as error:
        code = error.response.status_code if error.response is not None else 0
        told = " ".join(str(error).split())
        if code == 404 and not told.startswith("namespaces "):
            raise _MissingError(f"{what}: {told}") from error
        if code == 429 or code >= 500:
            raise _TransientError(f"HTTP {code}") from error
        mend = REFUSALS.get(code, "mend what it names in [luigi_kubernetes]")
        raise BatchError(f"the Kubernetes API refuses {what} with HTTP {code}: {told}: {mend}") from error


async def patiently(attempt: Callable[[], Awaitable[Answer]], patience: float) -> Answer:
    """Try until the API answers.

    Args:
        attempt: Raises ``_TransientError`` for what may pass.
        patience: Seconds.

    Raises:
        UnreachableError: If it has not answered by then.
    """
    wait, end, is_told = FIRST_WAIT, time.monotonic() + patience, False
    while True:
        try:
            return await attempt()
        except _TransientError as error:
            if time.monotonic() + wait > end:
                raise UnreachableError(
                    f"the Kubernetes API did not answer for {patience:.0f} s ({error}): check the kubeconfig's server "
                    "and the network, then run again; a training that runs there goes on"
                ) from None
            if not is_told:
                print(f"Train: the Kubernetes API does not answer ({error}): trying on", flush=True)
                is_told = True
        await asyncio.sleep(wait)
        wait = min(2 * wait, LONGEST_WAIT)


class UnreachableError(BatchError):
    """An API that does not answer, of which nothing more can be asked."""


class _TransientError(Exception):
    """What may pass."""


class _MissingError(Exception):
    """Something that is not there."""
