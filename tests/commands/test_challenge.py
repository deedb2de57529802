"""``aframe challenge`` as a user types it: the whole of it on a short data set, and mistakes."""

import argparse
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from processes_of_runs import wait_for
from shipped import BANK
from terminal import aframe_here

from aframe import cli
from aframe.challenge.events import Events, read_events, write_events
from aframe.challenge.injections import read_injections


def run(*words: str) -> str:
    """What a command prints that succeeds."""
    done = aframe_here("challenge", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(*words: str) -> str:
    """The one line of a command that fails."""
    done = aframe_here("challenge", *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done
    return done.stderr


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of four minutes."""
    directory = tmp_path_factory.mktemp("challenge")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        run("generate", str(directory), "--duration", "256", "--seed", "5")
    return directory


@pytest.fixture(scope="module")
def searched(data: Path) -> Path:
    """The data set with events of the shipped bank of matched filters."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        for name in ("foreground", "background"):
            strain, events = str(data / f"{name}.hdf"), str(data / f"{name}-events.hdf")
            said = run("search", strain, events, "--model", BANK, "--precision", "float32")
            assert f"of 256 s: {events}" in said
    return data


def score_options(directory: Path, **others: Path) -> list[str]:
    paths = {
        "foreground": directory / "foreground-events.hdf", "background": directory / "background-events.hdf",
        "injections": directory / "injections.hdf", "foreground-strain": directory / "foreground.hdf",
    } | {name.replace("_", "-"): path for name, path in others.items()}  # fmt: skip
    return [word for name, path in paths.items() for word in (f"--{name}", str(path))]


def test_each_signal_that_is_near_is_an_event_and_the_score_counts_it(searched: Path) -> None:
    events = read_events([str(searched / "foreground-events.hdf")])
    noise = read_events([str(searched / "background-events.hdf")])
    signals = read_injections(str(searched / "injections.hdf"))
    assert (np.diff(events.time) > 0).all()
    louder = events.time[events.stat > noise.stat.max()]
    is_signal = np.abs(louder[:, None] - signals.tc).min(axis=1) <= 0.3
    assert is_signal.all()
    assert len(louder) >= 2
    output = searched / "score.csv"
    lines = run("score", *score_options(searched), "--output", str(output)).splitlines()
    assert lines[0].startswith(f"{len(signals.tc)} signals count, {len(noise.time)} background events in 256 s")
    lowest = next(line.split() for line in lines if line.split()[0] == f"{30 * 86400 / 256:g}")
    threshold = np.sort(noise.stat)[-2]
    near = np.abs(signals.tc[:, None] - events.time) <= 0.3
    assert int(lowest[2]) == (near & (events.stat > threshold)).any(axis=1).sum() >= 2
    assert 0 < float(lowest[3]) < signals.distance_mpc.max()
    assert output.read_text().startswith("far_per_month,threshold,num_found,distance_mpc,low_mpc,high_mpc\n")
    assert "exists already: give another name" in refused("score", *score_options(searched), "--output", str(output))


def test_outputs_that_exist_are_kept(searched: Path) -> None:
    before = {path: path.read_bytes() for path in searched.glob("*.hdf")}
    assert "already has background.hdf, foreground.hdf, injections.hdf" in refused("generate", str(searched))
    strain, events = str(searched / "foreground.hdf"), str(searched / "foreground-events.hdf")
    assert "exists already" in refused("search", strain, events, "--model", BANK)
    assert {path: path.read_bytes() for path in searched.glob("*.hdf")} == before


def test_files_of_another_data_set_are_refused(searched: Path, tmp_path: Path) -> None:
    run("generate", str(tmp_path), "--duration", "256", "--start", "1239166018")
    others = {name: tmp_path / f"{name}.hdf" for name in ("injections",)}
    assert "none of" in refused("score", *score_options(searched, **others))
    assert "are outside the strain" in refused(
        "score", *score_options(searched, foreground_strain=tmp_path / "foreground.hdf")
    )
    short = tmp_path / "short"
    run("generate", str(short), "--duration", "512", "--seed", "5")
    line = refused("score", *score_options(searched, foreground_strain=short / "foreground.hdf"))
    assert "events are of 256 s of strain, and" in line


def test_bad_input_is_one_line(data: Path, tmp_path: Path) -> None:
    strain, events = str(data / "background.hdf"), str(tmp_path / "events.hdf")
    injections = str(data / "injections.hdf")
    assert "give a name that ends in .hdf" in refused("search", strain, str(tmp_path / "events.txt"), "--model", BANK)
    assert "--var -1.0 s must be positive" in refused("search", strain, events, "--model", BANK, "--var", "-1")
    assert "--cluster-window-length 0.0 s must be positive" in refused(
        "search", strain, events, "--model", BANK, "--cluster-window-length", "0"
    )
    assert "has no strain: give a file with datasets such as H1/" in refused(
        "search", injections, events, "--model", BANK
    )
    assert "give --psds DIR" in refused("generate", str(tmp_path / "a"), "--data-set", "2", "--duration", "256")
    assert "whole number of seconds" in refused("generate", str(tmp_path / "a"), "--duration", "100.5")
    assert "--seed -1" in refused("generate", str(tmp_path / "a"), "--seed", "-1")
    slow = tmp_path / "slow.hdf"
    with h5py.File(strain) as source, h5py.File(slow, "w") as file:
        for ifo in ("H1", "L1"):
            ((start, whole),) = source[ifo].items()
            part = file.create_dataset(f"{ifo}/{start}", data=whole[::4])
            part.attrs.update({"start_time": whole.attrs["start_time"], "delta_t": 1 / 512})
    assert "512" in refused("search", str(slow), events, "--model", BANK)
    write_events(events, Events(np.array([np.nan]), np.zeros(1), np.ones(1)), {})
    line = refused("score", *score_options(data, foreground=Path(events), background=Path(events)))
    assert "time is nan in row 0" in line


def test_a_killed_generation_leaves_no_file_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    words = ("generate", str(tmp_path / "data"), "--duration")
    command = [sys.executable, "-P", "-m", "aframe.cli", "challenge", *words, "86400"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: any(path.stat().st_size > 1e7 for path in tmp_path.glob("data/.partial-*/foreground.hdf")))
        process.kill()
    assert not list(tmp_path.glob("data/*.hdf"))
    run(*words, "256")
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [
        "background.hdf", "foreground.hdf", "injections.hdf"
    ]  # fmt: skip


def test_a_wrong_step_or_option_is_one_line() -> None:
    for words, message in (
        (["challenge"], "aframe challenge: the following arguments are required: STEP"),
        (["challenge", "sarch"], "aframe challenge: argument STEP: invalid choice: 'sarch'"),
        (
            ["challenge", "generate", "x", "--sed", "1"],
            "aframe challenge generate: there is no option --sed (did you mean '--seed'?)",
        ),
    ):
        done = aframe_here(*words)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert done.stderr.startswith(f"error: {message}")


@pytest.mark.parametrize("step", ["generate", "search", "score"])
def test_each_option_of_a_step_tells_its_default(step: str) -> None:
    parser = cli.subparsers(cli.subparsers(cli.build_parser("challenge"))["challenge"])[step]
    for action in parser._actions:
        if action.option_strings and action.help != argparse.SUPPRESS and action.dest != "help":
            help_text = " ".join((action.help or "").split())
            assert ("required" if action.required else "default:") in help_text
            if action.type is float:
                assert " s" in help_text or help_text.startswith("s ")
