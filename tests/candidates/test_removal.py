import numpy as np
import pytest
from scipy.stats import norm

from aframe.candidates.removal import remove_candidates
from aframe.constants import SECONDS_PER_YEAR
from aframe.errors import ConfigurationError, DataError
from aframe.events.significance import Background
from aframe.events.spans import SlideSpans
from aframe.tables import EventTable

WINDOW = 3.0


def spans_of(segments: list[tuple[float, float]], shifts: list[tuple[float, ...]]) -> SlideSpans:
    """Slide time in which all detectors have data of a segment (start, stop)."""
    rows = [(a - min(s), b - max(s), s) for a, b in segments for s in shifts]
    start, stop, shift = (np.array([row[k] for row in rows]) for k in range(3))
    return SlideSpans(start, stop - start, shift)


def by_brute_force(spans: SlideSpans, times: list[float], step: float) -> float:
    """Live time of the spans without removed time, s, on a fine grid."""
    total = 0.0
    for start, stop, shift in zip(spans.start, spans.stop, spans.shift, strict=True):
        grid = np.arange(start + step / 2, stop, step)
        seen = grid[:, None] + shift
        gone = np.zeros(len(grid), dtype=bool)
        for time in times:
            gone |= (np.abs(seen - time) < WINDOW).any(axis=1)
        total += step * (~gone).sum()
    return total


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("ifos", [2, 3])
def test_livetime_is_exact_to_the_union_of_windows(seed: int, ifos: int) -> None:
    rng = np.random.default_rng(seed)
    segments = [(0.0, 161.5), (170.25, 240.0)]
    spans = spans_of(segments, [tuple(0.75 * n * k for k in range(ifos)) for n in range(1, 9)])
    times = np.round(
        rng.choice([-2.0, 0.5, 60.0, 63.0, 64.25, 160.75, 171.0, 205.5, 239.0], size=5) + rng.uniform(-1, 1, 5), 2
    )  # overlapping, at borders, outside
    events = EventTable(
        {"detection_statistic": np.array([0.0]), "detection_time": np.array([-1e3]), "shift": np.zeros((1, ifos))},
        attributes={"Tb": spans.livetime},
    )
    result = remove_candidates((np.arange(5.0, 0, -1), times), events, spans, WINDOW, np.inf)
    assert result.removed.all()
    left = [by_brute_force(spans, list(times[:k]), 0.005) for k in range(6)]
    np.testing.assert_allclose([*result.livetime, result.background.livetime], left, atol=0.1)


def search(loud: dict[float, float], seed: int) -> tuple[EventTable, EventTable, SlideSpans]:
    """Toy search: each detector has one Gaussian value per second; an event's statistic is their sum at time t + s_k.

    Args:
        loud: Values of both detectors at some seconds.
    """
    rng = np.random.default_rng(seed)
    size, slides = 4000, 250
    values = rng.normal(size=(2, size))
    for time, value in loud.items():
        values[:, round(time)] = value
    time = np.arange(size, dtype=float)
    zero_lag = EventTable(
        {"detection_statistic": values.sum(axis=0), "detection_time": time, "shift": np.zeros((size, 2))},
        attributes={"Tb": float(size)},
    )
    parts = [(values[0, : size - n] + values[1, n:], time[: size - n], n) for n in range(1, slides + 1)]
    background = EventTable(
        {
            "detection_statistic": np.concatenate([part[0] for part in parts]),
            "detection_time": np.concatenate([part[1] for part in parts]),
            "shift": np.concatenate([np.tile([0.0, n], (len(t), 1)) for _, t, n in parts]),
        },
        attributes={"Tb": float(sum(len(part[1]) for part in parts))},
    )
    shifts = [(0.0, float(n)) for n in range(1, slides + 1)]
    return zero_lag, background, spans_of([(-0.5, size - 0.5)], shifts)


def loudest(zero_lag: EventTable) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(-zero_lag["detection_statistic"])
    return zero_lag["detection_statistic"][order], zero_lag["detection_time"][order]


def true_rate(statistic: float) -> float:
    """False alarm rate per Julian year of the sum of two Gaussian values per second."""
    return float(norm(scale=2**0.5).sf(statistic)) * SECONDS_PER_YEAR


def test_a_loud_signal_no_longer_hides_the_next_one() -> None:
    true, counts = true_rate(5.8), []
    for seed in range(6):
        zero_lag, events, spans = search({1000.0: 20.0, 2500.0: 2.9}, seed)  # statistics 40 and 5.8
        whole = Background(events["detection_statistic"], events.livetime)
        statistic, time = loudest(zero_lag)
        assert time[:2].tolist() == [1000.0, 2500.0]
        polluted = float(whole.far_per_year(statistic[1]))
        assert polluted > 15 * true  # each slide pairs the loud signal's two halves with noise
        result = remove_candidates((statistic[:2], time[:2]), events, spans, WINDOW, 1.01 * polluted)
        assert result.removed.all()
        assert result.count[0] == whole.count(statistic[0])  # the loudest is ranked against the whole background
        assert result.far_per_year[1] < 3 * true
        unlikely = 1 - np.exp(-100 * (1 + result.count[1]) / result.livetime[1])
        assert result.significance(100.0)[1] == pytest.approx(unlikely)
        counts.append(result.count[1])
    # slides of one stretch of data are not independent: counts scatter by twice their root
    expected = true / SECONDS_PER_YEAR * events.livetime
    assert np.mean(counts) == pytest.approx(expected, abs=4 * 2 * (expected / len(counts)) ** 0.5)


def test_each_is_ranked_without_the_louder_ones_until_one_is_not_significant() -> None:
    zero_lag, events, spans = search({500.0: 20.0, 1500.0: 10.0, 3000.0: 3.5}, 1)
    candidates = loudest(zero_lag)
    result = remove_candidates(candidates, events, spans, WINDOW, true_rate(5.8))
    number = int(result.removed.sum())
    assert 1 <= number <= 3
    assert result.removed[:number].all()
    assert not result.removed[number:].any()
    statistic, time = candidates
    seen = events["detection_time"][:, None] + events["shift"]
    for k in (0, 1, number, number + 5, 200):
        near = (np.abs(seen[..., None] - time[: min(k, number)]) <= WINDOW).any(axis=(1, 2))
        kept = Background(events["detection_statistic"][~near], result.livetime[k])
        assert result.count[k] == kept.count(statistic[k])
        assert result.far_per_year[k] == pytest.approx(float(kept.far_per_year(statistic[k])))
    assert len(result.background.statistics) == kept.statistics.size
    assert result.background.livetime == result.livetime[-1]


def test_nothing_is_removed_that_is_not_significant() -> None:
    zero_lag, events, spans = search({}, 2)
    whole = Background(events["detection_statistic"], events.livetime)
    candidates = loudest(zero_lag)
    result = remove_candidates(candidates, events, spans, WINDOW, 0.5 * whole.lowest_far_per_year)
    assert not result.removed.any()
    np.testing.assert_allclose(result.far_per_year, whole.far_per_year(candidates[0]), rtol=1e-14)
    assert result.background.livetime == events.livetime


def test_removal_takes_as_much_noise_as_time() -> None:
    """Removal of times independent of the noise does not change its rate."""
    _, events, spans = search({}, 3)
    times = np.linspace(100, 3900, 30)
    result = remove_candidates((np.arange(30.0, 0, -1) + 99, times), events, spans, WINDOW, np.inf)
    share = result.background.livetime / events.livetime
    assert 0.85 < share < 0.95
    assert len(result.background.statistics) / len(events) == pytest.approx(share, abs=0.02)


def test_removing_most_of_the_background_is_refused() -> None:
    zero_lag, events, spans = search({}, 5)
    with pytest.raises(ConfigurationError, match="takes more than half of the background: lower removal_far_per_year"):
        remove_candidates(loudest(zero_lag), events, spans, 100 * WINDOW, np.inf)


def test_spans_of_another_background_are_refused() -> None:
    zero_lag, events, spans = search({}, 4)
    events.attributes["Tb"] = events.livetime + 60
    with pytest.raises(DataError, match="it comes from other segments or slides"):
        remove_candidates(loudest(zero_lag), events, spans, WINDOW, 1.0)
