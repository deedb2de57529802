import functools
import operator
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from aframe.errors import DataError
from aframe.events import vetoes as vetoes_module
from aframe.events.vetoes import (
    Intervals,
    SlideSpans,
    Veto,
    clean_events,
    clean_injections,
    clean_rejected,
    live_spans,
    merged,
    reasons,
    union,
    vetoed,
)
from aframe.sensitivity.cosmology import comoving_volume_time
from aframe.sensitivity.volume import sensitive_volume
from aframe.sensitivity.weighing import WeightSums
from aframe.sensitivity.weights import LogNormalTarget, weights
from aframe.strain.quality import read_gates
from aframe.strain.segments import Segment
from aframe.tables import EventTable, InjectionTable, RecoveredTable, RejectedTable
from aframe.types import Array
from aframe.waveforms.priors import Population, demo_bbh, draw

IFOS = ("H1", "L1")
START = 1.25e9
NOTHING = np.empty((0, 2))


def at(*intervals: tuple[float, float]) -> Array:
    """Intervals with edges in seconds after ``START``."""
    return START + np.array(intervals, dtype=float).reshape(-1, 2)


def one_slide(duration: float, *shift: float) -> SlideSpans:
    return SlideSpans(np.array([START]), np.array([float(duration)]), np.array([shift], dtype=float))


def random_case(rng: np.random.Generator, ifos: int) -> tuple[SlideSpans, dict[str, Array]]:
    """Slides and vetoes with edges at whole seconds, for measurement by counting seconds."""
    count = int(rng.integers(1, 12))
    spans = SlideSpans(
        START + rng.integers(0, 60, count).astype(float),
        rng.integers(0, 40, count).astype(float),
        rng.integers(-5, 6, (count, ifos)).astype(float),
    )
    vetoes = {}
    for k in range(ifos):
        start = rng.integers(-10, 110, int(rng.integers(0, 20)))
        vetoes[f"X{k}"] = merged(
            START + np.stack([start, start + rng.integers(0, 6, len(start))], axis=1).astype(float)
        )
    return spans, vetoes


def by_counting(spans: SlideSpans, vetoes: dict[str, Array]) -> list[float]:
    result = []
    for start, duration, shift in zip(spans.start, spans.duration, spans.shift, strict=True):
        second = start + np.arange(duration)
        hit = [
            any(a <= time + s < b for s, ifo in zip(shift, vetoes, strict=True) for a, b in vetoes[ifo])
            for time in second
        ]
        result.append(float(sum(hit)))
    return result


@pytest.mark.parametrize("seed", range(10))
def test_merging_keeps_every_second_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 100, 25)
    intervals = np.stack([start, start + rng.integers(-2, 8, 25)], axis=1).astype(float)
    result = merged(intervals)
    second = np.arange(110) + 0.5
    inside = [np.any((values[:, :1] <= second) & (second < values[:, 1:]), axis=0) for values in (intervals, result)]
    np.testing.assert_array_equal(*inside)
    assert (result[:, 1] > result[:, 0]).all()
    assert (result[1:, 0] > result[:-1, 1]).all()


def test_an_event_is_seen_where_its_detectors_are_shifted_to() -> None:
    vetoes = {"H1": at((10, 20)), "L1": at((50, 60))}
    time = START + np.array([9.9, 10.0, 15.0, 20.0, 45.0, 49.9, 50.0, np.nan])
    unshifted = np.zeros((len(time), 2))
    assert vetoed(time, unshifted, IFOS, vetoes).tolist() == [False, True, True, False, False, False, True, False]
    shifted = unshifted + np.array([0.0, 5.0])  # at slide time 45, L1's data of 50 are seen
    assert vetoed(time, shifted, IFOS, vetoes).tolist() == [False, True, True, False, True, True, True, False]
    assert not vetoed(time, shifted, IFOS, {"H1": NOTHING, "L1": NOTHING}).any()
    assert len(vetoed(time[:0], shifted[:0], IFOS, vetoes)) == 0


def vetoed_livetime(spans: SlideSpans, ifos: Sequence[str], vetoes: Intervals) -> Array:
    """Vetoed live time of each slide, s."""
    live, slide = live_spans(spans, ifos, vetoes)
    return spans.duration - np.bincount(slide, live.duration, len(spans.duration))


def test_one_interval_of_one_detector_costs_its_length_in_every_slide_that_sees_it() -> None:
    shift = np.stack([np.zeros(100), np.arange(100.0)], axis=1)
    spans = SlideSpans(np.full(100, START), 1000 - shift[:, 1], shift)
    np.testing.assert_allclose(vetoed_livetime(spans, IFOS, {"H1": at((300, 312.5)), "L1": NOTHING}), 12.5)
    np.testing.assert_allclose(vetoed_livetime(spans, IFOS, {"H1": NOTHING, "L1": at((300, 312.5))}), 12.5)
    beginning = vetoed_livetime(spans, IFOS, {"H1": NOTHING, "L1": at((0, 20))})  # L1 is seen from the shift on
    np.testing.assert_allclose(beginning, np.maximum(20 - np.arange(100), 0))


def test_one_interval_of_both_detectors_counts_once_unshifted_and_twice_shifted() -> None:
    both = {"H1": at((300, 310)), "L1": at((300, 310))}
    lost = [vetoed_livetime(one_slide(1000, 0, shift), IFOS, both)[0] for shift in (0.0, 4.0, 10.0, 50.0)]
    np.testing.assert_allclose(lost, [10, 14, 20, 20])


def test_all_that_is_outside_a_good_list_may_be_vetoed() -> None:
    outside = {"H1": np.array([[-np.inf, START + 10], [START + 15, np.inf]]), "L1": NOTHING}
    assert vetoed_livetime(one_slide(100, 0, 3), IFOS, outside)[0] == pytest.approx(95)
    assert vetoed(START + np.array([9.0, 12.0, 15.0]), np.zeros((3, 2)), IFOS, outside).tolist() == [True, False, True]


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("chunk", [2**20, 7])
def test_live_time_is_what_counting_seconds_says(seed: int, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vetoes_module, "CHUNK_ROWS", chunk)
    spans, vetoes = random_case(np.random.default_rng(seed), 2 + seed % 2)
    np.testing.assert_allclose(vetoed_livetime(spans, list(vetoes), vetoes), by_counting(spans, vetoes), atol=1e-5)
    each = np.repeat(np.arange(len(spans.start)), spans.duration.astype(int))
    second = np.concatenate([np.empty(0), *(np.arange(duration) for duration in spans.duration)])
    hit = vetoed(spans.start[each] + second, spans.shift[each], list(vetoes), vetoes)
    np.testing.assert_array_equal(np.bincount(each, hit, len(spans.start)), by_counting(spans, vetoes))


def uniform_events(spans: SlideSpans, count: int, rng: np.random.Generator) -> EventTable:
    slide = rng.choice(len(spans.start), count, p=spans.duration / spans.duration.sum())
    time = spans.start[slide] + rng.uniform(0, spans.duration[slide])
    columns = {"detection_statistic": rng.normal(size=count), "detection_time": time, "shift": spans.shift[slide]}
    return EventTable(columns, attributes={"Tb": float(spans.duration.sum())})


def test_share_of_vetoed_events_is_that_of_vetoed_live_time_with_the_gates_of_o3(data_directory: Path) -> None:
    segments = {
        ifo: read_gates(str(data_directory / f"segments/{ifo}-O3_GATES_1238166018-31197600.txt")) for ifo in IFOS
    }
    chosen = [Veto.of("gate", ifo, segments[ifo], 30.0) for ifo in IFOS]
    vetoes = union(chosen, IFOS, zero_lag=False)
    number = np.repeat(np.arange(5.0), 40)
    shift = np.stack([0 * number, number], axis=1)
    spans = SlideSpans(1238166018 + np.tile(np.arange(40) * 20_000.0, 5), 20_000 - number, shift)
    lost = vetoed_livetime(spans, IFOS, vetoes)
    whole = SlideSpans(np.array([0.0]), np.array([2e9]), np.zeros((1, 2)))
    assert vetoed_livetime(whole, IFOS, {"H1": vetoes["H1"], "L1": NOTHING})[0] == pytest.approx(
        np.diff(vetoes["H1"]).sum()
    )
    events = uniform_events(spans, 400_000, np.random.default_rng(1))
    clean, live = clean_events(events, spans, IFOS, vetoes)
    share = lost.sum() / spans.duration.sum()
    assert 0.003 < share < 0.1
    assert abs(1 - len(clean) / len(events) - share) < 4 * (share / len(events)) ** 0.5
    assert clean.livetime == live.duration.sum() == pytest.approx(spans.duration.sum() - lost.sum())
    halves = np.concatenate([live.start + 1e-6, live.start + live.duration - 1e-6])
    assert not vetoed(halves, np.tile(live.shift, (2, 1)), IFOS, vetoes).any()
    assert clean.attributes["Tb_before_vetoes"] == events.livetime
    assert events.livetime == pytest.approx(spans.duration.sum())


def test_without_vetoes_nothing_changes() -> None:
    spans = one_slide(100.0, 0.0, 1.0)
    events = uniform_events(spans, 10, np.random.default_rng(0))
    clean, live = clean_events(events, spans, IFOS, union([], IFOS, zero_lag=False))
    assert clean.livetime == events.livetime
    np.testing.assert_array_equal(clean["detection_time"], events["detection_time"])
    assert (live.start.tolist(), live.duration.tolist()) == (spans.start.tolist(), spans.duration.tolist())


def test_events_of_other_slides_and_a_search_of_which_nothing_is_left_are_refused() -> None:
    spans = one_slide(100.0, 0.0, 1.0)
    events = uniform_events(spans, 10, np.random.default_rng(0))
    with pytest.raises(
        DataError, match="the events have a live time of 100 s, but the slides of the configuration have 90 s"
    ):
        clean_events(events, one_slide(90.0, 0.0, 1.0), IFOS, {"H1": NOTHING, "L1": NOTHING})
    with pytest.raises(DataError, match="all 100 s of live time are vetoed"):
        clean_events(events, spans, IFOS, {"H1": at((-1, 50)), "L1": at((50, 200))})


def test_known_events_may_be_vetoed_in_slides_alone() -> None:
    window = Segment(START + 10, START + 12)
    chosen = [Veto.of("known event", ifo, [window], 0.0, in_zero_lag=False) for ifo in IFOS]
    chosen += [Veto.of("gate", "L1", [Segment(START + 50, START + 51)], 1.0), Veto.of("gate", "V1", [window], 0.0)]
    assert union(chosen, IFOS, zero_lag=True)["H1"].tolist() == []
    assert union(chosen, IFOS, zero_lag=True)["L1"].tolist() == at((49, 52)).tolist()
    assert union(chosen, IFOS, zero_lag=False)["L1"].tolist() == at((10, 12), (49, 52)).tolist()
    time, shift = START + np.array([11.0, 49.5, 80.0]), np.zeros((3, 2))
    assert reasons(time, shift, IFOS, chosen) == ["H1 known event; L1 known event", "L1 gate", ""]
    assert reasons(time - 30, shift + np.array([0.0, 30.0]), IFOS, chosen) == ["L1 known event", "L1 gate", ""]


HORIZON, DRAWS = {"good": 0.4, "bad": 0.15}, {"good": 16, "bad": 400}


def campaign(counts: dict[str, int], rng: np.random.Generator) -> tuple[RecoveredTable, RejectedTable]:
    """Toy search that draws until each segment has enough accepted signals, at intervals of one second.

    Signals are accepted within 1.5 horizons of their segment, and recovered within one.
    """
    accepted_parts, rejected_parts, time = [], [], START
    for segment, count in counts.items():
        horizon = HORIZON[segment]
        drawn = draw(populations()[0], DRAWS[segment] * count, rng)
        loud = np.flatnonzero(drawn["redshift"] < 1.5 * horizon)[:count]
        assert len(loud) == count
        columns = {name: drawn[name] for name in ("mass_1", "mass_2", "redshift")}
        accepted = {name: column[loud] for name, column in columns.items()}
        when = time + np.arange(count)
        accepted |= {
            "detection_statistic": horizon / accepted["redshift"],
            "detection_time": when + 0.0,
            "injection_time": when,
            "shift": np.tile([0.0, 7.0], (count, 1)),
            "snr": 8 * horizon / accepted["redshift"],
            "num_draws": np.diff(loud, prepend=-1),
        }
        accepted_parts.append(accepted)
        rest = np.delete(np.arange(loud[-1] + 1), loud)
        rejected_parts.append({name: column[rest] for name, column in columns.items()})
        time += count
    accepted = {name: np.concatenate([part[name] for part in accepted_parts]) for name in accepted_parts[0]}
    rejected = {name: np.concatenate([part[name] for part in rejected_parts]) for name in rejected_parts[0]}
    attributes = {"num_injections": int(accepted["num_draws"].sum()), "ifos": list(IFOS)}
    return RecoveredTable(accepted, attributes=attributes), RejectedTable(rejected)


def placed(recovered: RecoveredTable) -> InjectionTable:
    return InjectionTable({name: recovered[name] for name in ("injection_time", "shift", "num_draws")})


@functools.cache
def populations() -> tuple[Population, LogNormalTarget, float]:
    """Source population, target population and V₀."""
    source = demo_bbh()
    target = LogNormalTarget(35.0, 20.0, 0.3, source.redshift_range)
    return source, target, comoving_volume_time(source.redshift_range, 1.0)


def volume(recovered: RecoveredTable, rejected: Sequence[RejectedTable]) -> tuple[float, float]:
    """Sensitive volume of the toy search and its standard error."""
    source, target, v0 = populations()
    weight = weights(recovered, source, [target])[0]
    sums = [WeightSums.of(weights(piece, source, [target])[0]) for piece in rejected]
    everything = functools.reduce(operator.add, sums, WeightSums.of(weight))
    assert everything.count == recovered.attributes["num_injections"]
    result = sensitive_volume(recovered["detection_statistic"], weight, everything, v0, np.array([1.0]))
    return float(result.volume_gpc3[0]), float(result.standard_error[0])


def without_vetoed(
    recovered: RecoveredTable, rejected: RejectedTable, vetoes: dict[str, Array], rng: np.random.Generator
):
    """Remaining injections, shuffled as inference writes them, and remaining rejected draws, in pieces."""
    kept = clean_injections(recovered.rows(rng.permutation(len(recovered))), IFOS, vetoes)
    pieces = [rejected.rows(slice(first, first + 1000)) for first in range(0, len(rejected), 1000)]
    return kept, list(clean_rejected(pieces, placed(recovered), kept))


def test_volume_does_not_depend_on_vetoes_that_know_nothing_of_signals() -> None:
    truth = comoving_volume_time((0.0, HORIZON["good"]), 1.0)
    within, change = [], []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        recovered, rejected = campaign({"good": 300}, rng)
        starts = START + rng.uniform(0, 300, 12)
        vetoes = {ifo: merged(np.stack([starts, starts + 10], axis=1)) for ifo in IFOS}
        kept, left = without_vetoed(recovered, rejected, vetoes, rng)
        assert 60 < len(kept) < 240
        assert kept.attributes["num_injections"] == len(kept) + sum(len(piece) for piece in left)
        cleaned, error = volume(kept, left)
        within.append(abs(cleaned - truth) < 1.96 * error)
        change.append(cleaned / volume(recovered, [rejected])[0] - 1)
    assert 88 <= sum(within) <= 99
    assert abs(np.mean(change)) < 3 * np.std(change) / len(change) ** 0.5
    assert np.std(change) / len(change) ** 0.5 < 0.02


def test_a_bad_stretch_that_is_vetoed_takes_its_own_draws_along() -> None:
    """If acceptance varies, removing one share of all rejected draws would keep those of the bad stretch."""
    rng = np.random.default_rng(4)
    recovered, rejected = campaign({"good": 300, "bad": 60}, rng)
    vetoes = {"H1": at((300, 360)), "L1": NOTHING}
    kept, left = without_vetoed(recovered, rejected, vetoes, rng)
    alone = campaign({"good": 300}, np.random.default_rng(4))
    assert volume(kept, left)[0] == pytest.approx(volume(alone[0], [alone[1]])[0])
    before, error = volume(recovered, [rejected])
    assert volume(kept, left)[0] > before + 5 * error
    assert kept.attributes["num_injections"] / recovered.attributes["num_injections"] < 0.6 < len(kept) / len(recovered)


def test_an_injection_whose_event_is_vetoed_is_not_found() -> None:
    recovered, _ = campaign({"good": 4}, np.random.default_rng(0))
    recovered.parameters["detection_time"] = START + np.array([0.0, 1.2, 2.0, np.nan])
    kept = clean_injections(recovered, IFOS, {"H1": at((1.1, 2.5)), "L1": NOTHING})
    assert (kept["injection_time"] - START).tolist() == [0.0, 1.0, 3.0]
    assert np.isfinite(kept["detection_statistic"]).tolist() == [True, False, True]
    assert np.isnan(kept["detection_time"]).tolist() == [False, True, True]


def test_injections_that_cannot_be_cleaned_are_refused() -> None:
    recovered, rejected = campaign({"good": 20}, np.random.default_rng(0))
    with pytest.raises(DataError, match="all 20 injections lie in vetoed time"):
        clean_injections(recovered, IFOS, {"H1": at((-1, 99)), "L1": NOTHING})
    for wrong in (rejected.rows(slice(1, None)), RejectedTable.concatenate([rejected, rejected.rows(slice(1))])):
        with pytest.raises(DataError, match=f"are not the {len(rejected)} that belong to the injections"):
            list(clean_rejected([wrong], placed(recovered), recovered))
    del recovered.parameters["num_draws"]
    with pytest.raises(DataError, match="column num_draws"):
        clean_injections(recovered, IFOS, {"H1": NOTHING, "L1": NOTHING})
