import h5py
import numpy as np
import pytest
from live_strain import RATE, START, clustering_of, live_model, noise, pieces_of

from aframe.inference.recorded import recordings_of, search_recorded
from aframe.inference.scorers import TorchScorer
from aframe.online.arrivals import Arrival
from aframe.online.live_search import LiveSearch
from aframe.online.tracking import Tracker
from aframe.preprocessing import MINIMUM_PHASE, ZERO_PHASE
from aframe.strain.files import write_background
from aframe.tables import EventTable
from aframe.train.model import Model

LOWEST = -1e9  # a threshold that every event exceeds


def offline(model: Model, path: str, integration: float = 0.25) -> EventTable:
    recordings = recordings_of([path], model.preprocessing.ifos)
    return search_recorded(TorchScorer(model), recordings, clustering_of(model, integration)).events


def live(model: Model, calls: list[list[Arrival]], integration: float = 0.25, **options) -> np.ndarray:
    """Time and statistic of all final events, in order of time, of a live search that is fed call by call."""
    search, tracker = LiveSearch(TorchScorer(model), 6.0, **options), Tracker(clustering_of(model, integration))
    seen = []
    for call in [*calls, None]:
        for piece in search.flush() if call is None else search.add(call):
            seen += tracker.add(piece.start, piece.scores, piece.goes_on, LOWEST)
    seen += tracker.close()
    return np.array(sorted((s.time, s.statistic) for s in seen if s.is_final))


def in_order_of_time(events: EventTable) -> np.ndarray:
    columns = np.stack([events["detection_time"], events["detection_statistic"]], axis=1)
    return columns[np.argsort(columns[:, 0])]


def write_with_a_gap(path: str, strain: dict[str, np.ndarray], rate: float, gap: tuple[str, float, float]) -> None:
    """Write strain to a file, and take a stretch (s) of a detector away, in both."""
    write_background(path, strain, START, rate)
    ifo, low, high = gap
    part = slice(round(low * rate), round(high * rate))
    strain[ifo][part] = np.nan
    with h5py.File(path, "r+") as file:
        file[ifo][part] = np.nan


def one_by_one(arrivals: list[Arrival]) -> list[list[Arrival]]:
    return [[arrival] for arrival in arrivals]


@pytest.mark.parametrize(
    ("kind", "phase"),
    [
        ("matched_filter", ZERO_PHASE),
        ("matched_filter", MINIMUM_PHASE),
        ("factorised", ZERO_PHASE),
        ("joint", ZERO_PHASE),
    ],
)
@pytest.mark.parametrize("rate", [RATE, 1024.0])
def test_events_are_those_of_the_search_of_the_same_strain_in_files(tmp_path, kind, phase, rate):
    strain, model, path = noise(46.5, rate), live_model(kind, phase=phase), str(tmp_path / "strain.hdf5")
    write_with_a_gap(path, strain, rate, ("L1", 20.3, 21.1))
    expected = in_order_of_time(offline(model, path, 0.5))
    found = live(model, one_by_one(pieces_of(strain, rate)), 0.5)
    assert len(expected) > 3
    np.testing.assert_allclose(found[:, 0], expected[:, 0], atol=1 / RATE, rtol=0)
    np.testing.assert_allclose(found[:, 1], expected[:, 1], atol=1e-3)


def test_order_repetition_and_the_size_of_pieces_change_nothing(tmp_path):
    strain, model = noise(32.0), live_model()
    expected = live(model, one_by_one(pieces_of(strain)))
    whole = live(model, [pieces_of(strain)])
    np.testing.assert_allclose(whole, expected, rtol=1e-9, atol=1e-4)
    arrivals = pieces_of(strain, length=0.5)
    random = np.random.default_rng(1)
    places = np.arange(len(arrivals)) + random.uniform(0, 12, len(arrivals))  # up to 3 s late
    late = np.argsort(np.where(places < 24, 0.0, places), kind="stable")
    shuffled = [arrivals[k] for k in late]
    mixed = [[*shuffled[k : k + 3], *shuffled[max(0, k - 2) : k]] for k in range(0, len(shuffled), 3)]
    np.testing.assert_allclose(live(model, mixed), expected, rtol=1e-9, atol=1e-4)


def test_strain_that_never_comes_is_a_gap_and_what_comes_too_late_is_left_out(tmp_path):
    strain, model, path = noise(44.0), live_model(), str(tmp_path / "strain.hdf5")
    arrivals = pieces_of(strain)
    lost = [a for a in arrivals if a.ifo == "H1" and 20.0 <= a.start - START < 22.0]
    rest = [a for a in arrivals if not any(a is each for each in lost)]
    calls = one_by_one(rest)
    calls.insert(70, lost[:1])  # 16 s too late
    search = LiveSearch(TorchScorer(model), 6.0)
    for call in calls:
        search.add(call)
    account = search.accounts["H1"]
    assert (account.missing, account.late, account.received) == (2.0, 1.0, 42.0)
    write_with_a_gap(path, strain, RATE, ("H1", 20.0, 22.0))
    np.testing.assert_allclose(live(model, calls), in_order_of_time(offline(model, path)), rtol=1e-9, atol=1e-4)


def test_a_detector_that_is_silent_for_long_is_waited_for_in_bounded_memory(tmp_path):
    strain, model = noise(30.0), live_model()
    search = LiveSearch(TorchScorer(model), 6.0)
    for arrival in pieces_of({"H1": strain["H1"]}):
        assert search.add([arrival]) == []
        assert sum(len(each.data) for each in search._queues["H1"]) <= 9 * RATE
    back = pieces_of(strain, start=START + 30)
    windows = [len(piece.scores) for arrival in back for piece in search.add([arrival])]
    assert sum(windows) == (30 - 4 - 0.5 - 1) * 4 + 1


def test_what_is_kept_does_not_grow():
    strain, model = noise(60.0), live_model()
    search, sizes = LiveSearch(TorchScorer(model), 6.0), []
    for arrival in pieces_of(strain):
        search.add([arrival])
        stretch = search.stretch
        if stretch is not None and stretch._embeddings is not None:
            sizes.append((stretch._strain.numel(), stretch._white.numel(), stretch._embeddings.numel()))
    half = np.array(sizes).reshape(2, -1, 3) if len(sizes) % 2 == 0 else np.array(sizes[1:]).reshape(2, -1, 3)
    assert (half[1].max(0) <= half[0].max(0)).all()


@pytest.mark.parametrize("stop", [33.0])
def test_a_restart_goes_on_with_the_same_blocks(stop):
    strain, model = noise(48.0), live_model()
    expected = live(model, one_by_one(pieces_of(strain)))
    search = LiveSearch(TorchScorer(model), 6.0)
    for arrival in pieces_of({ifo: data[: round(stop * RATE)] for ifo, data in strain.items()}):
        search.add([arrival])
    stretch = search.stretch
    begin = stretch.resumed_from(stretch.next_window - 8.0) - 1.0
    again = live(model, one_by_one(pieces_of(strain)), begin=begin, anchor=stretch.anchor)
    later = [each for each in expected if each[0] > stretch.next_window - 4.0]
    same = [each for each in again if each[0] > stretch.next_window - 4.0]
    assert len(later) > 2
    np.testing.assert_allclose(same, later, rtol=1e-9, atol=1e-4)
