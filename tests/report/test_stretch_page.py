import numpy as np

from aframe.inference.stretch import SlideStretch
from aframe.report.stretch_page import stretch_figures, stretch_html


def test_figures_share_one_axis_and_the_page_needs_nothing_else() -> None:
    time = 1126259460 + np.arange(4096) / 1024
    noise = np.random.default_rng(0).normal(size=(2, 4096))
    strain, whitened = ({"H1": scale * noise[0], "L1": scale * noise[1]} for scale in (1e-21, 1.0))
    window, event = time[::256], time[2000:2001]
    stretch = SlideStretch(
        (0.0, 3.0), time, strain, whitened, window, np.sin(window), window, np.cos(window), event, np.ones(1)
    )
    plots = stretch_figures(stretch)
    assert [plot.yaxis[0].axis_label for plot in plots] == [
        "Strain (dimensionless)", "Whitened strain (standard deviations)", "Score (logit)",
    ]  # fmt: skip
    assert len({id(plot.x_range) for plot in plots}) == 1
    assert "2015-09-14 09:50:45.000 UTC, GPS 1126259462.000; shifts H1 +0 s, L1 +3 s" in plots[0].xaxis[0].axis_label
    assert [len(plot.renderers) for plot in plots] == [2, 2, 3]
    page = stretch_html(stretch, "Slide 3")
    assert "<title>Slide 3</title>" in page
    assert "<script src=" not in page
    assert "<link" not in page
