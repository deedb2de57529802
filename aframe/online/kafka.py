"""Events to a topic of a Kafka cluster, by librdkafka's client.

A message's key is the identifier of the signal, and its value the event's document. Credentials and other properties of
librdkafka come from the file that ``AFRAME_KAFKA_PROPERTIES`` names, with a ``name = value`` in each line.
"""

import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aframe import storage
from aframe.errors import ConfigurationError, DataError, ServerError
from aframe.online.live_event import LiveEvent
from aframe.settings.keys import nearest

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

PROPERTIES = "AFRAME_KAFKA_PROPERTIES"
"""Environment variable with the path of a file of librdkafka's properties."""

TIMEOUT = 20.0
"""Seconds in which a message must be acknowledged, and a request answered."""

LOOKED_BACK = 1000
"""Number of the latest messages of each partition in which an event is looked for."""

ADDRESS = re.compile(r"(?P<servers>[^/\s]+:\d+(,[^/\s]+:\d+)*)/(?P<topic>[A-Za-z0-9._-]+)")
"""``host:port/topic``, or several servers of one cluster with commas between them."""

logger = logging.getLogger("aframe.online")


@dataclass(frozen=True)
class Topic:
    """A topic of a cluster.

    Attributes:
        servers: Its servers, ``host:port`` with commas between them.
        name: Name of the topic.
    """

    servers: str
    name: str

    @classmethod
    def parse(cls, text: str) -> "Topic":
        """Read ``host:port/topic``.

        Raises:
            ConfigurationError: If the text is not of this form.
        """
        match = ADDRESS.fullmatch(text.strip())
        if match is None:
            raise ConfigurationError(f"kafka = {text} is no host:port/topic: give one such as localhost:9092/aframe")
        return cls(match["servers"], match["topic"])


class KafkaSink:
    """Sends events to a topic.

    Args:
        topic: The topic.

    Raises:
        ConfigurationError: If confluent-kafka is not installed, or a property is unknown.
    """

    name = "kafka"

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        try:
            from confluent_kafka import KafkaException, Producer
        except ImportError:
            raise ConfigurationError(
                "kafka needs the package confluent-kafka: pip install 'aframe[online]', or leave kafka empty"
            ) from None
        self._properties = read_properties()
        self._said: list[str] = []
        options = {
            **self._common(),
            "enable.idempotence": True,
            "linger.ms": 0,
            "delivery.timeout.ms": int(1000 * TIMEOUT),
        }
        try:
            self._producer = Producer(options, logger=logger)
        except KafkaException as error:
            raise ConfigurationError(f"{PROPERTIES}: {_text(error)}: mend the file") from None

    def _common(self) -> dict[str, Any]:
        """Properties of producer and consumer."""
        return {
            "bootstrap.servers": self.topic.servers,
            "client.id": "aframe",
            "socket.timeout.ms": int(1000 * TIMEOUT),
            "error_cb": self._hear,
            **self._properties,
        }

    def _hear(self, error: Any) -> None:
        """Keep what librdkafka says while it tries again: it alone tells a refused credential from silence."""
        self._said = [*self._said[-4:], error.str()]

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Turn librdkafka's errors into ours."""
        from confluent_kafka import KafkaError, KafkaException

        servers, self._said = self.topic.servers, []
        try:
            yield
        except KafkaException as error:
            code, text = error.args[0].code(), _text(error)
            text = "; ".join(dict.fromkeys([text, *self._said]))
            if code in (KafkaError._AUTHENTICATION, KafkaError.TOPIC_AUTHORIZATION_FAILED) or "uthentica" in text:
                raise ConfigurationError(
                    f"{servers} refuses the credential ({text}): mend the file that {PROPERTIES} names"
                ) from None
            raise ServerError(f"{servers} does not answer ({text}): mend kafka or the network") from None
        except BufferError:
            raise ServerError(f"{servers} takes no events, and librdkafka's queue is full") from None

    def check(self) -> None:
        """Ask the cluster for the topic.

        Raises:
            ConfigurationError: If there is no such topic, or the credential is refused.
            ServerError: If the cluster does not answer.
        """
        with self._asking():
            known = self._producer.list_topics(timeout=TIMEOUT / 2).topics
        if self.topic.name not in known:
            raise ConfigurationError(
                f"{self.topic.servers} has no topic {self.topic.name}{nearest(self.topic.name, list(known))}: make it, "
                "or mend kafka"
            )

    def send(self, event: LiveEvent) -> str:
        """Send an event, and return partition and offset of its message once the cluster has it.

        Raises:
            ServerError: If the cluster does not acknowledge it in time. It may have it nevertheless.
            DataError: If the cluster refuses the message.
        """
        from confluent_kafka import KafkaError

        answers: list[tuple[Any, Any]] = []
        with self._asking():
            self._producer.produce(
                self.topic.name, json.dumps(event.document(), allow_nan=False).encode(), event.identifier.encode(),
                on_delivery=lambda error, message: answers.append((error, message)),
            )  # fmt: skip
            self._producer.flush(TIMEOUT + 1)
        if not answers:
            raise ServerError(f"{self.topic.servers} did not acknowledge an event within {TIMEOUT:g} s")
        error, message = answers[0]
        if error is not None and error.code() in (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG):
            raise DataError(error.str())
        if error is not None:
            raise ServerError(f"{self.topic.servers} does not take events ({error.str()}): mend the cluster")
        return _place(message)

    def find(self, event: LiveEvent) -> str:
        """Partition and offset of an event among the latest messages; empty if it is not there.

        Raises:
            ServerError: If the cluster does not answer.
        """
        from confluent_kafka import Consumer

        with self._asking():
            consumer = Consumer(
                {**self._common(), "group.id": "aframe", "enable.auto.commit": False, "enable.partition.eof": True},
                logger=logger,
            )
            try:
                return next((_place(each) for each in self._latest(consumer) if _is_of(each, event)), "")
            finally:
                consumer.close()

    def close(self) -> None:
        """Wait for nothing more: what is not acknowledged is sent again at the next start."""
        self._producer.purge()
        self._producer.flush(1.0)

    def _latest(self, consumer: "Consumer") -> Iterator["Message"]:
        """The latest messages of each partition."""
        from confluent_kafka import KafkaError, TopicPartition

        partitions = consumer.list_topics(self.topic.name, timeout=TIMEOUT).topics[self.topic.name].partitions
        for number in partitions:
            place = TopicPartition(self.topic.name, number)
            low, high = consumer.get_watermark_offsets(place, timeout=TIMEOUT)
            first = max(low, high - LOOKED_BACK)
            if first >= high:
                continue
            consumer.assign([TopicPartition(self.topic.name, number, first)])
            while True:
                message = consumer.poll(TIMEOUT)
                if message is None:
                    raise ServerError(f"{self.topic.servers} does not give what {self.topic.name} has")
                error = message.error()
                if error is None:
                    yield message
                # the marker of a transaction takes an offset, and is never given out
                is_end = error is not None and error.code() == KafkaError._PARTITION_EOF
                if message.partition() == number and (is_end or (message.offset() or 0) >= high - 1):
                    break


def read_properties() -> dict[str, str]:
    """Properties of librdkafka from the file that the environment names; none without one.

    Raises:
        ConfigurationError: If a line is no ``name = value``.
        StorageError: If the file cannot be read.
    """
    path = os.environ.get(PROPERTIES, "")
    if not path:
        return {}
    properties = {}
    for number, line in enumerate(storage.read_text(storage.locate(path)).splitlines(), 1):
        name, sign, value = (part.strip() for part in line.partition("="))
        if not name or name.startswith("#"):
            continue
        if not sign:
            raise ConfigurationError(f"{path}, line {number}: {line.strip()!r} is no name = value: mend it")
        properties[name] = value
    return properties


def _text(error: Exception) -> str:
    inner = error.args[0]
    return " ".join((inner.str() if hasattr(inner, "str") else str(inner)).split())


def _place(message: "Message") -> str:
    return f"{message.partition()}:{message.offset()}"


def _is_of(message: "Message", event: LiveEvent) -> bool:
    """Whether a message is this revision of an event."""
    try:
        document = json.loads(message.value() or b"")
        return (document["identifier"], document["revision"]) == (event.identifier, event.revision)
    except (ValueError, KeyError, TypeError):
        return False
