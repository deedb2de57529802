import numpy as np
import pytest
from numpy.typing import NDArray

from aframe.errors import ConfigurationError, DataError
from aframe.events.cluster import Clustering, cluster, cluster_slides, moving_average

CLUSTERING = Clustering(4.0, 1.0, 8.0, 0.75)


def by_loop(scores: NDArray[np.float32], clustering: Clustering) -> list[tuple[float, int]]:
    size, half = clustering.integration_size, clustering.half_width_size
    series = [float(np.mean(scores[i : i + size].astype(float))) for i in range(len(scores) - size + 1)]
    events = []
    for i, value in enumerate(series):
        before, after = series[max(0, i - half) : i], series[i + 1 : i + 1 + half]
        if all(value > other for other in before) and all(value >= other for other in after):
            events.append((value, i))
    return events


@pytest.mark.parametrize("levels", [3, 1_000_000])  # with many ties, and with none
@pytest.mark.parametrize(("integration", "window"), [(1.0, 8.0), (0.25, 1.5), (1.75, 0.0), (0.5, 40.0)])
def test_equals_the_definition(levels: int, integration: float, window: float) -> None:
    rng = np.random.default_rng(levels)
    clustering = Clustering(4.0, integration, window, 0.75)
    scores = rng.integers(0, levels, size=(7, 301)).astype(np.float32)
    statistic, time, slide = cluster_slides(scores, 1e9, clustering)
    expected = [(k, *event) for k, row in enumerate(scores) for event in by_loop(row, clustering)]
    assert slide.tolist() == [k for k, _, _ in expected]
    np.testing.assert_allclose(statistic, [value for _, value, _ in expected], rtol=1e-12)
    position = (time - 1e9 - 0.75) * 4 - (clustering.integration_size - 1) / 2
    assert np.all(np.abs(position - [i for _, _, i in expected]) <= clustering.half_width_size)


def test_slides_do_not_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = np.random.default_rng(1).normal(size=(11, 97)).astype(np.float32)
    together = cluster_slides(scores, 5.0, CLUSTERING)
    monkeypatch.setattr("aframe.events.cluster.GROUP_SIZE", 200)
    grouped = cluster_slides(scores, 5.0, CLUSTERING)
    alone = [cluster(row, 5.0, CLUSTERING) for row in scores]
    for k in range(2):
        np.testing.assert_array_equal(together[k], np.concatenate([part[k] for part in alone]))
    for first, second in zip(together, grouped, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 16])
def test_moving_average(size: int) -> None:
    scores = np.random.default_rng(2).normal(size=(3, 50)).astype(np.float32)
    expected = [np.convolve(row.astype(float), np.ones(size) / size, "valid") for row in scores]
    np.testing.assert_allclose(moving_average(scores, size), expected, atol=1e-12)


def planted(kind: str, width: float, rate: float, noise: float, rng: np.random.Generator) -> float:
    """Error in seconds of the estimated coalescence time of one signal."""
    start, centre = np.arange(int(60 * rate)) / rate, 30 + rng.random()
    distance = np.abs(start + CLUSTERING.coalescence_offset - centre)
    response = distance < width / 2 if kind == "boxcar" else np.maximum(0, 1 - distance / width)
    scores = (20 * response - 8 + noise * rng.normal(size=len(start))).astype(np.float32)
    statistic, time = cluster(scores, 0.0, Clustering(rate, 1.0, 8.0, CLUSTERING.coalescence_offset))
    return float(time[statistic.argmax()] - centre)


@pytest.mark.parametrize("rate", [4.0, 16.0])
@pytest.mark.parametrize("width", [0.5, 1.0, 1.3])
@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize("kind", ["boxcar", "triangle"])
def test_time_is_unbiased_below_the_sampling_step(kind: str, noise: float, width: float, rate: float) -> None:
    rng = np.random.default_rng(3)
    count = 400
    errors = np.array([planted(kind, width, rate, noise, rng) for _ in range(count)])
    # a boxcar between samples says only which windows see it: up to a step's uniform distribution
    assert errors.std() < (0.3 if kind == "boxcar" else 0.12) / rate + 0.03 * noise
    assert abs(errors.mean()) < 4 * errors.std() / count**0.5


def test_plateau_is_centred() -> None:
    scores = np.full(80, -5.0, dtype=np.float32)
    scores[30:41] = 5.0
    statistic, time = cluster(scores, 100.0, CLUSTERING)
    loudest = statistic.argmax()
    assert statistic[loudest] == 5.0
    assert time[loudest] == 100.0 + 35 / 4 + 0.75


def test_constant_series_has_one_event_at_its_start() -> None:
    statistic, time = cluster(np.full(5000, 0.1, dtype=np.float32), 0.0, CLUSTERING)
    assert len(statistic) == 1
    assert time[0] == 1.5 / 4 + 0.75


@pytest.mark.parametrize(("windows", "events"), [(0, 0), (3, 0), (4, 1), (5, 1)])
def test_short_series(windows: int, events: int) -> None:
    statistic, time = cluster(np.arange(windows, dtype=np.float32), 0.0, CLUSTERING)
    assert len(statistic) == len(time) == events


@pytest.mark.parametrize("shape", [(0, 50), (5, 0), (5, 3)])
def test_slides_without_events(shape: tuple[int, int]) -> None:
    assert [len(part) for part in cluster_slides(np.zeros(shape, np.float32), 0.0, CLUSTERING)] == [0, 0, 0]


def test_edges_are_not_inflated() -> None:
    rng = np.random.default_rng(4)
    scores = (rng.normal(size=(20000, 41)) - 8).astype(np.float32)
    series = moving_average(scores, 4)
    assert abs(series[:, 0].std() / series[:, 18].std() - 1) < 0.03
    assert series[:, [0, -1]].max() < series.max() + 0.5


def test_impossible_input() -> None:
    for scores in ([0, 0, np.nan, 0, 0], [0, 0, np.inf, 0, 0], [0, 0, -np.inf, np.inf, 0]):
        with pytest.raises(DataError, match=r"score 2 of row 0 is (nan|-?inf): score this segment again"):
            cluster(np.array(scores, dtype=np.float32), 0.0, CLUSTERING)
    for score in (8e22, -8e22):
        with pytest.raises(DataError, match=r"of row 0 is .* which no signal of finite SNR gives"):
            cluster(np.array([0, 0, score, 0, 0], dtype=np.float32), 0.0, CLUSTERING)
    with pytest.raises(ConfigurationError, match="integration_window_length"):
        cluster(np.zeros(10, dtype=np.float32), 0.0, Clustering(4.0, 0.0, 8.0, 0.0))
    with pytest.raises(ConfigurationError, match="cluster_window_length"):
        cluster(np.zeros(10, dtype=np.float32), 0.0, Clustering(4.0, 1.0, 1.25, 0.0))
