"""Asking a Triton server: many requests on their way, none for ever.

What is asked is stateless, so that a request may be repeated at will: its answer is the same, and is taken once.
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

CHANNEL = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1000),  # else a server that is back is found only after minutes
]
"""Options of gRPC."""

TRANSIENT = ("StatusCode.UNAVAILABLE", "StatusCode.DEADLINE_EXCEEDED", "StatusCode.CANCELLED")
"""Failures after which the same request may succeed: a server that is not there, too slow, or about to end."""

VERSION_GONE = ("StatusCode.NOT_FOUND", "unknown model", "not at ready state", "no longer")
"""What a server says of a version that another has taken the place of."""

GRACE = 5.0
"""Seconds beyond its deadline after which a request whose end gRPC has not told is given up."""


@dataclass(frozen=True)
class Delivery:
    """How requests are sent.

    Attributes:
        in_flight: Requests that are on their way at the same time, at most.
        deadline: Time in which each attempt must be answered, s.
        retries: Attempts after the first.
        first_wait: Seconds before the second attempt; it doubles from one to the next.
        last_wait: Seconds between two attempts, at most.
    """

    in_flight: int = 16
    deadline: float = 60.0
    retries: int = 8
    first_wait: float = 0.5
    last_wait: float = 30.0

    def wait(self, attempt: int) -> float:
        """Seconds to wait after an attempt, the first being 0."""
        return min(self.last_wait, self.first_wait * 2**attempt)


@dataclass
class _Pending:
    """A request on its way."""

    model: str
    inputs: Array
    tag: Any
    answer: "Future[Array]" = field(default_factory=Future)


class TritonClient:
    """The models of one server.

    Args:
        address: host:port of its gRPC service.
        identity: Of the model that should answer, as in ``export.configuration.identity``.
        delivery: How requests are sent.
    """

    def __init__(self, address: str, identity: Mapping[str, str], delivery: Delivery) -> None:
        host, _, port = address.removeprefix("grpc://").rpartition(":")
        if not host or not port.isdigit():
            raise ConfigurationError(
                f"triton_address = {address!r} is no HOST:PORT of a gRPC service, such as gpu1:8001"
            )
        self.address, self.identity, self.delivery = f"{host}:{port}", identity, delivery
        self.client = InferenceServerClient(self.address, channel_args=CHANNEL)
        self.configurations: dict[str, ModelConfig] = {}

    def close(self) -> None:
        """Let go of the connection."""
        self.client.close()

    def configuration(self, model: str) -> ModelConfig:
        """What the server says of a model, read once and checked.

        Raises:
            ParameterMismatchError: If it is another model, or takes windows that were prepared in another way.
            ServerError: If the server does not answer, or has no such model.
        """
        if model not in self.configurations:
            ask = self.client.get_model_config
            found = self._persist(lambda _: ask(model, client_timeout=self.delivery.deadline).config, model)
            check_identity(found, self.identity, f"the Triton server at {self.address}")
            self.configurations[model] = found
        return self.configurations[model]

    def infer_each(self, requests: Iterable[tuple[str, Array, Tag]]) -> Iterator[tuple[Array, Tag]]:
        """Answers to requests, in order; the next request is made only when there is room for it on the way.

        Args:
            requests: Of each: model, inputs with a batch in front, and anything to have back with the answer.

        Raises:
            ParameterMismatchError: If the server has begun to serve another model.
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
        """Put a request on its way."""
        made = self.configuration(request.model)
        inputs = InferInput(made.input[0].name, request.inputs.shape, "FP32")
        inputs.set_data_from_numpy(request.inputs)
        answer: Future[Array] = Future()
        request.answer = answer

        def receive(result: Any, error: InferenceServerException | None) -> None:
            if not answer.set_running_or_notify_cancel():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result.as_numpy(made.output[0].name))

        self.client.async_infer(
            request.model,
            [inputs],
            receive,
            model_version=served_version(made),
            client_timeout=self.delivery.deadline,
        )
        return request

    def _collect(self, request: _Pending) -> tuple[Array, Any]:
        """The answer of a request that is on its way, which is sent again if need be."""

        def attempt(number: int) -> Array:
            if number > 0:
                self._send(request)
            return request.answer.result(self.delivery.deadline + GRACE)

        return self._persist(attempt, request.model), request.tag

    def _persist(self, attempt: Callable[[int], Any], model: str) -> Any:
        """Try until it succeeds, is refused for good, or has been tried often enough."""
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
            if is_gone:  # which version has taken its place, and is it still the same model?
                self.configurations.pop(model, None)
            if number < self.delivery.retries and not (is_gone and number == 0):
                time.sleep(self.delivery.wait(number))
        raise ServerError(
            f"the Triton server at {self.address} did not answer for {model} in {self.delivery.retries + 1} attempts "
            f"of {self.delivery.deadline:g} s ({reason}): see whether it runs and has that model, then run again"
        )
