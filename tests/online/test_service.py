import json
import multiprocessing
import os
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import h5py
import numpy as np
import pytest
from live_strain import RATE, START, clustering_of, frame_name, live_model, noise, write_frame

import aframe.steps.online  # noqa: F401 - processes that the tests fork need not import it
from aframe.cli import main
from aframe.commands.runs import shipped_model
from aframe.inference.adaptation import adapted
from aframe.inference.recorded import recordings_of, search_recorded
from aframe.inference.scorers import TorchScorer
from aframe.online.clock import gps_now
from aframe.online.live_event import LiveEvent
from aframe.online.outbox import stored_events
from aframe.strain.files import write_background
from aframe.tables import EventTable
from aframe.train.model import load, save

PATIENCE = 300.0
"""Longest wait for a process, s: machines are busy."""

LIVETIME = 3.15576e8  # ten years
FAR = 12.0
"""Rate of alerts. With ten years of background, 120 of its events are louder than the threshold."""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A directory with a .cfg, a small model, a background, strain, and what the search of files finds in it."""
    directory = tmp_path_factory.mktemp("online")
    demo = Path(__file__).parents[2] / "models" / "demo"
    text = (demo / "sandbox.cfg").read_text()
    for name, value in {
        "sample_rate": 256, "kernel_length": 1, "psd_length": 4, "block_length": 4, "highpass": 20,
        "inference_sampling_rate": 4, "integration_window_length": 0.25, "cluster_window_length": 4,
        "precision": "float32",
    }.items():  # fmt: skip
        lines = [f"{name} = {value}" if line.split("=")[0].strip() == name else line for line in text.splitlines()]
        text = "\n".join(lines)
    (directory / "sandbox.cfg").write_text(
        f"{text}\n\n[luigi_online]\nbackground_hours = 0\npage = false\nfar_per_year = {FAR}\n"
    )
    (directory / "train.yaml").write_bytes((demo / "train.yaml").read_bytes())
    model, strain = live_model(), noise(64.0)
    save(model, str(directory / "model.pt"), {})
    write_background(str(directory / "strain.hdf5"), strain, START, RATE)
    events = offline(directory)
    ordered = np.sort(events["detection_statistic"])
    louder = ordered[len(ordered) // 2] + 0.01 + np.arange(121) / 1000  # half of the events are alerts
    columns = {"detection_statistic": louder, "detection_time": START + np.arange(121.0), "shift": np.zeros((121, 2))}
    EventTable(columns, attributes={"Tb": LIVETIME}).write(str(directory / "background.hdf5"), {})
    return directory


def offline(directory: Path) -> EventTable:
    model = load(str(directory / "model.pt"))
    recordings = recordings_of([str(directory / "strain.hdf5")], model.preprocessing.ifos)
    return search_recorded(TorchScorer(adapted(model, recordings)), recordings, clustering_of(model)).events


def search(place: Path, output: str, *options: str) -> BaseProcess:
    """Start ``aframe online`` in a process of its own, which has all imports already."""
    words = ["online", "--cfg", str(place / "sandbox.cfg"), "--model", str(place / "model.pt")]
    words += ["--background", str(place / "background.hdf5"), "--output", str(place / output), *options]
    process = multiprocessing.get_context("fork").Process(target=main, args=(words,))
    process.start()
    return process


def final(directory: Path) -> np.ndarray:
    """Time and statistic of the latest revision of each event, in order of time."""
    latest: dict[str, LiveEvent] = {}
    for name in stored_events(str(directory)):
        event = LiveEvent.read(str(directory / "events" / f"{name}.json"))
        latest[event.identifier] = event
    return np.array(sorted((event.time, event.statistic) for event in latest.values()))


def expected(place: Path) -> np.ndarray:
    events = offline(place)
    threshold = np.sort(events["detection_statistic"])[len(events) // 2]
    rows = np.stack([events["detection_time"], events["detection_statistic"]], axis=1)
    return np.array(sorted(map(tuple, rows[rows[:, 1] > threshold])))


def assert_same(found: np.ndarray, wanted: np.ndarray) -> None:
    assert len(wanted) > 3
    np.testing.assert_allclose(found[:, 0], wanted[:, 0], rtol=0, atol=1 / RATE)
    np.testing.assert_allclose(found[:, 1], wanted[:, 1], rtol=0, atol=1e-3)


def ended(process: BaseProcess) -> int | None:
    process.join(PATIENCE)
    return process.exitcode


def test_a_replay_issues_the_events_of_the_search_of_files(place):
    assert ended(search(place, "whole", "--replay", str(place / "strain.hdf5"), "--speed", "0")) == 0
    assert_same(final(place / "whole"), expected(place))
    names = stored_events(str(place / "whole"))
    event = LiveEvent.read(str(place / "whole" / "events" / f"{names[0]}.json"))
    assert set(event.detectors) == {"H1", "L1"}
    assert set(event.latency) == {"arrived", "computed", "written"}
    assert event.far_per_year <= FAR
    assert json.loads((place / "whole" / "health.json").read_text())["is_over"]


def test_a_replay_searches_what_its_state_vectors_let_through(place, capsys):
    with h5py.File(place / "states.hdf5", "w") as file:
        for ifo, data in noise(64.0).items():
            file[ifo], file[f"{ifo}:STATE"] = data, np.repeat([1, 0, 1], [30, 2, 32])
            file[ifo].attrs.update({"x0": START, "dx": 1 / RATE})
            file[f"{ifo}:STATE"].attrs.update({"x0": START, "dx": 1.0})
    text = (place / "sandbox.cfg").read_text()
    (place / "states.cfg").write_text(f"{text}\nstate_channel = H1:STATE\nstate_bits = 0\n")
    options = ("--cfg", str(place / "states.cfg"), "--replay", str(place / "states.hdf5"), "--speed", "0")
    assert ended(search(place, "states", *options)) == 0
    health = json.loads((place / "states" / "health.json").read_text())
    gaps = {ifo: each["gaps"]["not to be searched"] for ifo, each in health["detectors"].items()}
    assert gaps == {"H1": 1, "L1": 0}
    (place / "states.cfg").write_text(f"{text}\nstate_channel = H1:OTHER\nstate_bits = 0\n")
    words = ["online", "--cfg", str(place / "states.cfg"), "--model", str(place / "model.pt")]
    with pytest.raises(SystemExit):
        main([*words, "--replay", str(place / "states.hdf5"), "--output", str(place / "other")])
    assert "has no dataset H1:OTHER: mend state_channel" in capsys.readouterr().err


def test_a_run_whose_keys_have_changed_since_its_training_is_refused(place, tmp_path, capsys, monkeypatch):
    run = tmp_path / "run"
    monkeypatch.setenv("AFRAME_TRAIN_RUN_DIR", str(run / "train_run"))
    main(["init", str(run), "--set", "search.psd_length=32"])
    model = load(shipped_model())
    (run / "train_run").mkdir()
    save(model, str(run / "train_run" / "model.pt"), {})
    with pytest.raises(SystemExit):
        main(["online", "--cfg", str(run / "sandbox.cfg"), "--replay", str(place / "strain.hdf5")])
    assert "was trained with psd_length = 64" in capsys.readouterr().err


def test_a_search_that_is_killed_loses_no_event_and_issues_none_twice(place):
    count, replay = 0, ("--replay", str(place / "strain.hdf5"), "--speed", "20")
    for _ in range(2):
        process = search(place, "killed", *replay)
        until = time.monotonic() + PATIENCE
        while len(stored_events(str(place / "killed"))) <= count and process.is_alive() and time.monotonic() < until:
            time.sleep(0.001)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        ended(process)
        count = len(stored_events(str(place / "killed")))
    assert count >= 2
    assert ended(search(place, "killed", "--replay", str(place / "strain.hdf5"), "--speed", "0")) == 0
    assert_same(final(place / "killed"), expected(place))


def test_sigterm_ends_a_search_that_a_later_one_goes_on_with(place):
    process = search(place, "ended", "--replay", str(place / "strain.hdf5"), "--speed", "20")
    until = time.monotonic() + PATIENCE
    while not (place / "ended" / "progress.json").exists() and process.is_alive() and time.monotonic() < until:
        time.sleep(0.01)
    process.terminate()
    assert ended(process) == 0
    assert ended(search(place, "ended", "--replay", str(place / "strain.hdf5"), "--speed", "0")) == 0
    assert_same(final(place / "ended"), expected(place))


def test_frames_that_appear_are_searched_and_a_broken_one_is_a_gap(place):
    strain, begin = noise(30.0), float(int(gps_now()) - 200)
    (place / "frames").mkdir()
    text = (place / "sandbox.cfg").read_text()
    (place / "live.cfg").write_text(f"{text}\nlive_frames = {place / 'frames'}\npatience = 2\n")

    def write(seconds: range) -> None:
        for second in seconds:
            for ifo, data in strain.items():
                path = place / "frames" / frame_name(ifo, begin + second)
                write_frame(path, {ifo: data[second * 256 : (second + 1) * 256]}, begin + second, RATE)
                if (second, ifo) == (15, "L1"):
                    path.write_bytes(path.read_bytes()[:-100])

    write(range(9))
    process = search(place, "live", "--cfg", str(place / "live.cfg"))
    while not (place / "live" / "health.json").exists() and process.is_alive():
        time.sleep(0.05)
    write(range(9, 30))
    health, until = {}, time.monotonic() + PATIENCE
    while health.get("searched_until") != begin + 28.75 and process.is_alive() and time.monotonic() < until:
        time.sleep(0.05)
        if (place / "live" / "health.json").exists():
            health = json.loads((place / "live" / "health.json").read_text())
    process.terminate()
    assert ended(process) == 0
    assert health["searched_until"] == begin + 28.75
    assert health["detectors"]["L1"]["gaps"] == {"no data": 1, "not to be searched": 0}
