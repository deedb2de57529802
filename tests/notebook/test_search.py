import copy
import os
import pickle
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
from astropy import units
from matplotlib import pyplot as plt
from toy_run import run_with_populations, write_events

import aframe
from aframe import storage
from aframe.errors import ConfigurationError, DataError, ParameterMismatchError, StorageError, UnknownNameError
from aframe.events.significance import Background
from aframe.inference.closeup import Closeup
from aframe.inference.closeup_files import write_closeups
from aframe.inference.q_transform import QTransform
from aframe.notebook import Search, SearchBackground, SensitiveVolumes, read_background
from aframe.report import figures
from aframe.report.gather import gather
from aframe.report.paper import draw_figures
from aframe.report.text import number
from aframe.runs.artifacts import Artifacts
from aframe.sensitivity.volume import read_volumes
from aframe.steps.answers import estimate_sensitivity

TOY_POPULATIONS = (
    "from aframe.waveforms.priors import log_normal_bbh\n"
    "def alike():\n    return log_normal_bbh(35.0, 20.0, 0.1, 1.0)\n"
    "def heavy():\n    return log_normal_bbh(40.0, 30.0, 0.1, 1.0)\n"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    """A finished toy search with one population besides the demo's pairs."""
    directory = tmp_path_factory.mktemp("notebook") / "run"
    directory.mkdir()
    (directory / "notebook_populations.py").write_text(TOY_POPULATIONS)
    run = run_with_populations(directory, "notebook_populations.alike")
    write_events(run)
    with warnings.catch_warnings():
        estimate_sensitivity(run)
    return run


@pytest.fixture
def search(run: Artifacts) -> Iterator[Search]:
    yield aframe.Search.load(str(run.config.path.parent))
    plt.close("all")


@pytest.fixture
def as_typed(search: Search) -> Iterator[Search]:
    """The search as a user has it, whose types nobody checks."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield search
    jaxtyping.config.update("jaxtyping_disable", False)


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
    page = {
        item.label.value: item.renderers[0].data_source.data
        for item in figures.background_figure(inputs.background, inputs.candidates, inputs.tail).legend[0].items
    }
    x, y = points(pairs["background"])["time slides"]
    np.testing.assert_array_equal(x, page["time slides"]["x"])
    np.testing.assert_array_equal(y, page["time slides"]["y"])
    dots = points(pairs["background"])["unshifted data"]
    np.testing.assert_allclose(dots[1], page["unshifted data"]["y"], rtol=1e-15)
    curve = figures.volume_figure(inputs.volumes["35-35"], {}).renderers[1].data_source.data
    x, y = points(pairs["sensitive_volume"])["this search (simulated noise)"]
    np.testing.assert_array_equal(x, curve["far"])
    np.testing.assert_array_equal(y, curve["volume"])


def test_ten_lines_make_all_figures_of_the_report(run: Artifacts, search: Search) -> None:
    assert list(search.figures()) == [name for name, _ in draw_figures(gather(run.directories.results, None))]


def test_volumes_that_the_run_has_are_read_and_others_computed_as_it_would(run: Artifacts, search: Search) -> None:
    of_run = read_volumes(run.plot("sensitive_volume.h5"))
    assert list(search.sensitive_volume()) == list(of_run)
    known = search.sensitive_volume(["20-35", "alike"])
    np.testing.assert_array_equal(known["35-20"].volume_gpc3, of_run["35-20"].volume_gpc3)
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


def test_objects_say_what_they_are(search: Search) -> None:
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
    """Noise about some time."""
    sample, window = time + np.linspace(-0.5, 0.5, 256), time + np.linspace(-4, 4, 65)
    frequency = np.geomspace(20, 500, 12)
    transforms = {ifo: QTransform(sample[::8], frequency, rng.exponential(size=(12, 32)), 8.0) for ifo in ("H1", "L1")}
    strain = {ifo: rng.normal(size=256) for ifo in transforms}
    return Closeup(sample, strain, transforms, window, rng.normal(size=65), window[4:-4], rng.normal(size=57))


def test_closeups_show_what_was_kept(run: Artifacts, tmp_path: Path) -> None:
    kept_run = Search.load(_copy(run, tmp_path / "copy"))
    with pytest.raises(DataError, match=r"nothing is kept .* candidate 1 .*only of: none.*num_shown"):
        kept_run.candidates.plot_closeup()
    closeup = toy_closeup(float(kept_run.candidates["detection_time"][1]), np.random.default_rng(0))
    write_closeups(kept_run.run.result("closeups.hdf5"), [(2, closeup)], {})
    kept_run = Search.load(tmp_path / "copy" / "sandbox.cfg")
    axes = kept_run.candidates.plot_closeup(2)
    assert [each.get_title() for each in axes] == ["Q transform, H1", "Q transform, L1", "Whitened strain", "Scores"]
    kept = kept_run.candidates.closeups[2]
    np.testing.assert_array_equal(points(axes[3])["average"][1], kept.statistic)
    np.testing.assert_array_equal(points(axes[2])["L1"][1], kept.whitened["L1"])
    np.testing.assert_array_equal(axes[0].collections[0].get_array(), kept.q_transforms["H1"].energy)
    plt.close("all")


def _copy(run: Artifacts, to: Path) -> str:
    """A run's directory at another place, its ``.env`` telling that."""
    shutil.copytree(run.config.path.parent, to)
    environment = (to / ".env").read_text().replace(str(run.config.path.parent), str(to))
    (to / ".env").write_text(environment)
    return str(to)


def test_what_a_run_lacks_is_said_by_its_command(run: Artifacts, tmp_path: Path) -> None:
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
def test_what_is_no_run_is_refused(path: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Search.load(path)


def test_mistakes_of_use_say_what_can_be_asked_for(search: Search) -> None:
    volumes = search.sensitive_volume()
    with pytest.raises(DataError, match="35-35, 35-20"):
        volumes.plot(plt.figure().add_subplot())
    with pytest.raises(DataError, match="luminosity_distance"):
        volumes.plot_efficiency("redshift")
    with pytest.raises(DataError, match="is not between"):
        volumes.at(1e-9)
    with pytest.raises(ConfigurationError, match="nowhere"):
        search.sensitive_volume("nowhere.population")
    with pytest.raises(DataError, match=r"'far_per_yer' .did you mean 'far_per_year'.*; there are .*statistic"):
        search.candidates["far_per_yer"]
    with pytest.raises(DataError, match="no column 'mass'"):
        search.injections["mass"]


NAN = float("nan")


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda b: b.far_per_year(NAN), r"statistic is not a number \(NaN\): give a number"),
        (lambda b: b.far_per_year([3.0, NAN]), r"\(NaN\) in 1 of 2 places"),
        (lambda b: b.far_per_year("5"), "statistic is '5', which is no number"),
        (lambda b: b.far_per_year([[1.0], [1.0, 2.0]]), r"is \[\[1.0\], \[1.0, 2.0\]\], which is no number"),
        (lambda b: b.far_per_year(None), "is None, which is no number"),
        (lambda b: b.is_upper_limit(NAN), "NaN"),
        (lambda b: b.far_interpolated_per_year(NAN), "NaN"),
        (lambda b: b.significance(NAN, 5.0), "statistic is not a number"),
        (lambda b: b.significance(3.0, -5), "livetime of -5 s is negative"),
        (lambda b: b.significance(3.0, NAN), "livetime is not a number"),
        (lambda b: b.threshold_at_far("12"), "rate is '12', which is no number"),
        (lambda b: b.threshold_at_far(NAN), "rate is not a number"),
    ],
)
def test_a_background_refuses_what_is_no_number(
    as_typed: Search, ask: Callable[[SearchBackground], object], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        ask(as_typed.background)


def test_a_background_has_the_rates_of_its_events(as_typed: Search) -> None:
    background = as_typed.background
    core = Background(background.statistics, background.livetime)
    statistics = np.array([-np.inf, *background.statistics[::300], np.inf])
    for name in ("far_per_year", "is_upper_limit", "far_interpolated_per_year"):
        np.testing.assert_array_equal(getattr(background, name)(statistics), getattr(core, name)(statistics))
    assert float(background.far_per_year(-np.inf)) == pytest.approx(background.highest_far_per_year)
    quietest = background.threshold_at_far(background.highest_far_per_year)
    assert np.isfinite(quietest)
    assert quietest <= background.statistics[0]
    with pytest.raises(
        ConfigurationError, match=r"no threshold .* 1e\+12 per year: .* 3000 events, 3.641e\+04 per year"
    ):
        background.threshold_at_far([20.0, 1e12])
    with_event = np.isfinite(as_typed.injections["detection_statistic"])
    np.testing.assert_array_equal(as_typed.injections.found(1e12), with_event)


@pytest.mark.parametrize("rows", [0, slice(3), ["detection_time", "p_astro"]])
def test_tables_are_taken_by_columns(as_typed: Search, rows: object) -> None:
    candidates = as_typed.candidates
    assert "far_per_year" in candidates
    assert "mass_1" not in candidates
    assert 0 not in candidates
    assert tuple(candidates) == candidates.columns == tuple(candidates.to_astropy().colnames)
    with pytest.raises(DataError, match=r"is no column's name: give one, .* `\.to_astropy\(\)\[:3\]`$"):
        candidates[rows]  # type: ignore[index]


def test_an_attribute_that_is_a_column_is_told_as_one(as_typed: Search) -> None:
    with pytest.raises(AttributeError, match=r'column is `search\.candidates\["far_per_year"\]`$'):
        as_typed.candidates.far_per_year  # type: ignore[attr-defined]  # noqa: B018 - it is asked for
    with pytest.raises(AttributeError, match=r"'to_pandas': `\.columns` .* `\.to_astropy\(\)` is a table"):
        as_typed.injections.to_pandas()  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"no attribute '_repr_png_'$"):
        as_typed.candidates._repr_png_  # type: ignore[attr-defined]  # noqa: B018 - as IPython asks for it
    for again in (copy.copy(as_typed.injections), pickle.loads(pickle.dumps(as_typed.injections))):
        assert again.columns == as_typed.injections.columns


def test_populations_are_names_and_pairs_of_positive_masses(as_typed: Search) -> None:
    assert list(as_typed.sensitive_volume((20, 35))) == list(as_typed.sensitive_volume([35, 20])) == ["35-20"]
    assert list(as_typed.sensitive_volume(np.array([[35, 35], [35, 20]]))) == ["35-35", "35-20"]  # type: ignore[arg-type]
    for wrong in (35, [35], [("a", "b")], (40, 30, 20), [("35", 20)]):
        with pytest.raises(DataError, match=r'is no population: give .* \["35-20", \(40, 30\)\]$'):
            as_typed.sensitive_volume(wrong)  # type: ignore[arg-type]
    for mass in (-3, 0, NAN, np.inf):
        with pytest.raises(DataError, match=r"population \(30, .*\) must be positive"):
            as_typed.sensitive_volume([(30, mass)])


def test_volumes_say_which_there_are(as_typed: Search) -> None:
    volumes = as_typed.sensitive_volume()
    for name, words in (("35-53", "'35-53' (did you mean '35-35'?)"), ((35, 35), "(35, 35)"), ([], "[]")):
        told = re.escape(f"there is no population {words}; there are 35-35, 35-20, 20-20, 20-10, alike")
        with pytest.raises(UnknownNameError, match=f"^{told}$"):
            volumes[name]  # type: ignore[index]
    with pytest.raises(UnknownNameError, match="'1-1'"):
        volumes.to_astropy("1-1")
    assert "1-1" not in volumes
    assert volumes.get("1-1") is None
    for rate, words in (("one", "'one', which is no number"), ([100, 200], r"\[100, 200\], which is no single number")):
        with pytest.raises(DataError, match=words):
            volumes.at(rate)  # type: ignore[arg-type]


def test_efficiency_takes_one_rate(as_typed: Search) -> None:
    one, same = as_typed.injections.efficiency(1000), as_typed.injections.efficiency([1000.0])
    assert one.far_per_year.tolist() == [1000.0]
    np.testing.assert_array_equal(one.share, same.share)
    with pytest.raises(DataError, match="'one', which is no number"):
        as_typed.injections.efficiency("one")  # type: ignore[arg-type]


def test_where_nothing_is_found_the_upper_end_is_shown(search: Search) -> None:
    curve = search.sensitive_volume()["35-35"]
    zero = np.zeros_like(curve.volume_gpc3)
    blind = replace(curve, volume_gpc3=zero, standard_error=zero, effective_sample_size=zero)
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


def test_the_page_on_notebooks_says_what_works(run: Artifacts, tmp_path: Path) -> None:
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
