import math
from pathlib import Path

import numpy as np
from live_health import live_health

from aframe.online import history
from aframe.online.history import FILE, History
from aframe.report.plots import Line


def test_a_sample_a_minute_is_kept_for_a_day(tmp_path: Path) -> None:
    series = History(str(tmp_path))
    assert series.plots(0.0) == []
    taken = [series.add(live_health(written=20.0 * k)) for k in range(9)]
    assert taken == [k % 3 == 0 for k in range(9)]
    again = History(str(tmp_path))
    assert [sample["time"] for sample in again.samples] == [0.0, 60.0, 120.0]
    assert again.add(live_health(written=3600.0))
    ranges, latencies = again.plots(3600.0)
    assert ranges.labels == ["H1", "L1"]
    assert latencies.labels == ["arrived", "computed"]
    line = ranges.marks[0]
    assert isinstance(line, Line)
    assert np.allclose(line.x, [-1, -59 / 60, -58 / 60, 0])
    assert line.y[0] == 112.4
    assert math.isnan(ranges.marks[1].y[0])  # type: ignore[union-attr]


def test_samples_are_bounded_and_a_damaged_file_begins_anew(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")
    series = History(str(tmp_path))
    series.samples = [{"time": float(k)} for k in range(history.MOST_SAMPLES)]
    series.add(live_health(written=1e6))
    assert len(series.samples) == history.MOST_SAMPLES
    assert series.samples[0] == {"time": 1.0}
