import urllib.request

import pytest
from live_health import live_health

from aframe.errors import ConfigurationError
from aframe.online.health import Health
from aframe.online.metrics import MetricsServer

parser = pytest.importorskip("prometheus_client.parser")


def ask(port: int) -> dict[tuple[str, ...], float]:
    """The samples that a server gives, by name and labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    families = parser.text_string_to_metric_families(text)
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_prometheus_reads_the_latest_record() -> None:
    records: list[Health] = []
    server = MetricsServer(0, lambda: records[-1] if records else None)
    try:
        assert ask(server.port) == {}
        records.append(live_health())
        samples = ask(server.port)
        assert samples["aframe_detector_range_mpc", "H1"] == 112.4
        assert ("aframe_detector_range_mpc", "L1") not in samples
        assert samples["aframe_gaps_total", "L1", "missing"] == 40
        assert samples["aframe_latency_seconds", "computed", "0.95"] == 0.09
        assert samples["aframe_waiting_events", "gracedb"] == 2
        assert samples["aframe_counts_total", "events"] == 3
        assert samples["aframe_events_expected", "12"] == 6
        assert samples["aframe_detector_state", "L1", "waiting for data"] == 1
        records.append(live_health(searched=7300.0))
        assert ask(server.port)["aframe_searched_seconds_total",] == 7300
        with pytest.raises(ConfigurationError, match=f"--metrics-port {server.port} at .*in use.*: give another port"):
            MetricsServer(server.port, lambda: None)
    finally:
        server.close()
    with pytest.raises(ConfigurationError, match="cannot be used"):
        MetricsServer(70000, lambda: None)
