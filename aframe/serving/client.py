"""Client of a Triton server. It keeps several requests in flight, each with a deadline.

The served models are stateless, so a request may be repeated: its answer is the same, and is used once.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.grpc.model_config_pb2 import ModelConfig
from tritonclient.utils import InferenceServerException

from aframe.errors import ConfigurationError, ServerError
from aframe.export.configuration import check_identity, served_version
from aframe.types import Array

Tag = TypeVar("Tag")

CHANNEL_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1000),  # by default gRPC tries a restarted server only after minutes
]
"""Options of gRPC's channel."""

TRANSIENT = ("StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED", "StatusCode.CANCELLED")
"""Errors after which the same request may succeed: the server is unreachable, too slow, or about to end."""

VERSION_GONE = ("StatusCode.NOT_FOUND", "unknown model", "not at ready state", "no longer")
"""Parts of errors of a server that has replaced the requested version."""

DEADLINE_MARGIN = 5.0
"""Seconds beyond its deadline after which a request without a result from gRPC counts as lost."""


@dataclass(frozen=True)
class Delivery:
    """Deadlines and retries of requests.

    Attributes:
        in_flight: Largest number of requests in flight.
        deadline: Longest time for the answer of each attempt, s.
        retries: Number of attempts after the first.
        first_wait: Time before the second attempt, s. It doubles from one attempt to the next.
        last_wait: Longest time between two attempts, s.
    """

    in_flight: int = 16
    deadline: float = 60.0
    retries: int = 8
    first_wait: float = 0.5
    last_wait: float = 30.0

    def wait(self, attempt: int) -> float:
        """Seconds to wait after an attempt. The first attempt has number 0."""
        return min(self.last_wait, self.first_wait * 2**attempt)


@dataclass
class _Pending:
    """A request in flight."""

    model: str
    inputs: Array
    tag: Any
    answer: "Future[Array]" = field(default_factory=Future)


class TritonClient:
    """Client of the models of one server.

    Args:
        address: host:port of the server's gRPC service.
        identity: Identity of the expected model, as in ``export.configuration.identity``.
        delivery: Deadlines and retries of requests.

    Raises:
        ConfigurationError: If the address is no host:port.
    """

    def __init__(self, address: str, identity: Mapping[str, str], delivery: Delivery) -> None:
        host, _, port = address.removeprefix("grpc://").rpartition(":")
        if not host or not port.isdigit():
            raise ConfigurationError(
                f"triton_address = {address!r} is no HOST:PORT of a gRPC service, such as gpu1:8001"
            )
        self.address, self.identity, self.delivery = f"{host}:{port}", identity, delivery
        self.client = InferenceServerClient(self.address, channel_args=CHANNEL_OPTIONS)
        self.configurations: dict[str, ModelConfig] = {}

    def close(self) -> None:
        """Close the connection."""
        self.client.close()

    def configuration(self, model: str) -> ModelConfig:
        """Configuration of a model on the server. It is read and checked once.

        Raises:
            ParameterMismatchError: If it is another model, or a model with another preprocessing.
            ServerError: If the server does not answer, or lacks the model.
        """
        if model not in self.configurations:
            read, deadline = self.client.get_model_config, self.delivery.deadline
            configuration = self._persist(lambda _: read(model, client_timeout=deadline).config, model)
            check_identity(configuration, self.identity, f"the Triton server at {self.address}")
            self.configurations[model] = configuration
        return self.configurations[model]

    def infer_each(self, requests: Iterable[tuple[str, Array, Tag]]) -> Iterator[tuple[Array, Tag]]:
        """Send requests, and yield their answers in order. Requests are taken only while few enough are in flight.

        Args:
            requests: Requests: name of the model, inputs with a batch axis in front, and a tag.

        Yields:
            Answer of each request, with the tag of the request.

        Raises:
            ParameterMismatchError: If the server has changed to another model.
            ServerError: If the server refuses a request, or does not answer it after all retries.
        """
        pending: deque[_Pending] = deque()
        try:
            for model, inputs, tag in requests:
                if len(pending) == self.delivery.in_flight:
                    yield self._collect(pending.popleft())
                pending.append(self._send(_Pending(model, inputs, tag)))
            while pending:
                yield self._collect(pending.popleft())
        finally:
            for request in pending:
                request.answer.cancel()

    def _send(self, request: _Pending) -> _Pending:
        """Send a request."""
        configuration = self.configuration(request.model)
        inputs = InferInput(configuration.input[0].name, request.inputs.shape, "FP32")
        inputs.set_data_from_numpy(request.inputs)
        answer: Future[Array] = Future()
        request.answer = answer

        def receive(result: Any, error: InferenceServerException | None) -> None:
            if not answer.set_running_or_notify_cancel():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result.as_numpy(configuration.output[0].name))

        self.client.async_infer(
            request.model,
            [inputs],
            receive,
            model_version=served_version(configuration),
            client_timeout=self.delivery.deadline,
        )
        return request

    def _collect(self, request: _Pending) -> tuple[Array, Any]:
        """Wait for the answer of a request. Send the request again after a transient error."""

        def attempt(number: int) -> Array:
            if number > 0:
                self._send(request)
            return request.answer.result(self.delivery.deadline + DEADLINE_MARGIN)

        return self._persist(attempt, request.model), request.tag

    def _persist(self, attempt: Callable[[int], Any], model: str) -> Any:
        """Repeat an attempt until it succeeds, fails permanently, or all retries are used."""
        for number in range(self.delivery.retries + 1):
            is_gone = False
            try:
                return attempt(number)
            except FutureTimeoutError:
                reason = "neither an answer nor an error: lost on the way"
            except InferenceServerException as error:
                reason = f"{error.status()}: {' '.join(str(error.message()).split())}"
                is_gone = any(word in reason for word in VERSION_GONE)
                if not is_gone and error.status() not in TRANSIENT:
                    raise ServerError(
                        f"the Triton server at {self.address} refuses {model}: {reason}; its log says more"
                    ) from None
            if is_gone:  # read the configuration of the new version, and check its identity
                self.configurations.pop(model, None)
            if number < self.delivery.retries and not (is_gone and number == 0):
                time.sleep(self.delivery.wait(number))
        raise ServerError(
            f"the Triton server at {self.address} did not answer for {model} in {self.delivery.retries + 1} attempts "
            f"of {self.delivery.deadline:g} s ({reason}): see whether it runs and has that model, then run again"
        )
