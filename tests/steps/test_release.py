"""Released injections beside a run: its report, its checks, and a run that searched their frames."""

from pathlib import Path

import numpy as np
import pytest
from released import START, drawn, write_o3
from shipped import put_model
from terminal import aframe_here, environment_of, run_in, write_run
from toy_run import run_with_populations, write_events

from aframe import storage
from aframe.checks.run import mistakes_of
from aframe.errors import AframeError, DataError
from aframe.report.gather import gather
from aframe.report.page import build_report
from aframe.runs.artifacts import Artifacts
from aframe.sensitivity.release import SEARCH, read_release_volumes
from aframe.sensitivity.volume import read_volumes
from aframe.settings.read import load_config
from aframe.steps.answers import estimate_sensitivity
from aframe.steps.release import check_release, searched_time
from aframe.strain.files import background_path
from aframe.tables import EventTable, Table


def with_release(directory: Path, lines: str) -> Artifacts:
    """A run that has been searched, and whose configuration has more lines about sensitivity."""
    run = run_with_populations(directory, "aframe.waveforms.priors.demo_bbh")
    path = directory / "sandbox.cfg"
    path.write_text(path.read_text().replace("[luigi_sensitivity]\n", f"[luigi_sensitivity]\n{lines}\n"))
    load_config.cache_clear()
    return Artifacts(load_config(str(path)), run.directories)


def test_the_report_draws_the_pipelines_of_a_release(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    write_o3(tmp_path / "run" / "o3.hdf5", drawn(20_000))
    run = with_release(tmp_path / "run", "release = o3.hdf5\nrelease_pipelines = gstlal, pycbc_bbh")
    write_events(run)
    estimate_sensitivity(run)
    curves, ours = read_release_volumes(run.plot("release_volume.h5")), read_volumes(run.plot("sensitive_volume.h5"))
    assert {name: set(each) for name, each in curves.items()} == {name: {"gstlal", "pycbc_bbh"} for name in ours}
    assert np.array_equal(curves["35-35"]["gstlal"].far_per_year, ours["35-35"].far_per_year)
    assert (curves["35-35"]["pycbc_bbh"].volume_gpc3 > curves["35-35"]["gstlal"].volume_gpc3).all()
    inputs = gather(run.directories.results, None)
    assert set(inputs.pipelines) == set(ours)
    page = build_report(inputs)
    assert "the pipelines of the injection set that the configuration names" in page
    assert "pycbc_bbh" in page
    assert "cWB (O3)" not in page
    Table({}).write(run.plot("release_volume.h5"), {"another": 1})
    assert gather(run.directories.results, None).pipelines == {}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("release = none.hdf5", r"none\.hdf5 does not exist"),
        (
            "release = o3.hdf5\nrelease_pipelines = gstlall",
            r"'gstlall' \(did you mean 'gstlal'\?\); it has those of cwb",
        ),
        ("release_pipelines = gstlal", "release_pipelines needs release"),
    ],
)
def test_a_release_that_does_not_serve_is_refused_before_any_work(tmp_path: Path, lines: str, message: str) -> None:
    write_o3(tmp_path / "o3.hdf5", drawn(1000))
    run = with_release(tmp_path, lines)
    with pytest.raises(AframeError, match=message):
        check_release(run)
    if "none" in lines:
        with pytest.raises(AframeError, match=message):
            raise mistakes_of(run)[0]


def test_a_run_that_searched_the_frames_is_compared_with_the_pipelines(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    write_run(directory)
    put_model(directory)
    run, files = run_in(directory), {}
    with pytest.raises(DataError, match="has no strain any more, so it is not known which time"):
        searched_time(run)
    for start in (START, START + 500_000.0):
        path = Path(background_path(run.directories.test_data, start, 400_000.0))
        with storage.create_hdf5(str(path), run.strain_parameters("test")):
            pass  # only its name counts
        files[start] = path.name
        (path.parent / f"segment-{len(files)}.txt").write_text(path.name)
    spans = searched_time(run)
    lead = spans[0, 0] - START
    assert 0 < lead < 100
    assert spans == pytest.approx(np.array([[lead, 400_000], [500_000 + lead, 900_000]]) + START, abs=5)
    draws = drawn(20_000)
    release, time = write_o3(tmp_path / "o3.hdf5", draws), draws.columns["time"]
    inside = np.isfinite(draws.far["gstlal"]) & ((time > spans[0, 0]) & (time < spans[0, 1]))
    count, rng = int(inside.sum()), np.random.default_rng(2)
    for kind, livetime, statistic, at in (
        ("0lag", 8e5, -np.log(draws.far["gstlal"][inside]), time[inside]),
        ("background", 1e8, -np.log(np.arange(1, 20_001) / 3), rng.uniform(START, START + 4e5, 20_000)),
        ("foreground", 8e5, np.zeros(0), np.zeros(0)),
    ):
        columns = {"detection_statistic": statistic, "detection_time": at, "shift": np.zeros((len(at), 2))}
        EventTable(columns, attributes={"Tb": livetime}).write(run.events(kind), run.event_parameters)
    words = ("release", release, "--run", str(directory), "--masses", "35-35", "--output", str(tmp_path / "volumes.h5"))
    done = aframe_here(*words, variables=environment_of(directory))
    assert done.returncode == 0, done.stderr
    assert "is of the same strain, with its signals" in done.stderr
    curves = read_release_volumes(str(tmp_path / "volumes.h5"))["35-35"]
    assert set(curves) == {SEARCH, "cwb", "gstlal", "pycbc_bbh"}
    assert 20 < count < 500
    assert curves[SEARCH].scope.livetime == pytest.approx((spans[:, 1] - spans[:, 0]).sum())
