import pytest

from aframe.errors import ConfigurationError
from aframe.online.sinks import configured_sinks

pytest.importorskip("ligo.gracedb")
pytest.importorskip("confluent_kafka")


def test_sinks_are_those_of_the_configuration() -> None:
    assert configured_sinks(None, "") == []
    sinks = configured_sinks("https://gracedb-playground.ligo.org/api/", "localhost:9092/aframe")
    assert [sink.name for sink in sinks] == ["gracedb", "kafka"]
    for sink in sinks:
        sink.close()
    with pytest.raises(ConfigurationError, match="gracedb = playground is no https URL"):
        configured_sinks("playground", None)
