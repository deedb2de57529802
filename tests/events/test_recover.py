import numpy as np
import pytest
from numpy.typing import NDArray

from aframe.events.recover import recover, recovered_table
from aframe.tables import EventTable, InjectionTable


def by_brute_force(
    injections: tuple[NDArray, NDArray], events: tuple[NDArray, NDArray], statistic: NDArray, window: float
) -> list[int]:
    claims_of_events: dict[int, list[tuple[float, int]]] = {}
    for i, (time, shift) in enumerate(zip(*injections, strict=True)):
        same = [j for j in range(len(events[0])) if np.allclose(events[1][j], shift, atol=1e-9)]
        near = sorted((abs(events[0][j] - time), -statistic[j], events[0][j], j) for j in same)
        if near and near[0][0] <= window:
            claims_of_events.setdefault(near[0][3], []).append((near[0][0], i))
    result = [-1] * len(injections[0])
    for event, claims in claims_of_events.items():
        result[min(claims)[1]] = event
    return result


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("integers", [True, False])  # with ties, and without
def test_equals_brute_force(seed: int, integers: bool) -> None:
    rng = np.random.default_rng(seed)
    number = {"injections": int(rng.integers(0, 60)), "events": int(rng.integers(0, 60))}
    span = 40
    times, shifts = {}, {}
    for name, count in number.items():
        slide = rng.integers(-1 if name == "events" else 0, 3, size=count)
        time = rng.integers(0, span, size=count).astype(float) if integers else rng.uniform(0, span, count)
        if name == "events":  # clustered: no two events of a slide share a time
            _, unique = np.unique(np.stack([slide, time]), axis=1, return_index=True)
            slide, time = slide[rng.permutation(unique)], time[rng.permutation(unique)]
            _, unique = np.unique(np.stack([slide, time]), axis=1, return_index=True)
            slide, time = slide[unique], time[unique]
        times[name], shifts[name] = 1e9 + time, np.stack([0 * slide, slide * 0.1], axis=1)
    statistic = rng.integers(0, 4, size=len(times["events"])).astype(float)
    injections, events = (times["injections"], shifts["injections"]), (times["events"], shifts["events"])
    assert recover(injections, events, statistic, 2.0).tolist() == by_brute_force(injections, events, statistic, 2.0)


def test_shifts_are_compared_as_times_not_as_bits() -> None:
    injections = np.array([10.0]), np.array([[0.0, 0.3]])
    events = np.array([10.2]), np.array([[-0.0, 0.1 + 0.2]])
    assert recover(injections, events, np.array([1.0]), 1.0).tolist() == [0]


@pytest.mark.parametrize(("injections", "events"), [(0, 0), (3, 0), (0, 3)])
def test_nothing_to_match(injections: int, events: int) -> None:
    times = [(np.arange(count) + 1e9, np.zeros((count, 2))) for count in (injections, events)]
    assert recover(times[0], times[1], np.ones(events), 1.0).tolist() == [-1] * injections


def test_ties() -> None:
    shift = np.zeros((9, 2))
    cases = (
        # equally far from two events: the louder one; equally loud: the earlier one
        ([10.0], [9.0, 11.0], [1.0, 2.0], [1]),
        ([10.0], [9.0, 11.0], [2.0, 2.0], [0]),
        # one event between two injections: it recovers the first row, the other one has none
        ([11.0, 9.0], [10.0], [5.0], [0, -1]),
        # two injections at one time have one event between them
        ([10.0, 10.0], [10.0], [5.0], [0, -1]),
        # the border of the window belongs to it
        ([10.0, 20.0], [12.0, 22.000001], [5.0, 5.0], [0, -1]),
    )
    for injected, observed, statistic, expected in cases:
        times = [(1e9 + np.array(time), shift[: len(time)]) for time in (injected, observed)]
        assert recover(times[0], times[1], np.array(statistic), 2.0).tolist() == expected


def test_nothing_vanishes() -> None:
    count = 4
    parameters = {name: np.arange(count, dtype=float) + 10 for name in ("mass_1", "mass_2", "redshift", "snr")}
    parameters |= {
        "ifo_snrs": np.ones((count, 2)),
        "injection_time": np.array([100.0, 200.0, 200.5, 300.0]),
        "shift": np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 2.0]]),  # no event has the last shift
    }
    attributes = {"sample_rate": 2048.0, "duration": 8.0, "right_pad": 0.5, "ifos": ["H1", "L1"], "num_injections": 99}
    injections = InjectionTable(parameters, {"h1": np.zeros((count, 2))}, attributes)
    events = EventTable(
        {
            "detection_statistic": np.array([7.0, 8.0, 9.0]),
            "detection_time": np.array([103.0, 200.4, 300.0]),
            "shift": np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 1.0]]),
        },
        attributes={"Tb": 1e3},
    )
    table = recovered_table(injections, events, 1.0)
    assert len(table) == count
    np.testing.assert_array_equal(table["detection_statistic"], [-np.inf, -np.inf, 8.0, -np.inf])
    np.testing.assert_array_equal(table["detection_time"], [np.nan, np.nan, 200.4, np.nan])
    assert table.attributes["num_injections"] == 99
    assert not table.waveforms
