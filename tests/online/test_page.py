import re

import numpy as np
from live_events import live_event
from live_health import live_health
from markupsafe import Markup

from aframe.online.page import build_page, picture, rate_plot
from aframe.report.plots import Axis, Line, Plot


def test_the_page_has_all_and_needs_nothing_else() -> None:
    events = [live_event(1), live_event(0, 1, template={}, p_astro={})]
    plot = Plot(
        title="Range", x=Axis("Time"), y=Axis("Range", "Mpc"),
        marks=[Line(x=np.arange(3.0), y=np.array([1.0, np.nan, 2.0]), color="#000000", label="H1")],
    )  # fmt: skip
    page = build_page(live_health(), events, {"Range": picture(plot)}, {events[0].name: Markup("<p>strain</p>")})
    assert "gracedb does not take events: no answer" in page
    assert f'<a href="events/{events[0].name}.json">' in page
    assert "39.0 + 32.0" in page
    assert "BBH 0.99" in page
    assert "out of line" in page
    assert "<summary>G1126259562421-0</summary><p>strain</p>" in page
    assert 'src="data:image/png;base64,' in page
    assert not re.search(r'(src|href)="https?:', page)
    assert "no sign of life" in page
    assert len(page) < 200_000


def test_rates_are_drawn_against_what_noise_gives() -> None:
    plot = rate_plot(live_health(), [live_event(0), live_event(1, far_per_year=2.0, far_is_upper_limit=False)])
    assert plot is not None
    assert {"unshifted data", "at least", "expected of noise alone"} <= set(plot.labels)
    assert rate_plot(live_health(), []) is None
    assert rate_plot(live_health(searched=0.0), [live_event()]) is None
