import json
from pathlib import Path

import pytest
from live_events import live_event
from live_health import live_health

from aframe.errors import StorageError
from aframe.online.outbox import Outbox
from aframe.online.status import status


@pytest.fixture
def directory(tmp_path: Path) -> str:
    live_health().write(str(tmp_path))
    outbox = Outbox(str(tmp_path), [])
    for number, revision in ((0, 0), (0, 1), (1, 0)):
        outbox.put(live_event(number, revision))
    return str(tmp_path)


def test_status_says_all_in_a_few_lines(directory: str) -> None:
    text, document = status(directory, now=1_700_000_101.0)
    assert text.splitlines()[1:] == [
        "searched   2 hours, until 2015-09-14 09:53:01.000 UTC",
        "background slides of the last 24 h, live time 2 years",
        "counts     events 3, revisions 1",
        "to send    gracedb 2",
        "trouble    gracedb does not take events: no answer",
        "",
        "detector  state             last strain (GPS s)  range (Mpc)  searched  gaps",
        "H1        searched          1126259600.000       112          98.5 %    late 3",
        "L1        waiting for data  1126259560.000       –            50.0 %    missing 40",
        "",
        "latency   median (s)  95 % (s)",
        "arrived   1.20        1.50",
        "computed  0.05        0.09",
        "",
        "false alarm rate below  events  of noise alone",
        "1 per year              1       0.5",
        "1 per 30.4 days         20      6               out of line",
        "",
        "latest events     UTC                      statistic  false alarm rate",
        "G1126259562421-0  2015-09-14 09:52:25.421  12.500     < 1 per 100 years",
        "G1126259462421-1  2015-09-14 09:50:45.431  13.500     < 1 per 100 years",
    ]
    assert text.startswith(f"{directory}: running since 2023-11-14")
    assert document["state"] == "running"
    assert [event["identifier"] for event in document["events"]] == ["G1126259562421", "G1126259462421"]
    json.dumps(document, allow_nan=False)


def test_a_dead_search_and_one_at_its_end_are_told_apart(directory: str) -> None:
    text, document = status(directory, now=1_700_000_100.0 + 3600)
    assert document["state"] == "silent"
    assert "no sign of life for 60 min" in text.splitlines()[0]
    live_health(is_over=True).write(directory)
    text, document = status(directory, now=1_700_000_100.0 + 3600)
    assert document["state"] == "over"
    assert ": over since 2023-11-14" in text.splitlines()[0]


def test_a_search_that_begins_has_a_status(tmp_path: Path) -> None:
    live_health(detectors={}, latency={}, rates=(), troubles=(), waiting={}, counts={}).write(str(tmp_path))
    assert len(status(str(tmp_path)).text.splitlines()) == 5
    with pytest.raises(StorageError, match="no aframe online has run here yet"):
        status(str(tmp_path / "elsewhere"))
