from pathlib import Path

import h5py
import numpy as np
import pytest

from aframe.errors import DataError, StorageError
from aframe.events.cluster import Clustering
from aframe.inference import recorded
from aframe.inference.recorded import SearchedRecordings, Span, near_edges, recordings_of, search_recorded
from aframe.inference.scorers import TorchScorer
from aframe.preprocessing import MINIMUM_PHASE, ZERO_PHASE
from aframe.strain.files import write_background
from aframe.strain.recordings import inventory, read
from aframe.tables import EventTable
from aframe.train.model import Model

RATE = 256.0
RESOLUTION = 0.13  # s: half a stride
PULSE = 3e-20 * np.exp(-0.5 * ((np.arange(64) - 32) / 1.5) ** 2) * np.cos(0.9 * (np.arange(64) - 32))


def searched(model: Model, paths: list[str], window: float = 4.0) -> SearchedRecordings:
    offset = model.preprocessing.coalescence_offset
    recordings = recordings_of(paths, model.preprocessing.ifos)
    return search_recorded(TorchScorer(model), recordings, Clustering(4.0, 0.5, window, offset))


def search(model: Model, paths: list[str], window: float = 4.0) -> EventTable:
    return searched(model, paths, window).events


@pytest.fixture
def record(make_strain, tmp_path):
    """Writes recorded strain, a pulse at some times in every detector."""

    def write(duration, times=(), ifos=("H1", "L1"), start=2000.0, name="recording.hdf5"):
        strain = make_strain(ifos, duration, 11)
        for time in times:
            first = round((time - start) * RATE) - 32
            for data in strain.values():
                data[first : first + 64] += PULSE
        path = str(tmp_path / name)
        write_background(path, strain, start, RATE)
        return path

    return write


@pytest.mark.parametrize("duration", [7.0, 20.0])
def test_a_pulse_is_found_in_strain_of_any_length(record, make_model, duration):
    # 20 s have psd_length = 4 s to spare for a PSD of the past, 7 s do not
    time = 2000.0 + duration - 2.3125
    events = search(make_model("coincidence"), [record(duration, [time])])
    assert events["detection_time"][0] == pytest.approx(time, abs=RESOLUTION)
    assert (np.diff(events["detection_statistic"]) <= 0).all()
    assert events["shift"].shape == (len(events), 2)
    lost = 1.0 if duration == 7.0 else 4.5
    assert events.livetime == duration - lost - 1.0 + 0.25


def test_files_that_follow_each_other_are_one_recording(record, make_model):
    whole = search(make_model("coincidence"), [record(30.0, [2014.99])])
    recording = {r.ifo: r for r in inventory(record(30.0, [2014.99]))}
    paths = []
    for low, high in ((2015.0, 2030.0), (2000.0, 2015.0)):
        strain = {ifo: read(r, low, high).data for ifo, r in recording.items()}
        paths.append(record(1.0, name=f"{low}.hdf5"))
        write_background(paths[-1], strain, low, RATE)
    parts = search(make_model("coincidence"), paths)
    for name in whole.parameters:
        np.testing.assert_array_equal(parts[name], whole[name])
    assert whole["detection_time"][0] == pytest.approx(2014.99, abs=RESOLUTION)


def test_missing_samples_split_the_search(record, make_model):
    path = record(40.0, [2009.0, 2035.0])
    with h5py.File(path, "r+") as file:
        file["L1"][20 * 256 : 21 * 256] = np.nan
    events = search(make_model("coincidence"), [path])
    assert np.isfinite(events["detection_statistic"]).all()
    assert sorted(events["detection_time"][:2]) == pytest.approx([2009.0, 2035.0], abs=RESOLUTION)
    assert events.livetime == (20 - 4.5 - 1.0 + 0.25) + (19 - 4.5 - 1.0 + 0.25)


GAPS = [[], [(70.0, 70.5)], [(27.0, 31.0)], [(31.5, 33.5), (35.0, 36.0)], [(33.0, 40.0), (61.0, 140.0)], [(0.0, 2.0)]]


@pytest.mark.parametrize(("gaps", "phase"), [*((gaps, ZERO_PHASE) for gaps in GAPS), (GAPS[3], MINIMUM_PHASE)])
def test_long_recordings_are_read_in_pieces_in_which_no_window_is_lost(record, make_model, monkeypatch, gaps, phase):
    times = [2017.375 + 9.34375 * k for k in range(14)]  # pieces end at different places of the pulses
    path = record(150.0, times)
    with h5py.File(path, "r+") as file:
        for low, high in gaps:
            file["L1"][round(low * RATE) : round(high * RATE)] = np.nan
    monkeypatch.setattr(recorded, "PIECE_LENGTH", 1e6)
    model = make_model("coincidence", phase=phase)
    whole = searched(model, [path])
    monkeypatch.setattr(recorded, "PIECE_LENGTH", 32.0)
    pieces = searched(model, [path])
    assert pieces.spans == whole.spans
    assert pieces.events.livetime == whole.events.livetime
    # pieces keep the grid of the blocks, so that the scores are the same
    assert len(whole.events) > 3
    for name in ("detection_time", "detection_statistic"):
        np.testing.assert_allclose(pieces.events[name], whole.events[name], rtol=1e-5)


def test_all_time_is_accounted_for_with_why_it_was_not_searched(record, make_model, tmp_path):
    both, h1 = record(60.0), record(20.0, ifos=("H1",), start=2060.0, name="H1.hdf5")
    late, never = record(30.0, start=2100.0, name="late.hdf5"), record(2.0, start=2140.0, name="short.hdf5")
    with h5py.File(both, "r+") as file:
        file["L1"][30 * 256 : 31 * 256] = np.nan
    result = searched(make_model("coincidence"), [both, h1, late, never])
    spans = [(span.start, span.stop, span.reason) for span in result.spans]
    edges = "PSD, filter and window at its start", "filter and window at its end"
    assert spans == [
        (2000.0, 2004.375, edges[0]), (2004.375, 2029.125, ""), (2029.125, 2030.0, edges[1]),
        (2030.0, 2031.0, "missing samples: NaN in L1"),
        (2031.0, 2035.375, edges[0]), (2035.375, 2059.125, ""), (2059.125, 2060.0, edges[1]),
        (2060.0, 2080.0, "no recording of L1"), (2080.0, 2100.0, "no recording of H1, L1"),
        (2100.0, 2104.375, edges[0]), (2104.375, 2129.125, ""), (2129.125, 2130.0, edges[1]),
        (2130.0, 2140.0, "no recording of H1, L1"), (2140.0, 2142.0, "too short"),
    ]  # fmt: skip
    assert result.events.livetime == sum(stop - start for start, stop, reason in spans if not reason)


@pytest.mark.parametrize("ifos", [("H1",), ("H1", "V1")])
def test_a_missing_detector_is_refused(record, make_model, ifos):
    with pytest.raises(DataError, match=f"the model searches H1, L1 together, the files hold {', '.join(ifos)}"):
        search(make_model("coincidence"), [record(20.0, ifos=ifos)])


def test_events_in_the_first_and_the_last_window_of_a_stretch():
    spans = [Span(0.0, 4.0, "too short"), Span(4.0, 20.0), Span(20.0, 30.0, "missing samples")]
    times = np.array([4.5, 6.0, 18.0, 19.0])
    assert near_edges(times, spans, 1.5).tolist() == [True, False, False, True]


def test_other_detectors_than_the_models_are_left_out(record, make_model):
    notes, path = [], record(20.0, ifos=("H1", "L1", "V1"))
    recordings = recordings_of([path], ("H1", "L1"), tell=notes.append)
    assert list(recordings) == ["H1", "L1"]
    assert notes == [
        f"strain of H1, L1, V1 in {path} begins at GPS 2000, before 2000: it is taken for simulated strain",
        "left out: strain of V1, since the model searches H1, L1",
    ]
    np.testing.assert_array_equal(
        search(make_model("coincidence"), [path])["detection_statistic"],
        search(make_model("coincidence"), [record(20.0, name="two.hdf5")])["detection_statistic"],
    )


def test_ends_cut_by_resampling_are_not_called_missing(make_strain, make_model, tmp_path):
    path = str(tmp_path / "fast.hdf5")
    write_background(path, make_strain(("H1", "L1"), 30.0, 11, 2 * RATE), 2000.0, 2 * RATE)
    first, *_, last = searched(make_model("coincidence"), [path]).spans
    assert (first.start, first.stop, first.reason) == (2000.0, 2000.125, "cut off after resampling")
    assert (last.start, last.stop, last.reason) == (2029.875, 2030.0, "cut off after resampling")


def test_fill_values_are_no_strain(record, make_model):
    """The events are those of the same strain with a gap, and their statistics are finite."""
    path, results = record(40.0, [2009.0, 2035.0]), {}
    for value in (np.nan, 0.0, -9999.0, 1e30):
        with h5py.File(path, "r+") as file:
            file["L1"][20 * 256 : 21 * 256] = value
        results[value] = searched(make_model("coincidence"), [path])
    for value in (0.0, -9999.0, 1e30):
        for name in ("detection_time", "detection_statistic"):
            np.testing.assert_array_equal(results[value].events[name], results[np.nan].events[name])
        assert f"missing samples: {value:g} in L1" in [span.reason for span in results[value].spans]
    with h5py.File(path, "r+") as file:
        file["L1"][:] = 0.0
    with pytest.raises(DataError, match=r"no stretch of H1, L1 .*missing samples: 0 in L1\); give longer ones"):
        search(make_model("coincidence"), [path])


def test_too_short_a_recording_is_refused_with_what_it_needs(record, make_model):
    with pytest.raises(DataError, match=r"is 2\.25 s long, which this model needs"):
        search(make_model("coincidence"), [record(2.125)])
    assert len(search(make_model("coincidence"), [record(2.25)])) == 1


def test_a_truncated_file_is_refused(record, make_model, tmp_path):
    content = Path(record(20.0)).read_bytes()
    (tmp_path / "broken.hdf5").write_bytes(content[: len(content) // 2])
    with pytest.raises(StorageError, match=r"broken\.hdf5 is not a complete HDF5 file"):
        search(make_model("coincidence"), [str(tmp_path / "broken.hdf5")])
    with pytest.raises(StorageError, match="does not exist"):
        search(make_model("coincidence"), [str(tmp_path / "nothing.hdf5")])


def test_gw150914_is_the_loudest_coincidence_of_its_half_minute(data_directory, make_model):
    # excess of both detectors' energies at once, within the light's travel time; merger at GPS 1126259462.42
    model = make_model("energy", rate=2048.0)
    paths = [str(data_directory / "strain" / f"{ifo[0]}-{ifo}_LOSC_4_V2-1126259446-32.hdf5") for ifo in ("H1", "L1")]
    events = search(model, paths, 8.0)
    assert events["detection_time"][0] == pytest.approx(1126259462.42, abs=RESOLUTION)
