from importlib import resources
from pathlib import Path

import h5py
import numpy as np
import pytest
from run_changes import LOCAL, edit
from terminal import run_in, write_run

from aframe.errors import DataError, ParameterMismatchError
from aframe.runs.artifacts import Artifacts
from aframe.steps.planning import background_files
from aframe.steps.strain import curve_places, fetch_strain, find_segments, segments_of, strain_source
from aframe.storage import check_parameters
from aframe.strain.files import open_background
from aframe.strain.noise import SimulatedNoise
from aframe.tables import GlitchTable

START, RATE, LENGTH = 1262304000.0, 1024, 800


@pytest.fixture
def local_run(tmp_path: Path) -> Artifacts:
    """A run whose strain of L1 has a gap each hundred seconds, until the second of two testing segments."""
    run = write_run(tmp_path / "run")
    edit(run / "sandbox.cfg", "^source = simulated", LOCAL)
    edit(run / "sandbox.cfg", "^max_duration = .*$", "max_duration = 250")
    (run / "frames").mkdir()
    for number, ifo in enumerate(("H1", "L1")):
        noise = np.random.default_rng(number).normal(0, 1e-21, LENGTH * RATE)
        if ifo == "L1":
            for second in range(100, 500, 100):
                noise[second * RATE : (second + 3) * RATE] = np.nan
        with h5py.File(run / "frames" / f"{ifo}.hdf5", "w") as file:
            file[ifo] = noise
            file[ifo].attrs.update({"x0": START, "dx": 1 / RATE})
    return run_in(run)


def test_a_segment_whose_gaps_leave_nothing_is_left_out(
    local_run: Artifacts, capsys: pytest.CaptureFixture[str]
) -> None:
    find_segments(local_run, "test")
    segments = segments_of(local_run, "test")
    assert len(segments) == 2
    capsys.readouterr()
    for segment in segments:
        fetch_strain(local_run, "test", segment)
    lines = capsys.readouterr().err.splitlines()
    left_out = f"note: strain of H1,L1 from {segments[0].start:.0f} to {segments[0].stop:.0f} has gaps (NaN in L1) that"
    assert [line for line in lines if line.startswith(left_out)] == [lines[-1]]
    assert lines[-1].endswith("leave no piece of min_duration = 200 s: this segment is left out")
    assert len(background_files(local_run, "test")) == 1
    assert all(Path(local_run.strain_index("test", segment)).exists() for segment in segments)


def test_a_stage_of_which_nothing_is_left_ends(local_run: Artifacts) -> None:
    find_segments(local_run, "train")
    (segment,) = segments_of(local_run, "train")
    with pytest.raises(DataError, match=r"\(NaN in L1\) that leave no piece .* no other segment is left to train"):
        fetch_strain(local_run, "train", segment)


def test_the_table_of_glitches_comes_before_the_strain_that_has_them(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    edit(run / "sandbox.cfg", "^min_duration", "glitches = o3\nmin_duration")
    artifacts = run_in(run)
    find_segments(artifacts, "test")
    table = GlitchTable.read(artifacts.glitches("test"))
    segments = segments_of(artifacts, "test")
    assert segments[0].start - 4 < table["glitch_time"].min() <= table["glitch_time"].max() < segments[-1].stop + 4
    assert set(table["ifo"]) <= {"H1", "L1"}
    check_parameters(artifacts.glitches("test"), artifacts.strain_parameters("test"))
    loud = SimulatedNoise.of(strain_source(artifacts.config))
    fetch_strain(artifacts, "test", segments[0])
    (path,) = background_files(artifacts, "test")
    with open_background(path) as background:
        np.testing.assert_array_equal(background.read("L1"), loud.strain("L1", segments[0]))


def test_curves_are_files_next_to_the_configuration_or_names(tmp_path: Path) -> None:
    config = run_in(write_run(tmp_path / "run")).config
    folder = config.path.parent
    for name in ("a.txt", "two words.txt"):
        (folder / name).write_text("5 1e-23\n2000 1e-23\n")
    here = [str(folder / name) for name in ("a.txt", "two words.txt", "*.txt")]
    assert curve_places(config, "two words.txt") == (here[1],)
    assert curve_places(config, 'a.txt, "two words.txt"') == (here[0], here[1])
    assert curve_places(config, "*.txt aLIGO_O4_high_asd.txt") == (here[2], "aLIGO_O4_high_asd.txt")


def test_a_changed_table_of_glitches_makes_other_strain(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    edit(run / "sandbox.cfg", "^min_duration", "glitches = mine.csv\nmin_duration")
    shipped = (resources.files("aframe.strain") / "glitches_o3.csv").read_text(encoding="utf-8")
    (run / "mine.csv").write_text(shipped)
    find_segments(run_in(run), "test")
    (run / "mine.csv").write_text(shipped.replace("blip,H1,2,", "blip,H1,20,"))
    with pytest.raises(
        ParameterMismatchError, match=r"glitches\.hdf5 was made with another content of the files of data\.glitches"
    ):
        check_parameters(run_in(run).glitches("test"), run_in(run).strain_parameters("test"))
