import h5py
import numpy as np
import pytest

from aframe import storage
from aframe.errors import StorageError
from aframe.tables import EventTable, PolarizationTable, Table, TableWriter


def events(rows, first=0):
    time = 1e9 + first + np.arange(rows, dtype=np.float64)
    return EventTable(
        {"detection_statistic": time - 1e9, "detection_time": time, "shift": np.stack([0 * time, time], axis=1)},
        attributes={"Tb": 3600.0},
    )


def test_layout_on_disk(tmp_path):
    path = str(tmp_path / "events.hdf5")
    events(5).write(path, {"search.seed": 1})
    with h5py.File(path) as file:
        assert file.attrs["length"] == 5
        assert file.attrs["Tb"] == 3600
        assert file["parameters/shift"].shape == (5, 2)
        assert file["parameters/detection_time"].attrs["unit"] == "s"
        assert file["parameters/detection_statistic"].attrs["unit"] == ""
    assert storage.made_with(path) == {"search.seed": 1}


def test_round_trip_by_column_and_slice(tmp_path):
    path = str(tmp_path / "events.hdf5")
    table = events(100)
    table.write(path)
    back = EventTable.read(path)
    assert back.livetime == 3600
    for name, column in table.parameters.items():
        np.testing.assert_array_equal(back[name], column)
    part = EventTable.read(path, columns=["detection_time"], rows=slice(10, 20))
    assert list(part.parameters) == ["detection_time"]
    np.testing.assert_array_equal(part["detection_time"], table["detection_time"][10:20])
    assert EventTable.count(path) == 100


def test_appended_pieces_are_one_table(tmp_path):
    path = str(tmp_path / "events.hdf5")
    with storage.create_hdf5(path) as file:
        writer = TableWriter(file)
        for first in (0, 7, 7, 12):
            writer.append(events(12 - first if first == 7 else 7, first))
        writer.attributes({"Tb": 60.0})
    expected = EventTable.concatenate([events(7), events(5, 7), events(5, 7), events(7, 12)])
    np.testing.assert_array_equal(EventTable.read(path)["shift"], expected["shift"])


def test_texts_are_texts_again(tmp_path):
    path = str(tmp_path / "names.hdf5")
    names = np.array(["", "GW150914", "σ"])
    Table({"name": names}).write(path)
    assert Table.read(path)["name"].tolist() == names.tolist()
    assert Table.read(path, rows=slice(1, 2))["name"].tolist() == ["GW150914"]
    with storage.create_hdf5(path) as file:
        writer = TableWriter(file)
        writer.append(Table({"name": names}))
        writer.append(Table({"name": np.array(["GW"])}))
        with pytest.raises(StorageError, match=r"texts of at most 8 bytes.* have 15 bytes"):
            writer.append(Table({"name": np.array(["GW200129_065458"])}))
    assert Table.read(path)["name"].tolist() == [*names, "GW"]


def test_a_table_without_rows_is_a_table(tmp_path):
    path = str(tmp_path / "none.hdf5")
    events(0).write(path)
    table = EventTable.read(path)
    assert len(table) == 0
    assert table["shift"].shape == (0, 2)


def test_waveforms_are_read_only_on_request(tmp_path):
    path = str(tmp_path / "waveforms.hdf5")
    rng = np.random.default_rng(0)
    waves = {name: rng.standard_normal((6, 64)).astype(np.float32) for name in ("plus", "cross")}
    table = PolarizationTable(
        {"mass_1": np.arange(6.0)}, waves, {"sample_rate": 64.0, "duration": 1.0, "right_pad": 0.5}
    )
    table.write(path)
    assert PolarizationTable.read(path).waveforms == {}
    back = PolarizationTable.read(path, rows=slice(2, 4), waveforms=True)
    np.testing.assert_array_equal(back.waveforms["plus"], waves["plus"][2:4])
    assert back.waveforms["plus"].dtype == np.float32


def test_selected_rows_keep_their_attributes():
    chosen = events(10).rows(np.array([1, 8]))
    assert chosen["detection_statistic"].tolist() == [1, 8]
    assert chosen.livetime == 3600
    assert isinstance(chosen, EventTable)


def test_wrong_files_and_uneven_columns_are_refused(tmp_path):
    path = str(tmp_path / "some.hdf5")
    Table({"mass_1": np.arange(3.0)}).write(path)
    with pytest.raises(StorageError, match="is no EventTable: it lacks Tb, detection_statistic, detection_time, shift"):
        EventTable.read(path)
    with pytest.raises(StorageError, match="equally long"):
        Table({"a": np.zeros(2), "b": np.zeros(3)})
