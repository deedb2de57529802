import numpy as np
import pytest

from aframe.errors import ConfigurationError, DataError
from aframe.events.cluster import Clustering, cluster
from aframe.inference.slides import Grid, Slide
from aframe.preprocessing import MINIMUM_PHASE


@pytest.fixture
def grid(make_model):
    """Windows of 1 s, four a second; 4 s for PSDs and half a second for the filter are lost."""
    return Grid(make_model("coincidence").preprocessing, (0.0, 1.0))


def test_windows_of_a_stream(grid):
    assert grid.windows(255) == 0
    assert grid.windows(256) == 1
    assert grid.windows(256 + 63) == 1
    assert grid.windows(256 + 64) == 2
    assert grid.stream_size(20.0) == round((20 - 4 - 0.5) * 256)


def test_a_slide_costs_the_time_that_its_largest_shift_takes(grid):
    zero = grid.slide(3, 20.0, 0)
    assert zero == Slide(3, 0, (0.0, 0.0), round((20 - 4 - 0.5 - 1) * 4) + 1)
    for number in range(1, 20):
        slide = grid.slide(3, 20.0, number)
        assert slide.windows == max(0, zero.windows - 4 * number)
        assert slide.shifts == (0.0, float(number))


@pytest.mark.parametrize(("shifts", "offsets"), [((0, 1), (0, 2)), ((0, -1), (2, 0)), ((1, -0.5, 0.25), (3, 0, 1.5))])
def test_offsets_are_shifts_from_the_detector_that_is_behind(make_model, shifts, offsets):
    ifos = ("H1", "L1", "V1")[: len(shifts)]
    grid = Grid(make_model("coincidence", ifos).preprocessing, tuple(map(float, shifts)))
    assert grid.offsets(2) == tuple(round(256 * offset) for offset in offsets)


def test_span_holds_all_windows_of_a_slide(make_model):
    # at slide time t detector k's data of time t + shifts[k] are seen: all must be whitened
    preprocessing = make_model("coincidence", ("H1", "L1", "V1")).preprocessing
    grid = Grid(preprocessing, (0.0, 1.0, -0.5))
    for number in (0, 1, 5):
        low, high = grid.span(1000.0, 30.0, number)
        for shift in grid.slide(0, 30.0, number).shifts:
            assert low + shift >= 1004.0
            assert high + shift <= 1029.5
        windows = grid.slide(0, 30.0, number).windows
        assert (high - low - 1.0) * 4 + 1 == windows
    assert grid.span(1000.0, 30.0, 17) is None
    assert grid.slide(0, 30.0, 17).windows == 0


def test_minimum_phase_searches_strain_to_its_end(make_model):
    preprocessing = make_model("coincidence", phase=MINIMUM_PHASE).preprocessing
    grid = Grid(preprocessing, (0.0, 1.0))
    assert grid.stream_size(20.0) == (20 - 4) * 256
    assert grid.span(1000.0, 20.0, 0) == (1004.0, 1020.0)


def test_spans_of_events_are_the_live_time_and_hold_all_events(make_model):
    preprocessing = make_model("coincidence", ("H1", "L1", "V1")).preprocessing
    grid, starts = Grid(preprocessing, (0.0, 1.0, -0.5)), [5000.0, 1000.0]
    slides = [
        grid.slide(segment, duration, number) for number in range(4) for segment, duration in ((0, 30.0), (1, 21.0))
    ]
    spans = grid.event_spans(starts, slides)
    np.testing.assert_allclose(spans.duration.sum(), grid.livetime(slides))
    np.testing.assert_array_equal(spans.shift, [slide.shifts for slide in slides])
    offset = preprocessing.coalescence_offset
    rng, size = np.random.default_rng(0), {1: [], 3: []}
    for slide, start, duration in zip(slides, spans.start, spans.duration, strict=True):
        low, high = grid.span(starts[slide.segment], (30.0, 21.0)[slide.segment], slide.number)
        assert start == pytest.approx(low + offset - 0.125)
        assert start + duration == pytest.approx(high - preprocessing.kernel_length + offset + 0.125)
        for integration, times in size.items():
            clustering = Clustering(4.0, integration / 4, 0.5, offset)
            scores = rng.normal(size=slide.windows).astype(np.float32)
            _, time = cluster(scores, low, clustering)
            assert (time >= start).all()
            assert (time < start + duration).all()
            times.append(len(time))
    assert min(map(sum, size.values())) > 50
    assert len(grid.event_spans(starts, []).start) == 0


def test_the_background_takes_the_fewest_slides_that_reach_its_live_time(grid):
    durations = [30.0, 20.0, 4.0]
    slides = grid.background(durations, 90.0)
    assert grid.livetime(slides) >= 90.0
    assert grid.livetime(slides[:-1]) < 90.0
    assert len({(s.segment, s.number) for s in slides}) == len(slides)
    assert [s.number for s in slides] == sorted(s.number for s in slides)
    assert {s.segment for s in slides} == {0, 1}
    assert all(s.number > 0 for s in slides)
    assert slides == [grid.slide(s.segment, durations[s.segment], s.number) for s in slides]
    assert grid.livetime(slides) == sum(s.windows for s in slides) / 4


def test_a_live_time_out_of_reach_is_refused_with_the_most_there_is(grid):
    most = sum(grid.slide(0, 30.0, number).windows for number in range(1, 40)) / 4
    assert grid.livetime(grid.background([30.0], most)) == most
    with pytest.raises(DataError, match=rf"give at most {most:.0f} s; lower Tb"):
        grid.background([30.0], most + 1)


def test_no_data_give_no_background(grid):
    with pytest.raises(DataError, match="give at most 0 s"):
        grid.background([], 1.0)
    with pytest.raises(DataError, match="give at most 0 s"):
        grid.background([2.0], 1.0)


def test_detectors_with_one_shift_are_no_background(make_model):
    # else the loop that looks for slides would find the zero lag again and again
    grid = Grid(make_model("coincidence").preprocessing, (1.0, 1.0))
    with pytest.raises(ConfigurationError, match="never slid apart"):
        grid.background([30.0], 1e9)


@pytest.mark.parametrize(("shift", "allowed"), [(0.3, "0.25 or 0.5"), (-1.1, "-1.25 or -1"), (1 / 3, "0.25 or 0.5")])
def test_a_shift_between_windows_is_refused_with_those_that_are_allowed(make_model, shift, allowed):
    preprocessing = make_model("coincidence").preprocessing
    with pytest.raises(ConfigurationError, match=rf"{shift:g} s lies between .* every 0\.25 s .* such as {allowed}"):
        Grid(preprocessing, (0.0, shift))
    Grid(preprocessing, tuple(map(float, allowed.split(" or "))))
