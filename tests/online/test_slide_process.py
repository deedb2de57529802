import time

import numpy as np
import pytest

from aframe.events.significance import Background
from aframe.online.slide_process import EXCLUDED, MOST_BYTES, Pace, SlidePlan, read_excluded


def plan(**changes):
    usual = {"directory": "", "shifts": (0.0, 1.0), "hours": 24.0, "far_per_year": 12.0}
    return SlidePlan(**{**usual, "share": 0.25, "block_length": 256.0, **changes})


@pytest.mark.parametrize(
    ("changes", "size", "slides"),
    [
        ({}, 8e4, 3044),  # 100 / 12 years in days
        ({"far_per_year": 120.0}, 8e4, 305),
        ({"far_per_year": 1e9}, 8e4, 1),
        ({"hours": 1.0}, 8e4, 3600),  # no longer than the background
        ({"far_per_year": 0.1}, 1e6, int(MOST_BYTES / 1e6)),
        ({"far_per_year": 0.1, "shifts": (0.0, 1.0, 2.0)}, 1e6, int(MOST_BYTES / 2e6)),
    ],
)
def test_slides_reach_what_alerts_need_or_what_fits(changes, size, slides):
    assert plan(**changes).slides(size) == slides


@pytest.mark.parametrize("far_per_year", [0.1, 12.0, 730.0, 1e6])
def test_a_block_of_one_loud_glitch_leaves_the_rate_of_alerts_measured(far_per_year):
    chosen = plan(far_per_year=far_per_year)
    slides = chosen.slides(8e4)
    whole = slides * chosen.hours * 3600
    glitch = Background(np.full(chosen.least_events(slides), 9.0), whole)  # no block has a floor above these
    assert glitch.threshold_at_far(far_per_year) > 9.0


def test_a_damaged_file_of_times_leaves_nothing_out(tmp_path, capsys):
    chosen = plan(directory=str(tmp_path))
    assert read_excluded(chosen) == []
    (tmp_path / EXCLUDED).write_text("[1.0, 2")
    assert read_excluded(chosen) == []
    assert "is damaged" in capsys.readouterr().err


def test_history_holds_the_longest_slide_and_blocks_that_are_late():
    assert plan(shifts=(0.0, 3.0, -1.0)).history(10, 8.0) == 4 * 10 + 4 * 256 + 16


def test_work_keeps_to_its_share_and_ends_with_its_time():
    pace, began, spent = Pace(0.5, 0.4), time.monotonic(), time.process_time()
    while pace.goes_on():
        sum(range(200_000))
    spent = time.process_time() - spent
    assert pace.spent >= 0.2
    assert time.monotonic() - began >= 1.9 * min(spent, pace.spent)
