"""Numbers about a search for Prometheus, over HTTP."""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from aframe.errors import ConfigurationError
from aframe.online.health import Health

if TYPE_CHECKING:
    from prometheus_client.core import Metric

ADDRESS = "127.0.0.1"
"""Where the numbers are given by default: this machine alone."""


class MetricsServer:
    """Answers ``/metrics`` with the latest record.

    Args:
        port: TCP port; 0 for any that is free.
        health: Gives the latest record; None before the first.
        address: Address of this machine at which others may ask.

    Raises:
        ConfigurationError: If prometheus-client is not installed, or the port is taken.
    """

    def __init__(self, port: int, health: Callable[[], Health | None], address: str = ADDRESS) -> None:
        try:
            from prometheus_client import CollectorRegistry, start_http_server
        except ImportError:
            raise ConfigurationError(
                "--metrics-port needs the package prometheus-client: pip install 'aframe[online]', or leave it out"
            ) from None
        registry = CollectorRegistry()
        registry.register(_Collector(health))
        try:
            self._server, self._thread = start_http_server(port, address, registry)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigurationError(
                f"--metrics-port {port} at {address} cannot be used ({reason}): give another port"
            ) from None

    @property
    def port(self) -> int:
        """TCP port at which the numbers are."""
        return int(self._server.server_port)

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Collector:
    """Turns the latest record into Prometheus's metrics when they are asked for."""

    def __init__(self, health: Callable[[], Health | None]) -> None:
        self._health = health

    def collect(self) -> Iterator["Metric"]:
        """All metrics; none before the first record."""
        health = self._health()
        if health is not None:
            yield from metrics(health)


def metrics(health: Health) -> Iterator["Metric"]:
    """Metrics of a record.

    Args:
        health: The record.

    Yields:
        Metrics, with samples by detector, part, sink and threshold.
    """
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    def gauge(name: str, text: str, labels: list[str], samples: list[tuple[list[str], float]]) -> Any:
        family = GaugeMetricFamily(f"aframe_{name}", text, labels=labels)
        for values, value in samples:
            if not math.isnan(value):
                family.add_metric(values, value)
        return family

    each = list(health.detectors.items())
    yield gauge("written_timestamp_seconds", "Unix time of these numbers", [], [([], health.written)])
    yield gauge("searched_until_gps_seconds", "End of the searched strain", [], [([], health.searched_until)])
    yield gauge("detector_last_gps_seconds", "End of the latest strain", ["detector"],
                [([ifo], d.last_gps) for ifo, d in each])  # fmt: skip
    yield gauge("detector_range_mpc", "Range of a binary neutron star", ["detector"],
                [([ifo], d.range_mpc) for ifo, d in each])  # fmt: skip
    yield gauge("detector_searched_ratio", "Share of the time that was searched", ["detector"],
                [([ifo], d.searched_fraction) for ifo, d in each])  # fmt: skip
    yield gauge("detector_state", "1 for the state that the detector is in", ["detector", "state"],
                [([ifo, d.state], 1.0) for ifo, d in each])  # fmt: skip
    latency = [([part, q], v) for part, x in health.latency.items() for q, v in (("0.5", x.median), ("0.95", x.high))]
    yield gauge("latency_seconds", "Parts of the time from a merger to its event", ["part", "quantile"], latency)
    yield gauge("waiting_events", "Events that wait for a sink", ["sink"],
                [([sink], float(size)) for sink, size in health.waiting.items()])  # fmt: skip
    yield gauge("events_above", "Events below a false alarm rate", ["far_per_year"],
                [([f"{r.far_per_year:g}"], float(r.seen)) for r in health.rates])  # fmt: skip
    yield gauge("events_expected", "Events of noise alone below a false alarm rate", ["far_per_year"],
                [([f"{r.far_per_year:g}"], r.expected) for r in health.rates])  # fmt: skip
    yield gauge("background_livetime_seconds", "Live time of the background", [], [([], health.background_livetime)])
    yield gauge("troubles", "Number of things that are wrong", [], [([], float(len(health.troubles)))])
    gaps = CounterMetricFamily("aframe_gaps", "Gaps in the strain", labels=["detector", "reason"])
    for ifo, detector in each:
        for reason, count in detector.gaps.items():
            gaps.add_metric([ifo, reason], count)
    yield gaps
    yield CounterMetricFamily("aframe_searched_seconds", "Time that was searched", value=health.searched)
    counts = CounterMetricFamily("aframe_counts", "Numbers that only grow", labels=["what"])
    for what, count in health.counts.items():
        counts.add_metric([what], count)
    yield counts
