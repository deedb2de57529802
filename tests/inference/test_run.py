from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import poisson

from aframe.constants import SECONDS_PER_YEAR
from aframe.errors import DataError
from aframe.events.cluster import Clustering
from aframe.events.significance import Background
from aframe.inference.engine import Engine
from aframe.inference.run import InjectionIndex, Searcher, Unit, score_unit
from aframe.inference.scorers import TorchScorer
from aframe.inference.slides import Grid
from aframe.progress.ledger import JobProgress
from aframe.strain.files import background_path, write_background
from aframe.strain.simulate import simulate
from aframe.tables import InjectionTable

RATE, START, DURATION = 256.0, 1_000_000.0, 60.0
RESOLUTION = 0.13
"""s: half a stride, since a boxcar of two windows begins and ends anywhere between windows."""
PULSE = np.exp(-0.5 * ((np.arange(64) - 32) / 1.5) ** 2) * np.cos(0.9 * (np.arange(64) - 32))
"""A quarter of a second, its peak in the middle, loud in band."""


@pytest.fixture
def search(make_model, tmp_path):
    """A searcher for pulses that all detectors see at once, and the path of a segment with planted pulses in it."""

    def build(shifts, planted=()):
        ifos = ("H1", "L1", "V1")[: len(shifts)]
        model = make_model("coincidence", ifos)
        curve = (np.array([1.0, 2000.0]), np.array([1e-23, 1e-23]))
        strain = {ifo: simulate(curve, ifo, START, START + DURATION, RATE, seed=3) for ifo in ifos}
        for time, shift in planted:
            for ifo, detector_shift in zip(ifos, shift, strict=True):
                first = round((time + detector_shift - START) * RATE) - 32
                strain[ifo][first : first + 64] += 3e-21 * PULSE
        path = background_path(str(tmp_path), START, DURATION)
        write_background(path, strain, START, RATE)
        clustering = Clustering(4.0, 0.5, 4.0, model.preprocessing.coalescence_offset)
        return Searcher(TorchScorer(model), Grid(model.preprocessing, shifts), clustering, 0.5), path

    return build


def table(rows, ifos):
    """Injections, given as (time, shift, amplitude); the pulse merges in its middle, at all detectors at once."""
    time, shift, amplitude = (np.array([row[k] for row in rows], dtype=float) for k in range(3))
    one = np.ones(len(rows))
    columns = {
        "injection_time": time,
        "shift": shift,
        "snr": amplitude,
        "ifo_snrs": np.tile(amplitude, (len(ifos), 1)).T,
    }
    columns |= {"mass_1": 30 * one, "mass_2": 20 * one, "redshift": 0.1 * one}
    waveforms = {ifo.lower(): 3e-21 * amplitude[:, None] * PULSE for ifo in ifos}
    attributes = {
        "sample_rate": RATE,
        "duration": 0.25,
        "right_pad": 32 / RATE,
        "ifos": list(ifos),
        "num_injections": 99,
    }
    return InjectionTable(columns, waveforms, attributes)


@pytest.mark.parametrize("shifts", [(0.0, 1.5), (0.0, -1.0), (2.0, 1.0), (0.0, 1.0, -0.5)])
@pytest.mark.parametrize("number", [0, 1, 3])
def test_at_slide_time_t_each_detector_is_seen_at_t_plus_its_shift(search, shifts, number):
    time, shift = START + 31.3125, tuple(s * number for s in shifts)
    searcher, path = search(shifts, [(time, shift)])
    slides = [searcher.grid.slide(0, DURATION, n) for n in (0, 1, 3)]
    events, recovered = score_unit(searcher, Unit(path, slides, None))
    assert recovered is None
    loudest = np.argmax(events["detection_statistic"])
    others = np.delete(events["detection_statistic"], loudest)
    assert events["detection_statistic"][loudest] > 3 * others.max()
    assert events["shift"][loudest].tolist() == list(shift)
    assert events["detection_time"][loudest] == pytest.approx(time, abs=RESOLUTION)
    assert events.livetime == searcher.grid.livetime(slides) == sum(slide.windows for slide in slides) / 4


@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_goes_no_further_than_its_slide(search, monkeypatch, score):
    searcher, path = search((0.0, 1.0))

    def scores_each(_, slides):
        for slide in slides:
            yield np.where(np.arange(slide.windows) == slide.number, score if slide.number == 3 else 0.0, 0.0).astype(
                np.float32
            )

    monkeypatch.setattr(Engine, "scores_each", scores_each)
    slides = [searcher.grid.slide(0, DURATION, n) for n in (1, 3)]
    kept = []
    with pytest.raises(DataError, match=rf"{path}, slide 3, engine torch: score 3 of row 0 is {score}"):
        score_unit(searcher, Unit(path, slides, None), keep=kept.append)
    assert [series.number for series in kept] == [1]


def test_event_times_have_no_constant_offset(search):
    times = [START + 8 + 5 * k + k / 36 for k in range(9)]  # all phases of a stride
    shifts = (0.0, 1.0)
    searcher, path = search(shifts, [(round(time * RATE) / RATE, shifts) for time in times])
    events, _ = score_unit(searcher, Unit(path, [searcher.grid.slide(0, DURATION, 1)], None))
    loudest = np.argsort(-events["detection_statistic"])[:9]
    error = np.sort(events["detection_time"][loudest]) - times
    assert np.abs(error).max() < RESOLUTION
    assert abs(error.mean()) < 0.02


@pytest.mark.parametrize("shifts", [(0.0, 1.0), (0.0, -1.0), (4.0, 5.0)])
def test_injections_are_found_where_they_are_and_kept_where_they_are_not(search, shifts, tmp_path):
    searcher, path = search(shifts)
    slides = [searcher.grid.slide(0, DURATION, n) for n in (1, 2)]
    one, two, five = ([s * n for s in shifts] for n in (1, 2, 5))
    low, high = searcher.grid.span(START, DURATION, 1)
    rows = [
        (low + 10.125, one, 1.0),
        (low + 20.5, one, 1.5),
        (low + 20.5, two, 2.0),
        (low - 1.5, one, 1.0),  # in the segment, but before anything is whitened
        (low + 20.0, five, 9.0),  # of another unit's slide
        (START + 5000.0, one, 9.0),  # of another segment
    ]
    injections = str(tmp_path / "waveforms.hdf5")
    table(rows, searcher.scorer.preprocessing.ifos).write(injections)
    events, recovered = score_unit(searcher, Unit(path, slides, InjectionIndex(injections)))
    assert recovered is not None
    assert len(recovered) == 4
    by_place = {
        (t, *s): k
        for k, (t, s) in enumerate(zip(recovered["injection_time"], recovered["shift"].tolist(), strict=True))
    }
    order = [by_place[(time, *shift)] for time, shift, _ in rows[:4]]
    statistic, event_time = recovered["detection_statistic"][order], recovered["detection_time"][order]
    assert (statistic[:3] > 3 * events["detection_statistic"].max()).all()
    assert statistic[0] < statistic[1] < statistic[2]
    np.testing.assert_allclose(event_time[:3], [row[0] for row in rows[:3]], atol=RESOLUTION)
    assert statistic[3] == -np.inf
    assert np.isnan(event_time[3])
    assert recovered.attributes["num_injections"] == 99
    assert recovered["snr"][order].tolist() == [1.0, 1.5, 2.0, 1.0]
    assert not recovered.waveforms
    assert high > low + 21


def test_injections_change_nothing_in_the_background(search, tmp_path):
    searcher, path = search((0.0, 1.0))
    slides = [searcher.grid.slide(0, DURATION, n) for n in (1, 2)]
    injections = str(tmp_path / "waveforms.hdf5")
    table([(START + 20.0, [0.0, 1.0], 1.0)], ("H1", "L1")).write(injections)
    injected, reports = [], []
    alone, _ = score_unit(searcher, Unit(path, slides, None))
    progress = JobProgress(lambda *done: injected.append(done), lambda *done: reports.append(done))
    events, recovered = score_unit(searcher, Unit(path, slides, InjectionIndex(injections)), progress)
    for name in alone.parameters:
        assert (alone[name] == events[name]).all()
    assert recovered is not None
    assert len(recovered) == 1
    total = searcher.grid.livetime(slides)
    assert reports == [(searcher.grid.livetime(slides[:1]), total), (total, total)]
    assert injected == [(0, 1), (1, 1)]


def test_a_unit_without_injections_of_its_own_has_an_empty_table(search, tmp_path):
    searcher, path = search((0.0, 1.0))
    injections = str(tmp_path / "waveforms.hdf5")
    table([(START + 20.0, [0.0, 7.0], 1.0)], ("H1", "L1")).write(injections)
    _, recovered = score_unit(searcher, Unit(path, [searcher.grid.slide(0, DURATION, 1)], InjectionIndex(injections)))
    assert recovered is not None
    assert len(recovered) == 0
    assert recovered["shift"].shape == (0, 2)


def test_scores_do_not_depend_on_how_slides_make_units(search):
    searcher, path = search((0.0, 1.0), [(START + 30.0, (0.0, 2.0))])
    slides = [searcher.grid.slide(0, DURATION, n) for n in (1, 2, 3)]
    together, _ = score_unit(searcher, Unit(path, slides, None))
    apart = [score_unit(searcher, Unit(path, [slide], None))[0] for slide in slides]
    for name in together.parameters:
        assert (together[name] == np.concatenate([events[name] for events in apart])).all()


def test_a_segment_too_short_is_refused(search, tmp_path):
    searcher, _ = search((0.0, 1.0))
    path = background_path(str(tmp_path), 5.0, 5.0)
    write_background(path, {ifo: np.random.default_rng(0).standard_normal(1280) for ifo in ("H1", "L1")}, 5.0, RATE)
    with pytest.raises(DataError, match="too short"):
        score_unit(searcher, Unit(path, [searcher.grid.slide(0, 5.0, 0)], None))


SLIDES, SEGMENT = 20, 600.0
"""Time slides and length (s) of a segment of noise alone."""
CURVE = (np.array([1.0, 2000.0]), np.array([1e-23, 1e-23]))


def searched_noise(searcher: Searcher, directory: Path, seed: int) -> tuple[NDArray, float, float]:
    """Rates (per year) of a segment's unshifted events, its live time (s), and the rate of all events of slides."""
    directory.mkdir()
    ifos = searcher.scorer.preprocessing.ifos
    path = background_path(str(directory), START, SEGMENT)
    strain = {ifo: simulate(CURVE, ifo, START, START + SEGMENT, RATE, seed=seed) for ifo in ifos}
    write_background(path, strain, START, RATE)
    slides = [searcher.grid.slide(0, SEGMENT, number) for number in range(SLIDES + 1)]
    events, _ = score_unit(searcher, Unit(path, slides, None))
    unshifted = (events["shift"] == 0).all(axis=1)
    background = Background(events["detection_statistic"][~unshifted], searcher.grid.livetime(slides[1:]))
    rates = background.far_per_year(events["detection_statistic"][unshifted])
    return rates, searcher.grid.livetime(slides[:1]), float(background.far_per_year(background.statistics[0]))


@pytest.mark.parametrize(
    ("ifos", "seeds"),
    [(("H1", "L1"), 8), pytest.param(("H1", "L1"), 100, marks=pytest.mark.thorough),
     pytest.param(("H1", "L1", "V1"), 100, marks=pytest.mark.thorough)],
)  # fmt: skip
def test_unshifted_noise_is_as_rare_as_its_rate_says(make_model, tmp_path: Path, ifos, seeds: int) -> None:
    model = make_model("coincidence", ifos)
    shifts = tuple(3.0 * k for k in range(len(ifos)))
    clustering = Clustering(4.0, 0.5, 4.0, model.preprocessing.coalescence_offset)
    searcher = Searcher(TorchScorer(model), Grid(model.preprocessing, shifts), clustering, 0.5)
    parts = [searched_noise(searcher, tmp_path / str(seed), seed) for seed in range(seeds)]
    rates, livetime = np.concatenate([part[0] for part in parts]), sum(part[1] for part in parts)
    highest = min(part[2] for part in parts)
    for rate in np.geomspace(2 * SECONDS_PER_YEAR / (SLIDES * SEGMENT), highest / 2, 6):
        expected, count = rate * livetime / SECONDS_PER_YEAR, int((rates <= rate).sum())
        # events are clustered, so that their number scatters no more than a Poisson number
        assert poisson.cdf(count, expected) > 1e-3, (rate, count, expected)
        assert poisson.sf(count - 1, expected) > 1e-3, (rate, count, expected)
