from pathlib import Path

import numpy as np

from aframe.report import figures, limit_figures
from aframe.report.gather import gather
from aframe.report.plots import ErrorBars, Line
from aframe.sensitivity.efficiency import snr_efficiency


def test_the_volumes_of_the_bank_are_drawn_and_fit_into_the_figure(run_directory: Path) -> None:
    inputs = gather(str(run_directory / "results"), None)
    for population, curve in (inputs.volumes or {}).items():
        plot = limit_figures.volume(population, curve, True, inputs.plain_bank_volumes)
        alone = figures.volume(population, curve, True)
        assert plot.labels == [*alone.labels, limit_figures.PLAIN_BANK]
        line = plot.marks[len(alone.marks)]
        assert isinstance(line, Line)
        np.testing.assert_array_equal(line.y, inputs.plain_bank_volumes[population].volume_gpc3)
        assert line.y.max() < (plot.y.limits[1] or 0)
        assert limit_figures.volume(population, curve, True, {}).labels == alone.labels


def test_the_share_above_the_threshold_is_a_step_beside_what_is_found(run_directory: Path) -> None:
    inputs = gather(str(run_directory / "results"), None)
    assert inputs.injections is not None
    assert inputs.plain_bank is not None
    snr = inputs.injections["snr"].astype(np.float64)
    shares = snr_efficiency(snr, snr, {1.0: 5.0})
    plot = limit_figures.efficiency_of_injections(shares, inputs.plain_bank)
    step, *_, found = plot.marks
    assert isinstance(found, ErrorBars)
    assert isinstance(step, Line)
    threshold = inputs.plain_bank.table["snr_threshold"][0]
    np.testing.assert_array_equal(step.x[1:3], threshold)
    np.testing.assert_array_equal(step.y, [0, 0, 1, 1])
    assert found.y[found.x < 0.8 * threshold].max() < 0.2
    assert found.y[found.x > 1.2 * threshold].min() > 0.8
    assert found.label == "bank, 1 per 30.4 days"
    assert limit_figures.efficiency_of_injections(shares, None).labels == ["1 per year"]
