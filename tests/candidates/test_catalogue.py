from pathlib import Path

import numpy as np
import pytest

from aframe.candidates.catalogue import EventCatalogue
from aframe.errors import DataError, StorageError


def test_gwosc_events_come_with_the_package() -> None:
    catalogue = EventCatalogue.gwosc()
    assert len(catalogue.names) == len(set(catalogue.names)) == 122
    times = dict(zip(catalogue.names.tolist(), catalogue.times.tolist(), strict=True))
    assert times["GW150914"] == 1126259462.4
    assert times["GW200129_065458"] == 1264316116.4
    assert (np.diff(catalogue.times) > 0).all()


def test_the_list_is_gwoscs_latest_versions(data_directory: Path) -> None:
    packaged = EventCatalogue.gwosc()
    published = EventCatalogue.read(str(data_directory / "catalog/gwosc_event_versions.csv"))
    assert set(packaged.names) == set(published.names)
    published_events = set(zip(published.names, published.times, strict=True))
    assert set(zip(packaged.names, packaged.times, strict=True)) <= published_events


def test_the_nearest_event_within_the_window_is_named() -> None:
    catalogue = EventCatalogue(np.array(["late", "early", "next"]), np.array([300.0, 100.0, 101.5]))
    times = np.array([0.0, 99.2, 100.6, 100.9, 101.0, 250.0, 300.9, 301.1, 1e9])
    named = catalogue.coincident(times, 1.0)
    assert named.tolist() == ["", "early", "early", "next", "next", "", "late", "", ""]
    assert EventCatalogue(np.empty(0, np.str_), np.empty(0)).coincident(times, 1.0).tolist() == [""] * len(times)


def test_a_list_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    for text in ("gps,kind,name\n12.5,test,first\n", "id,commonName,GPS\nfirst-v2,first,12.5\n", "12.5 first\n"):
        path.write_text(text)
        catalogue = EventCatalogue.read(str(path))
        assert (catalogue.names.tolist(), catalogue.times.tolist()) == (["first"], [12.5])
    for text in ("name,when\na,1\n", "name,gps\na,soon\n", "name,gps\na\n", "name,gps\nA,nan\n"):
        path.write_text(text)
        with pytest.raises(
            DataError, match=r"own\.csv, line [12]: .* has no GPS time: expected a table with a column gps"
        ):
            EventCatalogue.read(str(path))
    path.write_text("gps\n12.5\n")
    with pytest.raises(DataError, match=r"own\.csv has no name of the event at 12\.5: add a column name"):
        EventCatalogue.read(str(path))
    with pytest.raises(StorageError, match="does not exist"):
        EventCatalogue.read(str(tmp_path / "none.csv"))
