import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy import units
from matplotlib import pyplot as plt

import aframe
from aframe import storage
from aframe.errors import ConfigurationError, DataError, ParameterMismatchError, StorageError
from aframe.inference.closeup import Closeup
from aframe.inference.closeup_files import write_closeups
from aframe.inference.q_transform import QTransform
from aframe.notebook import Search, SensitiveVolumes, read_background
from aframe.report import figures
from aframe.report.gather import gather
from aframe.report.interactive import draw
from aframe.report.paper import draw_figures
from aframe.report.text import number
from aframe.runs.artifacts import Artifacts
from aframe.sensitivity.volume import read_volumes


def points(axes: plt.Axes) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Coordinates of each line, by its label."""
    return {str(line.get_label()): (line.get_xdata(), line.get_ydata()) for line in axes.lines}


def test_numbers_plotted_are_those_of_the_report(run: Artifacts, search: Search) -> None:
    inputs = gather(run.directories.results, None)
    assert inputs.background is not None
    assert inputs.volumes is not None
    drawn = dict(draw_figures(inputs))
    pairs = {
        "background": search.background.plot(),
        "candidates": search.candidates.plot(),
        "found_and_missed": search.injections.plot(),
        "found_and_missed-detectors": search.injections.plot_detectors(),
        "efficiency-snr": search.injections.plot_efficiency(),
        "efficiency-luminosity_distance": search.sensitive_volume().plot_efficiency(),
        "sensitive_volume": search.sensitive_volume().plot()[0],
    }
    for name, axes in pairs.items():
        theirs = points(drawn[name].axes[0])
        assert points(axes).keys() == theirs.keys(), name
        for label, (x, y) in points(axes).items():
            np.testing.assert_array_equal(x, theirs[label][0], err_msg=f"{name}: {label}")
            np.testing.assert_array_equal(y, theirs[label][1], err_msg=f"{name}: {label}")
    on_page = draw(figures.background(inputs.background, inputs.candidates, inputs.tail))
    page = {item.label.value: item.renderers[0].data_source.data for item in on_page.legend[0].items}
    x, y = points(pairs["background"])["time slides"]
    np.testing.assert_array_equal(x, page["time slides"]["x"])
    np.testing.assert_array_equal(y, page["time slides"]["y"])
    dots = points(pairs["background"])["unshifted data"]
    np.testing.assert_allclose(dots[1], page["unshifted data"]["y"], rtol=1e-15)
    curve = draw(figures.volume("35-35", inputs.volumes["35-35"], inputs.simulated)).renderers[0].data_source.data
    x, y = points(pairs["sensitive_volume"])["this search (simulated noise)"]
    np.testing.assert_array_equal(x, curve["x"])
    np.testing.assert_array_equal(y, curve["y"])


def test_ten_lines_make_all_figures_of_the_report(run: Artifacts, search: Search) -> None:
    assert list(search.figures()) == [name for name, _ in draw_figures(gather(run.directories.results, None))]


def test_volumes_that_the_run_has_are_read_and_others_computed_as_it_would(run: Artifacts, search: Search) -> None:
    of_run = read_volumes(run.plot("sensitive_volume.h5"))
    assert list(search.sensitive_volume()) == list(of_run)
    stored = search.sensitive_volume(["20-35", "alike"])
    np.testing.assert_array_equal(stored["35-20"].volume_gpc3, of_run["35-20"].volume_gpc3)
    new = search.sensitive_volume([(40, 30), "notebook_populations.heavy"])
    assert list(new) == ["40-30", "heavy"]
    np.testing.assert_allclose(new["heavy"].volume_gpc3, new["40-30"].volume_gpc3, rtol=1e-6)
    os.rename(run.plot("sensitive_volume.h5"), run.plot("hidden.h5"))
    try:
        again = search.sensitive_volume("35-35")["35-35"]
    finally:
        os.rename(run.plot("hidden.h5"), run.plot("sensitive_volume.h5"))
    np.testing.assert_array_equal(again.volume_gpc3, of_run["35-35"].volume_gpc3)
    np.testing.assert_array_equal(again.standard_error, of_run["35-35"].standard_error)


def test_tables_have_units(search: Search) -> None:
    volumes = search.sensitive_volume()
    row = volumes.at(100.0)
    assert row["volume_gpc3"].unit == units.Gpc**3
    assert row["sensitive_distance_mpc"].unit == units.Mpc
    assert list(row["population"]) == list(volumes)
    curve = volumes.to_astropy("35-35")
    radius = (3 * curve["volume_gpc3"] / (4 * np.pi)) ** (1 / 3)
    np.testing.assert_allclose(radius.to_value("Mpc"), curve["sensitive_distance_mpc"].to_value("Mpc"))
    injections = search.injections.to_astropy()
    assert injections["luminosity_distance"].unit == units.Mpc
    assert injections["mass_1"].unit == units.solMass
    rates = search.candidates.to_astropy()["far_per_year"]
    assert rates[-1].to_value("1 / day") == pytest.approx(search.candidates["far_per_year"][-1] / 365.25)
    assert search.background.to_astropy()["detection_time"].unit == units.s


def test_objects_display_their_facts(search: Search) -> None:
    assert "background, injections, candidates, sensitive volume" in repr(search)
    assert f"{search.background.livetime_years:.4g} yr" in repr(search.background)
    assert "draws: 5\u202f000" in repr(search.injections)
    loudest = f"{search.candidates['detection_statistic'][0]:.3f}"
    assert loudest in repr(search.candidates)
    assert "columns: catalogue_event, detection_statistic, " in repr(search.candidates)
    html = search.candidates._repr_html_()
    assert loudest in html
    assert html.count("<tr>") == 16  # their two headings, four facts, ten candidates
    assert "Gpc³" in search.sensitive_volume()._repr_html_()


def test_found_injections_are_those_above_the_threshold(search: Search) -> None:
    injections, background = search.injections, search.background
    assert injections.reference_far_per_year == background.lowest_far_per_year
    statistic = injections["detection_statistic"]
    np.testing.assert_array_equal(injections.found(), background.count(statistic) <= 1)
    assert injections.found(1000.0).sum() > injections.found().sum()
    with pytest.raises(ConfigurationError, match="cannot be measured"):
        injections.plot(far_per_year=background.lowest_far_per_year / 2)
    shares = injections.efficiency([100.0])
    assert shares.far_per_year.tolist() == [100.0]


def test_panels_go_on_the_users_axes_in_the_users_looks(search: Search) -> None:
    with plt.rc_context({"font.size": 21, "axes.labelsize": "medium"}):
        mine, axes = plt.subplots(2, 2)
        assert search.background.plot(axes[0, 0]) is axes[0, 0]
        assert search.injections.plot(axes=axes[0, 1]) is axes[0, 1]
        assert search.candidates.plot(axes[1, 0]) is axes[1, 0]
        assert search.sensitive_volume(["35-20"]).plot(axes[1, 1]) == [axes[1, 1]]
        assert axes[0, 0].xaxis.label.get_size() == 21
        assert all(each.get_legend() is not None for each in axes.flat)
        assert plt.get_fignums() == [mine.number]  # type: ignore[attr-defined]
        search.background.plot()
        assert plt.gcf().axes[0].xaxis.label.get_size() == 9
        assert plt.rcParams["font.size"] == 21


def test_a_background_alone_is_read_and_drawn(run: Artifacts, search: Search) -> None:
    alone = aframe.read_background(run.clean("background"))
    np.testing.assert_array_equal(alone.statistics, search.background.statistics)
    assert alone.tail == search.background.tail
    lines = points(alone.plot())
    assert "unshifted data" not in lines
    assert lines["time slides"][1].min() == pytest.approx(alone.lowest_far_per_year)
    with pytest.raises(StorageError, match=r"nothing\.hdf5 does not exist"):
        read_background("nothing.hdf5")


def toy_closeup(time: float, rng: np.random.Generator) -> Closeup:
    """Close-up of noise around a time."""
    sample, window = time + np.linspace(-0.5, 0.5, 256), time + np.linspace(-4, 4, 65)
    frequency = np.geomspace(20, 500, 12)
    transforms = {ifo: QTransform(sample[::8], frequency, rng.exponential(size=(12, 32)), 8.0) for ifo in ("H1", "L1")}
    strain = {ifo: rng.normal(size=256) for ifo in transforms}
    return Closeup(sample, strain, transforms, window, rng.normal(size=65), window[4:-4], rng.normal(size=57))


def test_closeups_show_the_data_of_the_file(run: Artifacts, tmp_path: Path) -> None:
    kept_run = Search.load(_copy(run, tmp_path / "copy"))
    with pytest.raises(DataError, match=r"no close-up of candidate 1 .*only of: none.*num_shown"):
        kept_run.candidates.plot_closeup()
    closeup = toy_closeup(float(kept_run.candidates["detection_time"][1]), np.random.default_rng(0))
    write_closeups(kept_run.run.result("closeups.hdf5"), [(2, closeup)], {})
    kept_run = Search.load(tmp_path / "copy" / "sandbox.cfg")
    axes = kept_run.candidates.plot_closeup(2)
    assert [each.get_title() for each in axes] == ["Q transform, H1", "Q transform, L1", "Whitened strain", "Scores"]
    kept = kept_run.candidates.closeups[2]
    np.testing.assert_array_equal(points(axes[3])["average"][1], kept.statistic.astype(np.float32))
    np.testing.assert_array_equal(points(axes[2])["L1"][1], kept.whitened["L1"])
    np.testing.assert_array_equal(axes[0].collections[0].get_array(), kept.q_transforms["H1"].energy)
    plt.close("all")


def _copy(run: Artifacts, to: Path) -> str:
    """Copy a run's directory, and change the paths in its ``.env``."""
    shutil.copytree(run.config.path.parent, to)
    environment = (to / ".env").read_text().replace(str(run.config.path.parent), str(to))
    (to / ".env").write_text(environment)
    return str(to)


def test_missing_results_are_refused_with_the_command_that_makes_them(run: Artifacts, tmp_path: Path) -> None:
    directory = _copy(run, tmp_path / "half")
    for name in ("candidates.hdf5", "plots/sensitive_volume.h5"):
        (tmp_path / "half" / "results" / name).unlink()
    half = Search.load(directory)
    assert "there is: background, injections, candidates>" in repr(half)
    np.testing.assert_array_equal(  # ranked here, as the report would
        half.candidates["far_per_year"], Search.load(run.config.path).candidates["far_per_year"]
    )
    with pytest.raises(StorageError, match=rf"no sensitive volumes yet .*`aframe status {directory}`"):
        half.sensitive_volume()
    shutil.rmtree(tmp_path / "half" / "results")
    begun = Search.load(directory)
    assert "nothing yet" in repr(begun)
    for part in ("background", "injections", "candidates"):
        with pytest.raises(StorageError, match=r"yet .*`aframe run "):
            getattr(begun, part)


def test_volumes_of_other_injections_than_the_configuration_tells_are_refused(run: Artifacts, tmp_path: Path) -> None:
    directory = _copy(run, tmp_path / "changed")
    path = tmp_path / "changed" / "sandbox.cfg"
    path.write_text(path.read_text().replace("snr_threshold = 4", "snr_threshold = 5"))
    with pytest.raises(ParameterMismatchError, match="snr_threshold"):
        Search.load(directory).sensitive_volume("50-40")


@pytest.mark.parametrize(
    ("path", "words"),
    [("s3://bucket/run", "local directory"), ("/nowhere", r"sandbox\.cfg does not exist: .*aframe init")],
)
def test_paths_without_a_run_are_refused(path: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Search.load(path)


def test_where_nothing_is_found_the_upper_end_is_shown(search: Search) -> None:
    curve = search.sensitive_volume()["35-35"]
    zero = np.zeros_like(curve.volume_gpc3)
    thresholds = {f"volume_at_{end}_threshold_gpc3": zero for end in ("low", "high")}
    blind = replace(curve, volume_gpc3=zero, standard_error=zero, effective_sample_size=zero, **thresholds)
    of_none = -np.log(0.025) * curve.scope.v0_gpc3 / curve.scope.effective_draws  # Garwood's, of no event
    assert f"35-35 M☉: < {number(of_none)} Gpc³ (95 %) at " in repr(SensitiveVolumes({"35-35": blind}, {}, True))


def test_two_runs_are_read_beside_each_other_and_the_environment_stays(run: Artifacts, tmp_path: Path) -> None:
    other = Path(_copy(run, tmp_path / "other"))
    (other / ".env").write_text((other / ".env").read_text() + 'AWS_ENDPOINT_URL="http://127.0.0.1:1"\n')
    before = dict(os.environ)
    try:
        first, second = Search.load(run.config.path), Search.load(other)
        assert first.run.directories != second.run.directories
        assert {k: v for k, v in os.environ.items() if before.get(k) != v} == {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    finally:
        os.environ.pop("AWS_ENDPOINT_URL")


def check_remote(run: Artifacts, remote: str) -> None:
    """Copy a run's results to a remote directory and read them there."""
    for path in Path(run.directories.results).rglob("*.h*5"):
        with storage.atomic(storage.join(remote, path.relative_to(run.directories.results).as_posix())) as temporary:
            shutil.copy(path, temporary)
    far = Search(Artifacts(run.config, type(run.directories)(**vars(run.directories) | {"results": remote})), "far")
    assert "background, injections, candidates, sensitive volume" in repr(far)
    np.testing.assert_array_equal(far.background.statistics, read_background(run.clean("background")).statistics)
    np.testing.assert_array_equal(far.injections["snr"], Search(run, "near").injections["snr"])
    assert list(far.sensitive_volume()) == list(read_volumes(run.plot("sensitive_volume.h5")))


def test_results_are_read_from_a_remote_directory(run: Artifacts) -> None:
    check_remote(run, "memory://notebook")


@pytest.mark.s3
def test_results_are_read_from_s3(run: Artifacts, bucket: str) -> None:
    check_remote(run, bucket)


def test_importing_the_package_imports_none_of_it() -> None:
    code = "import sys, aframe; print([m for m in ('matplotlib', 'astropy', 'torch', 'numpy') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
    assert {"Search", "read_background"} <= set(dir(aframe))
    with pytest.raises(AttributeError, match="no attribute 'serch'"):
        aframe.serch  # noqa: B018 - the attribute is asked for


def test_the_code_of_the_page_on_notebooks_works(run: Artifacts, tmp_path: Path) -> None:
    directory = _copy(run, tmp_path / "demo")
    whole = Search.load(directory)
    closeup = toy_closeup(float(whole.candidates["detection_time"][0]), np.random.default_rng(0))
    write_closeups(whole.run.result("closeups.hdf5"), [(1, closeup)], {})
    page = (Path(aframe.__file__).parents[1] / "docs" / "notebook.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    shown: list[object] = []
    names: dict[str, object] = {"display": shown.append}
    for block in blocks:
        exec(re.sub(r'"runs/\w+"', repr(directory), block), names)  # what the page tells its readers to type
    assert len(blocks) == 4
    assert len(shown) == len(whole.figures())
    assert len(plt.get_fignums()) == 8
    plt.close("all")
