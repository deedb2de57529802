"""``aframe event`` as a user types it, with the real clients, and a server on this machine that answers as GWOSC."""

import csv
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from open_data import IFOS, OpenData, Serving, signal, strain, write_file
from shipped import BANK
from terminal import aframe_here

from aframe import storage
from aframe.strain import download, gwosc
from aframe.strain.notes import tell_once
from aframe.tables import EventTable
from aframe.types import Array

TIMES = {f"GW2306{day:02}": 1368975618.3 + 86400.0 * day for day in (10, 11)}
FIRST, SECOND = TIMES
QUIET, ONLY_L1 = "GW230620", "GW230621_213856"
OUTSIDE = 1368975618.3 + 86400.0 * 40


@pytest.fixture(scope="module")
def response() -> dict[str, Array]:
    return signal()


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, response: dict[str, Array]) -> OpenData:
    """Three events, one without its signal, and one that L1 alone saw."""
    data = OpenData(tmp_path_factory.mktemp("store"))
    for name, time in TIMES.items():
        data.add(name, time, response)
    data.add(QUIET, TIMES[FIRST] + 1e6, None)
    data.add(ONLY_L1, TIMES[FIRST] + 2e6, response, ("L1",))
    return data


@pytest.fixture
def server(stored: OpenData, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[OpenData]:
    """The server, an empty cache, and no delays."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(download, "DELAYS", (0.0, 0.0, 0.0))
    monkeypatch.chdir(tmp_path)
    tell_once.cache_clear()
    with Serving(OpenData(stored.directory, stored.events)) as data:
        yield data


def event(server: OpenData | str, *words: str, home: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run the command with the shipped bank, float32, a cache in the working directory, and the server's address."""
    address = server if isinstance(server, str) else server.address
    variables = {**os.environ, "GWOSC_SERVER_URL": address, "AFRAME_CACHE_DIR": str(home or Path.cwd() / "cache")}
    usual = ("--model", BANK, "--precision", "float32", "--top", "1")
    return aframe_here("event", *words, *usual, variables=variables)


def told(done: "subprocess.CompletedProcess[str]") -> str:
    """The error of a command that fails: its last line."""
    assert done.returncode == 1, done
    line = done.stderr.splitlines()[-1]
    assert line.startswith("error: "), done.stderr
    return line


def rows(path: str = "events") -> dict[str, dict[str, str]]:
    with open(f"{path}/events.csv", encoding="utf-8") as file:
        return {row["event"]: row for row in csv.DictReader(file)}


def test_an_event_is_found_by_its_name_downloaded_once_and_drawn(server: OpenData) -> None:
    name, time = next(iter(TIMES.items()))
    done = event(server, name)
    assert done.returncode == 0, done.stderr
    row = rows()[name]
    assert (row["found"], row["rank"], row["catalogue_snr"], row["problem"]) == ("1", "1", "30", "")
    assert float(row["time"]) == pytest.approx(time, abs=0.1)
    page = Path("events", f"{name}.html").read_text()
    assert all(text in page for text in (name, "SNR in the catalogue", "Q transform"))
    table = EventTable.read(f"events/{name}.hdf5")
    assert table["detection_statistic"][0] == pytest.approx(float(row["statistic"]), abs=1e-3)
    files = sorted(path.name for path in Path("cache").rglob("*.hdf5"))
    assert [file[:4] for file in files] == ["H-H1", "L-L1"]
    assert "fetching H-H1_GWOSC_4KHZ_R1" in done.stdout

    server.asked.clear()
    before = Path("events", f"{name}.html").stat().st_mtime_ns
    assert event(server, name).returncode == 0
    assert not [path for path in server.asked if "strain-files" in path or "store" in path]
    assert Path("events", f"{name}.html").stat().st_mtime_ns == before
    assert rows()[name] == row


def test_one_that_fails_does_not_keep_the_others_and_the_exit_status_tells(server: OpenData) -> None:
    done = event(server, FIRST, "GW230699", QUIET, ONLY_L1.partition("_")[0])
    assert done.returncode == 1
    found = rows()
    assert [found[name]["found"] for name in (FIRST, "GW230699", QUIET, ONLY_L1)] == ["1", "", "0", ""]
    assert list(found) == [FIRST, "GW230699", QUIET, ONLY_L1]
    assert "the nearest names are GW2306" in found["GW230699"]["problem"]
    assert "no strain of H1 at GPS" in found[ONLY_L1]["problem"]
    assert "L1 has it" in found[ONLY_L1]["problem"]
    index = Path("events/index.html").read_text()
    assert "finds 1 of 2 events. 2 were not searched for." in index
    assert done.stdout.count("not searched") == 2


def test_all_events_of_an_observing_run_and_rates(server: OpenData) -> None:
    background = EventTable(
        {"detection_statistic": np.array([0.5, 1.0]), "detection_time": np.zeros(2), "shift": np.zeros((2, 2))},
        attributes={"Tb": 1e7},
    )
    background.write("background.hdf5")
    server.events = {name: server.events[name] for name in (FIRST, QUIET)}
    done = event(server, "--run", "o4a", "--background", "background.hdf5")
    found = rows()
    assert list(found) == ["GW230529_181500", FIRST, QUIET]  # the first from the package's list
    assert (found[FIRST]["found"], found[FIRST]["far_is_upper_limit"]) == ("1", "1")
    assert float(found[FIRST]["far_per_year"]) == pytest.approx(3.156, abs=0.01)
    assert done.returncode == 1
    assert "no strain of H1, L1 at GPS" in found["GW230529_181500"]["problem"]
    assert "--run O9: no such run" in told(event(server, "--run", "O9"))


def test_a_time_and_the_nearest_time_with_data(server: OpenData) -> None:
    name = str(TIMES[SECOND])
    assert event(server, "--time", name).returncode == 0
    assert rows()[name]["found"] == "1"
    assert "no file of them" in told(event(server, "--time", f"{OUTSIDE}"))
    time = OUTSIDE + 1e5
    server.gaps = {"H1": (time - 5000, time + 1000)}
    line = told(event(server, "--time", f"{time}"))
    assert "no strain of H1, L1 at GPS" in line  # L1 has data that this server has no file of
    assert f"the nearest time with H1, L1 is GPS {time + 1016:.13g}, 17 min away" in line


def test_a_file_that_ends_half_way_goes_on_where_it_broke_off(server: OpenData) -> None:
    server.faults.halves, server.faults.busy = 2, 1
    assert event(server, FIRST).returncode == 0
    assert server.asked.count(next(path for path in server.asked if "store/H" in path)) == 3  # two ended half-way
    server.faults.halves, server.faults.ranges = 100, False
    line = told(event(server, SECOND))
    assert "was not downloaded (it ended after" in line
    assert "download it by hand into" in line
    assert not list(Path("cache").rglob(f"*{int(TIMES[SECOND]) - 15}*.hdf5"))


def test_a_damaged_file_of_the_cache_is_downloaded_again(server: OpenData) -> None:
    whole = next(server.directory.glob(f"H-*-{int(TIMES[FIRST]) - 15}-*"))
    path = Path("cache", server.address.removeprefix("http://").replace(":", "-"), whole.name)
    path.parent.mkdir(parents=True)
    path.write_bytes(whole.read_bytes()[:1000])
    storage.sign(str(path), {"url": "", "size": whole.stat().st_size, "sha256": storage.sha256(str(whole))})
    done = event(server, FIRST)
    assert done.returncode == 0
    assert "is not as it was downloaded" in done.stderr
    assert path.read_bytes() == whole.read_bytes()


def test_a_slow_server_and_a_dead_one(server: OpenData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PATIENCE", 0.2)
    server.faults.pause = 0.05
    assert "bytes came in" in told(event(server, FIRST))
    monkeypatch.setattr(gwosc, "TIMEOUT", (0.2, 0.2))
    server.faults.silent = 0.5
    assert "does not answer (no answer within" in told(event(server, SECOND))  # of which it was not asked yet
    line = told(event("http://127.0.0.1:9", "GW150914"))
    assert "127.0.0.1:9 does not answer (connection refused)" in line
    name = "H-H1_GWOSC_4KHZ_R1-1126259447-32.hdf5"
    assert f"download {name} and L-L1" in line
    assert f"into {Path.cwd()}/cache/127.0.0.1-9" in line


def test_files_that_were_put_there_by_hand_are_used(server: OpenData, response: dict[str, Array]) -> None:
    cache = Path("cache/127.0.0.1-9")
    cache.mkdir(parents=True)
    for ifo in IFOS:
        path = cache / f"{ifo[0]}-{ifo}_GWOSC_4KHZ_R1-1126259447-32.hdf5"
        write_file(path, ifo, 1126259447.0, strain(ifo, 1126259447.0, 1126259462.4, response[ifo]))
    done = event("http://127.0.0.1:9", "gw150914")
    assert done.returncode == 0, done.stderr
    assert "the times of events are those of the list in this package" in done.stderr
    assert rows()["GW150914"]["found"] == "1"


def test_frames_of_ones_own_need_no_server(server: OpenData, response: dict[str, Array]) -> None:
    Path("own").mkdir()
    with h5py.File("own/both.hdf5", "w") as file:
        for ifo in IFOS:
            for name, data in (("CLEAN", response[ifo]), ("RAW", None)):
                series = file.create_dataset(
                    f"{ifo}:GDS-{name}_STRAIN", data=strain(ifo, 1126259447.0, 1126259462.4, data)
                )
                series.attrs.update(x0=1126259447.0, dx=1 / 4096)
    channels = [word for ifo in IFOS for word in ("--channel", f"{ifo}:GDS-CLEAN_STRAIN")]
    assert "two channels of H1" in told(event("http://127.0.0.1:9", "GW150914", "--frames", "own"))
    assert event("http://127.0.0.1:9", "GW150914", "--frames", "own", *channels).returncode == 0
    assert rows()["GW150914"]["found"] == "1"
    line = told(event("http://127.0.0.1:9", "--time", "1126259500", "--frames", "own", *channels))
    assert "own: no strain of H1, L1 at GPS 1126259500" in line
    assert "the nearest time with H1, L1 is GPS 1126259463" in line


def test_mistakes_are_one_line(server: OpenData) -> None:
    assert "which event?" in told(event(server))
    assert "--duration -1.0 must be positive" in told(event(server, FIRST, "--duration", "-1"))
    assert "the model needs 4.75 s of strain at least" in told(event(server, FIRST, "--duration", "4"))
    assert "--channel V1:STRAIN: the model searches H1, L1" in told(event(server, "x", "--channel", "V1:STRAIN"))
    assert "is no URL" in told(event(server, FIRST, "--server", "gwosc.org"))
    assert "is no time" in told(event(server, "--time", "soon"))
    Path("file").touch()
    assert "is a file: give a directory" in told(event(server, FIRST, "--output", "file"))
    assert not Path("events").exists()
