import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_events import live_event

from aframe.errors import ConfigurationError, ServerError
from aframe.online import kafka
from aframe.online.kafka import KafkaSink, Topic, read_properties
from aframe.online.outbox import Outbox

confluent_kafka = pytest.importorskip("confluent_kafka")


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """``host:port`` of librdkafka's own cluster: a server of the protocol in this process. It has the topic aframe."""
    from confluent_kafka import Producer

    owner = Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1, "log_level": 2})
    broker = next(iter(owner.list_topics(timeout=10).brokers.values()))
    owner.produce("aframe", b"no event")
    owner.flush(10)
    yield f"{broker.host}:{broker.port}"
    owner.purge()


@pytest.fixture
def sink(cluster: str) -> Iterator[KafkaSink]:
    sink = KafkaSink(Topic.parse(f"{cluster}/aframe"))
    yield sink
    sink.close()


def test_events_are_messages_of_a_topic(sink: KafkaSink, cluster: str) -> None:
    from confluent_kafka import Consumer, TopicPartition

    sink.check()
    event = live_event(1)
    assert sink.find(event) == ""
    place = sink.send(event)
    partition, offset = (int(number) for number in place.split(":"))
    consumer = Consumer({"bootstrap.servers": cluster, "group.id": "reader", "log_level": 2})
    consumer.assign([TopicPartition("aframe", partition, offset)])
    message = consumer.poll(20)
    consumer.close()
    assert message.key() == event.identifier.encode()
    assert json.loads(message.value()) == event.document()
    assert sink.find(event) == place
    assert sink.find(live_event(1, revision=1)) == ""


def test_an_event_whose_sending_was_cut_off_is_not_sent_twice(sink: KafkaSink, tmp_path: Path) -> None:
    event = Outbox(str(tmp_path), [sink]).put(live_event(2))
    place = sink.send(event)  # and killed before the journal said so
    with (tmp_path / "outbox" / "kafka.jsonl").open("a") as journal:
        print(json.dumps({"state": "begun", "event": event.name}), file=journal)
    outbox = Outbox(str(tmp_path), [sink])
    assert outbox.pending == 1
    outbox.deliver()
    assert outbox.pending == 0
    assert outbox.deliveries[0].journal.identifiers == {event.name: place}
    other = sink.send(live_event(3))
    assert sink.find(live_event(2)) == place != other


def test_a_wrong_topic_or_server_is_found_before_the_search(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"has no topic afrane \(did you mean 'aframe'\?\): make it"):
        KafkaSink(Topic.parse(f"{cluster}/afrane")).check()
    monkeypatch.setattr(kafka, "TIMEOUT", 0.5)
    silent = KafkaSink(Topic.parse("127.0.0.1:9/aframe"))
    with pytest.raises(ServerError, match=r"127\.0\.0\.1:9 does not answer \(.*: mend kafka or the network"):
        silent.check()
    with pytest.raises(ServerError, match=r"127\.0\.0\.1:9"):
        silent.send(live_event())
    silent.close()


@pytest.mark.parametrize("text", ["localhost/aframe", "localhost:9092", "kafka://localhost:9092/aframe", ""])
def test_an_address_is_host_port_and_topic(text: str) -> None:
    assert Topic.parse("a.org:9092,b.org:9092/igwn.aframe") == Topic("a.org:9092,b.org:9092", "igwn.aframe")
    with pytest.raises(ConfigurationError, match="is no host:port/topic"):
        Topic.parse(text)


def test_properties_come_from_a_file(tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "kafka.properties"
    path.write_text("# of the broker\nsasl.username = albert\n\nsasl.password=a=b\n")
    monkeypatch.setenv(kafka.PROPERTIES, str(path))
    assert read_properties() == {"sasl.username": "albert", "sasl.password": "a=b"}
    path.write_text("security.protocol\n")
    with pytest.raises(ConfigurationError, match=r"line 1: 'security\.protocol' is no name = value"):
        read_properties()
    path.write_text("sasl.usrname = albert\n")
    with pytest.raises(ConfigurationError, match=f"{kafka.PROPERTIES}: No such configuration property"):
        KafkaSink(Topic.parse(f"{cluster}/aframe"))
