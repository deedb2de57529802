"""``aframe release`` as a user types it: pipelines, a search of frames with injections, a run, and mistakes."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from released import drawn, write_o3, write_o4
from shipped import BANK
from terminal import aframe_here

from aframe.constants import SECONDS_PER_YEAR
from aframe.sensitivity.cosmology import luminosity_distance_mpc
from aframe.sensitivity.release import SEARCH, read_release_volumes
from aframe.storage import made_with
from aframe.tables import EventTable
from aframe.tables.events import read_searched, write_searched

LENGTH = 256
"""Seconds of strain."""


def run(*words: str) -> list[str]:
    """Lines that a command prints that succeeds."""
    done = aframe_here(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def refused(*words: str) -> str:
    """The one line of a command that fails."""
    done = aframe_here("release", *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done
    return done.stderr


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Strain with and without signals, the events of a search of both, and the signals as a release of O3."""
    directory = tmp_path_factory.mktemp("frames")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        run("challenge", "generate", str(directory), "--duration", str(LENGTH), "--seed", "5")
        rated: tuple[str, ...] = ()
        for name in ("background", "foreground"):
            words = ("--strain", str(directory / f"{name}.hdf"), "--output", str(directory / f"{name}.hdf5"))
            run("infer", "--model", BANK, "--precision", "float32", *words, *rated)
            rated = ("--background", str(directory / "background.hdf5"))
    with h5py.File(directory / "injections.hdf") as file:
        columns = {name: file[name][:] for name in ("mass1", "mass2", "distance", "tc")}
    grid = np.linspace(1e-4, 3.0, 10_000)
    redshift = np.interp(columns["distance"], luminosity_distance_mpc(grid, 3.0), grid)
    count = len(redshift)
    with h5py.File(directory / "release.hdf5", "w") as file:
        table = file.create_group("injections")
        table["mass1_source"] = np.maximum(columns["mass1"], columns["mass2"]) / (1 + redshift)
        table["mass2_source"] = np.minimum(columns["mass1"], columns["mass2"]) / (1 + redshift)
        table["redshift"], table["gps_time"] = redshift, columns["tc"]
        table["mass1_source_mass2_source_sampling_pdf"] = np.full(count, 1e-3)
        table["redshift_sampling_pdf"] = np.ones(count)
        table["far_gstlal"] = np.where(np.arange(count) % 2, 0.1, np.inf)
        file.attrs.update({"total_generated": 4 * count, "analysis_time_s": float(LENGTH)})
    return directory


def search_words(frames: Path, events: str = "foreground") -> list[str]:
    return [
        str(frames / "release.hdf5"), "--masses", "25-25", "--events", str(frames / f"{events}.hdf5"),
        "--background", str(frames / "background.hdf5"), "--window", "0.3",
    ]  # fmt: skip


def test_pipelines_alone_need_the_release_only(tmp_path: Path) -> None:
    path, output, page = write_o4(tmp_path / "o4.hdf5", drawn(50_000)), tmp_path / "volumes.h5", tmp_path / "page.html"
    lines = run("release", path, "--pipelines", "gstlal", "cwb", "--output", str(output), "--page", str(page))
    assert lines[0].startswith("Population  Search  False alarm rate  V (Gpc³)")
    assert sum(line.startswith("35-35 M☉") for line in lines) == 2 * 3  # a row per year, month and day
    assert lines[-5].startswith("The spins of the populations are those")
    assert lines[-2:] == [str(output), str(page)]
    curves = read_release_volumes(str(output))
    assert set(curves) == {"35-35", "35-20", "20-20", "20-10"}
    assert set(curves["20-10"]) == {"gstlal", "cwb"}
    assert (made_with(str(output)) or {})["release"] == path
    html = page.read_text()
    assert "Volumes from released injections" in html
    assert all(name in html for name in ("gstlal", "35-20 M☉", "the others count as missed"))


def test_a_search_of_frames_finds_their_injections(frames: Path, tmp_path: Path) -> None:
    spans = read_searched(str(frames / "foreground.hdf5"))
    events = EventTable.read(str(frames / "foreground.hdf5"))
    assert (spans[:, 1] - spans[:, 0]).sum() == pytest.approx(events.livetime)
    output = tmp_path / "volumes.h5"
    lines = run("release", *search_words(frames), "--output", str(output))
    assert "By chance (Gpc³)" in lines[0]
    curves = read_release_volumes(str(output))["25-25"]
    assert list(curves) == [SEARCH, "gstlal"]
    with h5py.File(frames / "release.hdf5") as file:
        time = file["injections/gps_time"][:]
    inside = (time >= spans[0, 0]) & (time < spans[-1, 1])
    assert f"{inside.sum()} injections are recorded" in lines[-3]
    loudest = EventTable.read(str(frames / "background.hdf5"))["detection_statistic"].max()
    near = np.abs(time[inside, None] - events["detection_time"]) <= 0.3
    found = (near & (events["detection_statistic"] > loudest)).any(axis=1)
    assert found.sum() >= 2
    curve = curves[SEARCH]
    assert curve.far_per_year[0] == pytest.approx(SECONDS_PER_YEAR / events.livetime, rel=0.01)
    assert curve.volume_gpc3[0] > 0
    assert curve.scope.livetime == pytest.approx(events.livetime)


def test_what_does_not_belong_together_is_one_line(frames: Path, tmp_path: Path) -> None:
    words = search_words(frames)
    assert "this strain does not hold them" in refused(*search_words(frames, "background"))
    other = tmp_path / "background.hdf5"
    noise = EventTable.read(str(frames / "background.hdf5"))
    noise.rows(slice(1, None)).write(str(other))
    assert "is not the background with which" in refused(*words[:6], str(other), *words[7:])
    far = tmp_path / "far.hdf5"
    write_searched(str(far), EventTable.read(str(frames / "foreground.hdf5")), np.array([[0.0, 100.0]]))
    assert "search the frames of this release" in refused(*words[:4], str(far), *words[5:])
    old = tmp_path / "old.hdf5"
    EventTable.read(str(frames / "foreground.hdf5")).write(str(old))
    assert "does not tell which time was searched" in refused(*words[:4], str(old), *words[5:])
    assert "--events needs --background" in refused(*words[:5])
    assert "--background goes with" in refused(words[0], *words[5:7])
    assert "--window -1.0 s must be positive" in refused(*words[:7], "--window", "-1")
    assert "would be lost: give another" in refused(words[0], "--output", words[0])
    assert "give a name that ends in .html" in refused(words[0], "--page", str(tmp_path / "page.txt"))
    assert "did you mean 'gstlal'" in refused(words[0], "--pipelines", "gstlall")
    assert "no injection in the population 300-300" in refused(words[0], "--masses", "300-300")
    assert "is no injection set of a known layout" in refused(words[4])
    assert "does not exist" in refused(str(tmp_path / "none.hdf5"))
    done = aframe_here("release", words[0], "--masses", "35")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "'35' is no pair of masses such as 35-20" in done.stderr
    for pair in ("35-nan", "nan-35", "inf-35", "35-0"):
        assert f"'{pair}' is no pair of masses" in aframe_here("release", words[0], "--masses", pair).stderr


def test_files_by_url_are_read_and_written(tmp_path: Path) -> None:
    path = write_o3(tmp_path / "o3.hdf5", drawn(20_000))
    run("release", f"file://{path}", "--masses", "35-20", "--output", f"file://{tmp_path}/volumes.h5")
    assert set(read_release_volumes(str(tmp_path / "volumes.h5"))) == {"35-20"}
