import numpy as np
import pytest
from matplotlib.figure import Figure

from aframe.report import panels, study
from aframe.report.interactive import draw


@pytest.fixture
def results():
    rates = study.StudyParameter(
        ["0.001", "0.002", "0.004", "0.003"], np.array([0.0, 0.5, 1.0, 0.8]), ("0.001", "0.004")
    )
    kernels = study.StudyParameter(["[3, 3]", "[5, 3]", "[5, 3]", "[3, 3]"], np.array([0.0, 1.0, 1.0, 0.0]), ("a", "b"))
    return study.StudyResults(
        name="widths & rates", metric="valid_found", values=np.array([0.3, 0.5, 0.6, np.nan]),
        epochs=np.array([4, 4, 2, 1]), is_complete=np.array([True, True, False, False]),
        states=["to the end", "to the end", "ended early", "failed"],
        parameters={"model.learning_rate": rates, "model.kernels": kernels},
        importances={"model.kernels": 0.25, "model.learning_rate": 0.75},
    )  # fmt: skip


def test_only_a_trial_to_its_end_is_the_best(results):
    assert results.best == 1
    text = study.summary(results)
    assert text.startswith(
        "Of 4 trials (2 to the end, 1 ended early, 1 failed), trial 1 is the best: valid_found = 0.5"
    )
    assert "model.learning_rate = 0.002, model.kernels = [5, 3]" in text
    assert text.endswith("The first trial, with the values before the study, has 0.3.")


def test_figures_show_trials_importance_and_values(results):
    history = study.history(results)
    assert [mark.label for mark in history.marks] == ["to its end", "ended early", "best so far"]
    np.testing.assert_array_equal(history.marks[-1].y, [0.3, 0.5, 0.5, 0.5])
    importance = study.importance(results)
    assert importance.x.tick_labels == ["learning_rate", "kernels"]
    assert [float(mark.heights[0]) for mark in importance.marks] == [0.75, 0.25]
    parallel = study.coordinates(results)
    assert [len(mark.x) for mark in parallel.marks] == [3, 3, 3]  # a failed trial has no line
    np.testing.assert_allclose(parallel.marks[-1].y, [0.5, 1.0, 2 / 3])
    assert parallel.x.tick_labels[0] == "learning_rate\n0.001 – 0.004"
    assert draw(importance).xaxis[0].major_label_overrides == {0: "learning_rate", 1: "kernels"}
    axes = Figure().subplots()
    panels.draw(axes, importance)
    assert [axes.xaxis.get_major_formatter()(k, 0) for k in (0, 1)] == ["learning_rate", "kernels"]


def test_the_page_has_all_trials_and_needs_no_network(results):
    page = study.study_html(results)
    assert "Study: widths &amp; rates" in page
    for part in ("trials/0003/", "ended early", "Parallel coordinates", "Importance of the parameters"):
        assert part in page
    assert "<script src=" not in page
    alone = study.StudyResults(**vars(results) | {"importances": {}, "values": np.full(4, 0.5)})
    assert "Importance of" not in study.study_html(alone)
