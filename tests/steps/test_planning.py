import numpy as np
import pytest

from aframe.inference.slides import Grid, Slide
from aframe.preprocessing import Preprocessing, Whitening
from aframe.steps.planning import WorkUnit, pack

YEAR = 31_557_600.0
GRID = Grid(
    Preprocessing(("H1", "L1"), 1.5, 4.0, (0.5, 1.4), Whitening(2048.0, 64.0, 1.0, 1.0, 64.0, 32.0, None)), (0.0, 1.0)
)


def ordered(durations: list[float], Tb: float) -> list[list[Slide]]:
    """Slides of each segment, zero lag first."""
    slides = GRID.background(durations, Tb)
    return [
        [GRID.slide(k, duration, 0), *(slide for slide in slides if slide.segment == k)]
        for k, duration in enumerate(durations)
    ]


def live(unit: WorkUnit) -> float:
    return GRID.livetime(unit.of_kind(zero_lag=False))


@pytest.mark.parametrize("target", [1.0, 5e4, 2.5e5, 1e9])
@pytest.mark.parametrize("durations", [[20_000.0], [300.0] * 40, [9000.0, 256.0, 300.0, 20_000.0, 128.0, 500.0]])
def test_units_hold_each_slide_once_and_in_order(durations: list[float], target: float) -> None:
    segments = ordered(durations, 4e5)
    units = pack(segments, GRID, target)
    assert [slide for unit in units for slide in unit.slides] == [slide for slides in segments for slide in slides]
    zero_lag = [GRID.livetime(slides[:1]) for slides in segments]
    for unit in units:
        most_of_one = max(GRID.livetime([slide]) for slide in unit.slides)
        assert live(unit) <= max(target, most_of_one) + sum(zero_lag[s] for s, _ in unit.by_segment())
        assert [slide for _, slides in unit.by_segment() for slide in slides] == list(unit.slides)
    assert len({(unit.slides[0], unit.slides[-1], len(unit.slides)) for unit in units}) == len(units)


@pytest.mark.parametrize("durations", [[20_000.0] * 130, [17_000.0] * 5, [1100.0] * 400, [20_000.0, 1024.0] * 10])
def test_a_year_is_hundreds_of_files(durations: list[float]) -> None:
    units = pack(ordered(durations, YEAR), GRID, 1e6)
    assert 30 < len(units) < 110  # each writes two or three
    assert np.median([live(unit) for unit in units]) > 3e5


def test_more_background_leaves_whole_units_as_they_are() -> None:
    durations = [9000.0, 700.0, 20_000.0, 2000.0]
    some, more = (pack(ordered(durations, Tb), GRID, 1e5) for Tb in (1e6, 3e6))
    kept = sum(live(unit) for unit in some if unit in more)
    assert kept > 0.6 * sum(map(live, some))
