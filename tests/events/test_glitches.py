import numpy as np
import pytest

from aframe.events.glitches import EventGlitches, names_near
from aframe.tables import EventTable, GlitchTable

IFOS = ("H1", "L1")


@pytest.fixture
def glitches():
    rows = [
        ("blip", "H1", 100.0, np.nan, 20.0),
        ("tomte", "L1", 103.0, np.nan, 9.0),
        ("scattered_light", "L1", 200.0, 4.0, 12.0),
        ("koi_fish", "H1", 200.5, np.nan, 90.0),
    ]
    name, ifo, time, duration, snr = (np.array(column) for column in zip(*rows, strict=True))
    columns = {"glitch_class": name, "ifo": ifo, "glitch_time": time, "duration": duration, "snr_in_band": snr}
    return GlitchTable(columns)


def events(rows):
    time, shift, statistic = zip(*rows, strict=True)
    shifts = np.array([[0.0, each] for each in shift])
    columns = {"detection_time": np.array(time), "shift": shifts, "detection_statistic": np.array(statistic)}
    return EventTable(columns, attributes={"Tb": 1e6})


def test_times_of_slides_are_shifted_back(glitches):
    table = events([(100.5, 3.0, 1.0), (100.5, 50.0, 2.0), (60.0, 43.2, 3.0), (60.0, 0.0, 4.0), (10.0, 192.2, 5.0)])
    assert names_near(table, glitches, IFOS).tolist() == ["blip", "blip", "tomte", "", "scattered_light"]


def test_the_loudest_of_several_counts(glitches):
    assert names_near(events([(200.4, 0.0, 1.0)]), glitches, IFOS).tolist() == ["koi_fish"]
    assert names_near(events([(197.4, 0.0, 1.0)]), glitches, IFOS).tolist() == ["scattered_light"]


def test_counts_among_the_loudest_and_by_chance(glitches):
    found = EventGlitches.of(events([(10.0, 0.0, 1.0), (100.0, 9.0, 9.0), (200.0, 0.0, 5.0)]), glitches, IFOS, 1000.0)
    assert found.statistics.tolist() == [9, 5, 1]
    assert found.among(1) == {"blip": 1}
    assert found.among(3) == {"": 1, "blip": 1, "koi_fish": 1}
    assert (found.numbers["blip", "H1"], found.numbers["blip", "L1"]) == (1, 0)
    assert found.shares == pytest.approx({"blip": 2e-3, "tomte": 2e-3, "scattered_light": 6e-3, "koi_fish": 2e-3})
