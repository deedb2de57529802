import dataclasses
import json
import math
from pathlib import Path

import pytest
from live_events import live_event

from aframe.errors import StorageError
from aframe.online.live_event import LiveEvent, first_time

EVENT = live_event(revision=1)


def test_an_event_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "event.json"
    path.write_text(EVENT.text(), encoding="utf-8")
    again = LiveEvent.read(str(path))
    assert repr(again) == repr(EVENT)  # NaN differs from itself, and not in its text
    assert EVENT.name == "G1126259462421-1"
    assert first_time(EVENT.identifier) == 1126259462.421


def test_the_document_has_units_in_its_names() -> None:
    document = json.loads(EVENT.text())
    assert document["time_utc"] == "2015-09-14 09:50:45.431"
    assert document["template"] == {
        "mass_1_detector_frame_msun": 39.0, "mass_2_detector_frame_msun": 32.0, "chi_eff": -0.1,
    }  # fmt: skip
    assert document["detectors"]["L1"] == {
        "snr": 13.25,
        "time_gps_s": pytest.approx(1126259462.4128),
        "phase_rad": None,
    }
    assert document["far_hz"] == pytest.approx(0.01 / 31557600)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting property name"),
        ("[]", "it is no JSON object"),
        ('{"schema": "other"}', r"no event of this version \(schema 'other'"),
        (EVENT.text().replace('"statistic"', '"loudness"'), "an event without 'statistic'"),
        (EVENT.text().replace("13.5", '"loud"'), "could not convert"),
    ],
)
def test_another_file_is_one_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "event.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StorageError, match=f"event.json is no event of aframe online: .*{message}"):
        LiveEvent.read(str(path))


def test_an_infinite_rate_is_null() -> None:
    event = dataclasses.replace(EVENT, far_per_year=math.inf)
    assert json.loads(event.text())["far_per_year"] is None
