"""The sinks that a configuration names."""

from aframe.online.delivery import Sink


def configured_sinks(gracedb: str | None, kafka: str | None) -> list[Sink]:
    """Make the sinks that the keys ``gracedb`` and ``kafka`` name. ``Outbox.check`` asks their servers.

    Args:
        gracedb: URL of a GraceDB; None or empty for none.
        kafka: ``host:port/topic``; None or empty for none.

    Raises:
        ConfigurationError: If an address is wrong, or the package of a sink is not installed.
    """
    sinks: list[Sink] = []
    if gracedb:
        from aframe.online.gracedb import Address, GraceDbSink

        sinks.append(GraceDbSink(Address.parse(gracedb)))
    if kafka:
        from aframe.online.kafka import KafkaSink, Topic

        sinks.append(KafkaSink(Topic.parse(kafka)))
    return sinks
