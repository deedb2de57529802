"""``aframe init`` writes correct configurations for any data, and refuses impossible ones with one line."""

import os
import re
from pathlib import Path

import h5py
import numpy as np
import pytest

import aframe
from aframe import cli
from aframe.checks.run import mistakes_of
from aframe.constants import SECONDS_PER_DAY
from aframe.errors import DataError
from aframe.runs.artifacts import Artifacts
from aframe.runs.blueprints import LocalFiles, local_strain, open_data
from aframe.runs.directories import Directories
from aframe.settings import env_file
from aframe.settings.read import load_config, read_config
from aframe.settings.sections import Config

START = 1262304000.0

BASE = load_config(str(Path(aframe.__file__).parent / "pipelines" / "sandbox" / "sandbox.cfg"))


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Environment without GWOSC's server and without variables of a run."""
    monkeypatch.setenv("GWOSC_SERVER_URL", "http://127.0.0.1:9")
    for name in list(os.environ):
        if name.startswith(("AFRAME_", "LAW_")):
            monkeypatch.delenv(name)


def write_strain(directory: Path, spans: dict[str, list[tuple[float, float]]], rate: float = 1024.0) -> str:
    """Write files of zero strain with the start and duration (s) of each."""
    directory.mkdir(exist_ok=True)
    for ifo, pieces in spans.items():
        for start, duration in pieces:
            with h5py.File(directory / f"{ifo}-{start:.0f}.hdf5", "w") as file:
                data = file.create_dataset(ifo, (round(duration * rate),), np.float32, chunks=True, fillvalue=0.0)
                data.attrs.update({"x0": START + start, "dx": 1 / rate})
    return str(directory)


def loaded(directory: Path) -> Config:
    """Read a configuration without mistakes."""
    config, wrong = read_config(str(directory / "sandbox.cfg"))
    assert wrong == []
    return config


@pytest.mark.parametrize(
    ("options", "ifos", "times"),
    [
        ("--observing-run O1", "H1 L1", (1126051217, 10, 40)),
        ("--observing-run O2", "H1 L1", (1164556817, 10, 40)),
        ("--observing-run o2 --ifos H1,L1,V1", "H1 L1 V1", (1185580818, 6.229, 24.916)),
        ("--observing-run O3a --ifos L1,V1", "L1 V1", (1238166018, 10, 40)),
        ("--observing-run O3b --start 1260000000", "H1 L1", (1260000000, 10, 40)),
        ("--observing-run O3GK --ifos K1,G1", "K1 G1", (1270281618, 3.417, 13.667)),
        ("--observing-run O4a --stop 2023-06-03T15:00:00", "H1 L1", (1368975618, 2.5, 10)),
        ("--observing-run O4b --ifos H1,L1,V1", "H1 L1 V1", (1396796418, 10, 40)),
        ("--start 2019-04-29 --stop 1241443783", "H1 L1", (1240531218, 2.640, 10.562)),
        ("--ifos H1,L1,V1", "H1 L1 V1", (1238166018, 10, 40)),
        ("--config bbh", "H1 L1", (1240579783, 10, 40)),
        ("--config bbh --s3-bucket s3://my-bucket/runs", "H1 L1", (1240579783, 10, 40)),
    ],
)
def test_searches_of_open_data(
    options: str, ifos: str, times: tuple[float, float, float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["init", str(tmp_path / "run"), *options.split(), "--set", "search.seed=7"])
    config = loaded(tmp_path / "run")
    assert config.search.ifos == tuple(ifos.split())
    assert config.inference.shifts == tuple(map(float, range(len(config.search.ifos))))
    start, *days = times
    data = config.data
    assert (data.source, data.train_start) == ("gwosc", start)
    durations = [(stop - start) / SECONDS_PER_DAY for stop in (data.train_stop, data.test_stop)]
    assert durations == pytest.approx(days, abs=1e-3)
    assert config.search.seed == 7
    if "bbh" not in options:
        assert "GWOSC did not answer: checked against the runs' dates" in capsys.readouterr().out
    text = (tmp_path / "run" / "sandbox.cfg").read_text()
    assert re.search(
        r"^#   train_start, .* disk: \d\.\d GB a day of coincident strain, [\d.]+ GB as it stands", text, re.M
    )
    assert text.count("What one would change first") == 1


def test_a_remote_run_has_all_but_its_submit_files_on_the_store(tmp_path: Path) -> None:
    cli.main(["init", str(tmp_path / "run"), "--s3-bucket", "s3://my-bucket/runs/1/"])
    variables = env_file.read(str(tmp_path / "run" / ".env"), {})
    assert variables["AFRAME_RESULTS_DIR"] == "s3://my-bucket/runs/1/results"
    directories, wrong = Directories.read(variables)
    assert wrong == []
    assert directories.condor == str(tmp_path / "run" / "condor")
    assert loaded(tmp_path / "run").data.source == "simulated"


@pytest.mark.parametrize(
    ("spans", "rate", "ifos"),
    [
        ({"H1": [(0, 4096)], "L1": [(0, 4096)]}, 1024.0, "H1 L1"),
        ({"H1": [(0, 600)], "L1": [(0.5, 600)]}, 512.0, "H1 L1"),
        ({"H1": [(0, 3000), (3200, 40000)], "L1": [(100, 50000)], "V1": [(0, 45000)]}, 1024.0, "H1 L1 V1"),
        ({"H1": [(0, 9000), (9500, 9000), (19000, 9000)], "V1": [(0, 30000)]}, 2048.0, "H1 V1"),
    ],
)
def test_searches_of_local_files_fit_their_data(
    spans: dict[str, list[tuple[float, float]]], rate: float, ifos: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    frames = write_strain(tmp_path / "my frames", spans, rate)
    cli.main(["init", str(tmp_path / "run"), "--frames", frames])
    config = loaded(tmp_path / "run")
    assert (config.search.ifos, config.search.sample_rate) == (tuple(ifos.split()), min(rate, 1024.0))
    assert (config.data.source, config.data.frames) == ("local", frames)
    output = capsys.readouterr().out
    assert f"of {', '.join(ifos.split())} together, in" in output
    assert f"recorded at {rate:g} Hz" in output
    names = ("train_data", "test_data", "train_run", "condor", "results")
    run = Artifacts(config, Directories(**{name: str(tmp_path / "run" / name) for name in names}))
    Path(run.injections).parent.mkdir(parents=True)
    Path(run.injections).touch()  # with injections, the check with LAL is left out
    told_wrong = [str(error) for error in mistakes_of(run) if "waveforms.hdf5" not in str(error)]
    assert told_wrong == []


def test_the_demo_with_local_files(tmp_path: Path) -> None:
    frames = write_strain(tmp_path / "frames", {"H1": [(0, 8000)], "L1": [(0, 8000)]}, 2048.0)
    cli.main(["init", str(tmp_path / "run"), "--config", "demo", "--frames", frames])
    config = loaded(tmp_path / "run")
    assert (config.search.sample_rate, config.data.source, config.search.inference_sampling_rate) == (
        1024.0,
        "local",
        8.0,
    )
    assert "MatchedFilterNetwork" in (tmp_path / "run" / "train.yaml").read_text()
    assert config.inference.Tb <= 10368000
    assert config.injections.num_injections <= 3000


def test_chosen_times_and_detectors_of_local_files(tmp_path: Path) -> None:
    frames = write_strain(tmp_path / "frames", {"H1": [(0, 8000)], "L1": [(0, 8000)], "V1": [(0, 500)]})
    chosen = local_strain(BASE, LocalFiles(frames), ("H1", "L1"), str(START + 1000), "2020-01-06T02:00:00")
    assert chosen.changes["data.train_start"] == f"{START + 1000:.0f}"
    assert float(chosen.changes["data.test_stop"]) < START + 8001
    with pytest.raises(DataError, match=r"has 500 s of H1, L1, V1 together: give at least 512 s"):
        local_strain(BASE, LocalFiles(frames), (), None, None)
    with pytest.raises(DataError, match=r"frames holds strain of H1, L1, V1, none of K1"):
        local_strain(BASE, LocalFiles(frames), ("H1", "K1"), None, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--observing-run O5", "--observing-run O5: no such run.*; there are O1, O2"),
        ("--observing-run O1 --ifos H1,V1", "O1 has open data of H1, L1, not of all of H1, V1"),
        ("--observing-run O1 --start 2019-05-01", "(is not in O1|give at least 4096 s)"),
        (
            "--observing-run O3a --start 1240000000 --stop 1260000000",
            "to 1260000000 is not in O3a, in which",
        ),
        ("--start 2018-05-01 --stop 2018-06-01", "no open data of H1, L1 from 1209168018 to"),
        ("--start 1240000000", "--start and --stop need each other, or --observing-run"),
        ("--start soon --stop 1240000000", "'soon' is no time: give GPS seconds"),
        ("--start 1240000000 --stop 1240000100", "are 100 s: give at least 4096 s, of which a quarter trains"),
        ("--start 1240010000 --stop 1240000000", "1240010000 .* is not before 1240000000"),
        ("--ifos H1", "--ifos H1: give two or more detectors, each once, as H1,L1"),
        ("--ifos H1,H1", "give two or more detectors, each once"),
        ("--start 1240000000 --stop 1241000000 --ifos H1,LL1", r"not of LL1 \(did you mean 'L1'\?\)"),
        ("--frames nowhere", "--frames .*nowhere holds no .hdf5, .h5, .hdf, .gwf file: give another directory"),
        ("--frames . --observing-run O1", "--frames and --observing-run: the strain is either local or open data"),
        ("--s3-bucket my-bucket/run", "--s3-bucket my-bucket/run is no s3://bucket/prefix"),
        ("--s3-bucket s3://My_Bucket/run", "is no s3://bucket/prefix: a bucket's name has 3 to 63 lower-case"),
    ],
)
def test_impossible_options_have_a_message_of_one_line(
    options: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["init", str(tmp_path / "run"), *options.split()])
    assert stop.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line), line
    assert not (tmp_path / "run").exists()


def test_one_detector_is_no_search_and_damaged_files_are_named(tmp_path: Path) -> None:
    frames = write_strain(tmp_path / "frames", {"H1": [(0, 1000)]})
    with pytest.raises(DataError, match="holds strain of H1 alone: a search needs two detectors"):
        local_strain(BASE, LocalFiles(frames), (), None, None)
    assert open_data(BASE, "O3a", None, None, ("H1", "L1")).livetime == pytest.approx(0.6 * 40 * SECONDS_PER_DAY)
