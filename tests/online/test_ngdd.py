"""A real server of NGDD on loopback, in a process of its own, and the real client."""

import contextlib
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from live_strain import live_model

from aframe.errors import ConfigurationError, DataError
from aframe.online.arrivals import Arrival
from aframe.online.ngdd import NgddChannels, NgddSource, _is_good
from aframe.train.model import save

pytest.importorskip("arrakis_server", reason="needs arrakis-server, of the extra ngdd")

CHANNELS = """
[publisher]
publisher_id = "{ifo}_TEST"
stride = 62_500_000
max_latency = 2_000_000_000

["{ifo}:TEST-STRAIN"]
partition_id = "{ifo}_f64"
partition_index = 0
sample_rate = 1024
data_type = "float64"
func = "{wave}"

["{ifo}:TEST-SLOW_STRAIN"]
partition_id = "{ifo}_f64"
partition_index = 1
sample_rate = 256
data_type = "float64"

["{ifo}:TEST-STATE_VECTOR"]
partition_id = "{ifo}_u32"
partition_index = 0
sample_rate = 16
data_type = "uint32"
func = "{state}"
"""
WAVES = {"H1": "sin(2*pi*t)", "L1": "cos(2*pi*t)"}
STATES = {"H1": "3", "L1": "2 + floor(t) - 2*floor(t/2)"}
"""Bits 0 and 1 are set, at L1 bit 0 in odd seconds alone."""
WANTED = NgddChannels(("H1", "L1"), 1024.0, {"H1": "TEST-STRAIN", "L1": "TEST-STRAIN"})


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def serving(directory: Path, port: int, *faults: str) -> Iterator[subprocess.Popen]:
    paths = [directory / f"{ifo}.toml" for ifo in WAVES]
    for path, ifo in zip(paths, WAVES, strict=True):
        path.write_text(CHANNELS.format(ifo=ifo, wave=WAVES[ifo], state=STATES[ifo]))
    command = [sys.executable, "-W", "ignore", "-m", "arrakis_server", "-u", f"grpc://127.0.0.1:{port}", "mock"]
    with (directory / "server.log").open("w") as log:
        server = subprocess.Popen([*command, *map(str, paths), *faults], stdout=log, stderr=log)
        try:
            wait_for(port, server, directory / "server.log")
            yield server
        finally:
            server.kill()
            server.wait()


def wait_for(port: int, server: subprocess.Popen, log: Path) -> None:
    for _ in range(300):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert server.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    with serving(tmp_path_factory.mktemp("ngdd"), port):
        yield f"127.0.0.1:{port}"


@contextmanager
def source(address: str, wanted: NgddChannels = WANTED) -> Iterator[tuple[NgddSource, list[str]]]:
    told: list[str] = []
    one = NgddSource(wanted, address, told.append)
    try:
        yield one, told
    finally:
        one.close()


def gather(one: NgddSource, duration: float, longest: float = 20.0) -> dict[str, list[Arrival]]:
    """Arrivals until each detector has some seconds."""
    came: dict[str, list[Arrival]] = {"H1": [], "L1": []}
    end = time.monotonic() + longest
    while min(sum(len(a.strain) / a.sample_rate for a in each) for each in came.values()) < duration:
        assert time.monotonic() < end, "no strain"
        for arrival in one.arrivals(1.0):
            came[arrival.ifo].append(arrival)
    return came


def test_strain_comes_as_it_was_sent_with_its_times_and_without_bad_samples(server: str) -> None:
    states = {"L1": "TEST-STATE_VECTOR"}
    wanted = NgddChannels(WANTED.ifos, 1024.0, WANTED.channels, states, (0, 1))
    with source(server, wanted) as (one, told):
        one.check()
        assert not one.is_over
        came = gather(one, 2.1)
        assert one.flaws["L1: samples that are missing or bad"] > 900
    for ifo, arrivals in came.items():
        for before, after in itertools.pairwise(arrivals):
            assert after.start == before.stop
        for arrival in arrivals:
            times = arrival.start + np.arange(len(arrival.strain)) / arrival.sample_rate
            assert arrival.start * 1024 % 1 == 0
            expected = {"H1": np.sin, "L1": np.cos}[ifo](2 * np.pi * times)
            is_bad = (np.floor(times) % 2 == 0) & (ifo == "L1")
            assert (np.isnan(arrival.strain) == is_bad).all()
            np.testing.assert_allclose(arrival.strain[~is_bad], expected[~is_bad], atol=1e-5)
            assert abs(arrival.received - time.time()) < 30
    assert not told


def test_strain_that_waits_is_joined(server: str) -> None:
    with source(server) as (one, _):
        one.arrivals(10.0)
        time.sleep(1.2)
        joined = one.arrivals(1.0)
    assert {each.ifo for each in joined} <= {"H1", "L1"}
    assert max(len(each.strain) for each in joined) > 600


@pytest.mark.parametrize("fault", ["partial-gaps", "duplicates"])
def test_faults_of_a_stream_are_missing_samples_once(fault: str, tmp_path: Path) -> None:
    port = free_port()
    with (
        serving(tmp_path, port, "--with-faults", fault, "--fault-interval", "3"),
        source(f"127.0.0.1:{port}") as (one, _),
    ):
        came = gather(one, 0.6)
    for arrivals in came.values():
        assert all(after.start == before.stop for before, after in itertools.pairwise(arrivals))
        missing = np.isnan(np.concatenate([arrival.strain for arrival in arrivals])).mean()
        assert 0 <= missing < 0.5
        assert (missing > 0) == (fault != "duplicates")


def test_a_server_that_is_killed_and_comes_back_is_heard_again(tmp_path: Path) -> None:
    port = free_port()
    with source(f"127.0.0.1:{port}") as (one, told):
        with serving(tmp_path, port):
            before = gather(one, 0.5)
        while one.arrivals(0.2):
            pass
        assert one.arrivals(0.5) == []
        with serving(tmp_path, port):
            after = gather(one, 0.5)
        assert one.flaws["stream"] >= 2
    assert after["H1"][0].start > before["H1"][-1].stop + 0.5
    assert any("H1: no stream from the NGDD server" in line and "asking again in 1 s" in line for line in told)
    assert all("\n" not in line for line in told)


def test_a_server_that_falls_silent_is_waited_for(tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, port) as server, source(f"127.0.0.1:{port}") as (one, _):
        gather(one, 0.3)
        os.kill(server.pid, signal.SIGSTOP)
        silent = time.monotonic()
        while one.arrivals(0.5):
            assert time.monotonic() < silent + 10
        os.kill(server.pid, signal.SIGCONT)
        assert gather(one, 1.0)


@pytest.mark.parametrize(
    ("names", "kind", "message"),
    [
        (["STRAIM", "STRAIN"], ConfigurationError, r"channel H1:TEST-STRAIM \(did you mean 'H1:TEST-STRAIN'"),
        (["STRAIN", "SLOW_STRAIN"], DataError, "L1:TEST-SLOW_STRAIN .* 256 Hz, the network needs 1024 Hz"),
        (["STATE_VECTOR", "STRAIN"], DataError, "has uint32s: choose a channel of strain"),
        (["STRAIN", "STRAIN", "SLOW_STRAIN"], DataError, "choose a state vector of whole numbers"),
    ],
)
def test_a_wrong_channel_is_refused_before_the_search(
    server: str, names: list[str], kind: type[Exception], message: str
) -> None:
    h1, l1, *states = (f"TEST-{name}" for name in names)
    wanted = NgddChannels(("H1", "L1"), 1024.0, {"H1": h1, "L1": l1}, dict(zip(["H1"], states, strict=False)), (0,))
    with source(server, wanted) as (one, _), pytest.raises(kind, match=message):
        one.check()


def test_a_bit_that_the_state_vector_lacks_is_refused(server: str) -> None:
    wanted = NgddChannels(WANTED.ifos, 1024.0, WANTED.channels, {"H1": "TEST-STATE_VECTOR"}, (0, 40))
    with source(server, wanted) as (one, _), pytest.raises(DataError, match="bits 0 to 31, state_bits names bit 40"):
        one.check()


def test_the_highest_bit_of_a_signed_state_vector_is_a_bit() -> None:
    state = np.ma.masked_array(np.array([-1, 1, -(2**31), -1], np.int32), mask=[0, 0, 0, 1])
    assert _is_good(state, (31,)).tolist() == [True, False, True, False]
    assert _is_good(state, (0, 31)).tolist() == [True, False, False, False]


def test_a_search_runs_on_it(server: str, tmp_path: Path) -> None:
    """``aframe online`` itself, with the settings that docs/ngdd.md names."""
    text = (Path(__file__).parents[2] / "models" / "demo" / "sandbox.cfg").read_text()
    channels = ", ".join(f"{ifo}:TEST-SLOW_STRAIN" for ifo in WAVES)
    for name, value in {
        "sample_rate": 256, "kernel_length": 1, "psd_length": 4, "block_length": 4, "highpass": 20,
        "inference_sampling_rate": 4, "integration_window_length": 0.25, "cluster_window_length": 4,
        "source": f"local\nframes = {tmp_path}\nchannel = {channels}", "asd": "",
    }.items():  # fmt: skip
        text = re.sub(rf"^{name} = .*$", f"{name} = {value}" if value else "", text, flags=re.MULTILINE)
    states = "state_channel = H1:TEST-STATE_VECTOR\nstate_bits = 0, 1"
    online = f"live_source = ngdd\nngdd_server = {server}\n{states}\nbackground_hours = 0"
    (tmp_path / "sandbox.cfg").write_text(f"{text}\n[luigi_online]\n{online}\n")
    (tmp_path / "train.yaml").touch()
    save(live_model(), str(tmp_path / "model.pt"), {})
    command = [sys.executable, "-m", "aframe.cli", "online", "--cfg", str(tmp_path / "sandbox.cfg")]
    health, until = {}, time.monotonic() + 180
    with (tmp_path / "log").open("w") as log:
        search = subprocess.Popen(
            [*command, "--model", str(tmp_path / "model.pt")],
            env=os.environ | {"ARRAKIS_SERVER": "127.0.0.1:7"}, stdout=log, stderr=log,
        )  # fmt: skip
        while health.get("searched", 0) < 2 and search.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
            with contextlib.suppress(FileNotFoundError):
                health = json.loads((tmp_path / "online" / "health.json").read_text())
        search.terminate()
        assert search.wait(60) == 0, (tmp_path / "log").read_text()
    assert health["searched"] >= 2, (tmp_path / "log").read_text()
    assert {each["state"] for each in health["detectors"].values()} == {"searched"}


def test_without_an_address_the_server_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARRAKIS_SERVER", "grpc://127.0.0.1:7")
    assert NgddSource(WANTED, None, print).server == "grpc://127.0.0.1:7"


def test_a_server_that_is_not_there_is_said_in_one_line() -> None:
    with (
        source(f"127.0.0.1:{free_port()}") as (one, _),
        pytest.raises(ConfigurationError, match="cannot be asked") as raised,
    ):
        one.check()
    assert "\n" not in str(raised.value)


def test_a_detector_without_a_channel_and_a_missing_client_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="needs the channel of strain of L1"):
        NgddSource(NgddChannels(("H1", "L1"), 1024.0, {"H1": "TEST-STRAIN"}), None, print)
    monkeypatch.setitem(sys.modules, "arrakis", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'aframe\[ngdd\]'"):
        NgddSource(WANTED, None, print)
