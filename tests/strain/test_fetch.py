import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlparse

import numpy as np
import pytest
from gwpy.timeseries import TimeSeries

from aframe.errors import DataError
from aframe.strain import fetch
from aframe.strain.noise_curves import load_asd
from aframe.strain.recordings import read_strain
from aframe.strain.resample import Stretch
from aframe.strain.simulate import simulate

EVENT = 1126259446.0


def served(ifo, start, stop, rate):
    """What GWOSC would send: samples that are their own index from GPS 0, missing for a while in L1."""
    time = start + np.arange(round((stop - start) * rate)) / rate
    data = np.sin(2 * np.pi * 30 * (time - 1000))
    if ifo == "L1":
        data[(time >= 1030.25) & (time < 1031)] = np.nan
    return Stretch(ifo, float(start), float(rate), data)


def test_open_data_cover_exactly_what_is_asked(monkeypatch):
    monkeypatch.setattr(fetch, "_request", served)
    (stretch,) = fetch.fetch_open_data("H1", 1000.0, 1060.0, 2048.0)
    assert (stretch.start, stretch.stop) == (1000, 1060)
    np.testing.assert_allclose(stretch.data, np.sin(2 * np.pi * 30 * np.arange(60 * 2048) / 2048), atol=3e-5)


def test_the_rate_of_open_data_is_the_lowest_that_serves(monkeypatch):
    rates = []
    monkeypatch.setattr(fetch, "_request", lambda *arguments: rates.append(arguments[-1]) or served(*arguments))
    for rate in (2048.0, 4096.0, 8192.0):
        fetch.fetch_open_data("H1", 1000.0, 1002.0, rate)
    assert rates == [4096, 4096, 16384]
    with pytest.raises(DataError, match="more than the 16384 Hz"):
        fetch.fetch_open_data("H1", 1000.0, 1002.0, 32768.0)


def test_transient_failures_are_retried_and_lasting_ones_reported(monkeypatch):
    attempts = []

    def flaky(*arguments):
        attempts.append(arguments)
        if len(attempts) < 3:
            raise ConnectionError("reset")
        return served(*arguments)

    monkeypatch.setattr(fetch, "DELAYS", (0.0, 0.0, 0.0))
    monkeypatch.setattr(fetch, "_request", flaky)
    assert fetch.fetch_open_data("H1", 1000.0, 1002.0, 2048.0)
    attempts.clear()

    def dead(*arguments):
        attempts.append(arguments)
        raise TimeoutError("no answer")

    monkeypatch.setattr(fetch, "_request", dead)
    with pytest.raises(DataError, match=r"H1 from 1000 to 1002 \(TimeoutError: no answer\): check the network"):
        fetch.fetch_open_data("H1", 1000.0, 1002.0, 2048.0)
    assert len(attempts) == 4


def test_segment_of_open_data_is_split_around_gaps(monkeypatch, source):
    monkeypatch.setattr(fetch, "_request", served)
    first, second = fetch.strain_for_segment(source(kind="gwosc"), 1000.0, 1060.0)
    assert first.start == 1000
    assert first.start + first.duration == pytest.approx(1030.125, abs=1e-3)
    assert second.start == pytest.approx(1031.125, abs=1e-3)
    assert second.start + second.duration == 1060
    gaps = []
    assert not fetch.strain_for_segment(source(kind="gwosc", min_duration=40.0), 1000.0, 1060.0, gaps.append)
    assert [(gap.ifo, gap.start, gap.stop) for gap in gaps] == [("L1", 1030.25, 1031.0)]


def test_simulated_segment(source):
    settings = source(asd=("aLIGO_O4_high_asd.txt",))
    (piece,) = fetch.strain_for_segment(settings, 1000.5, 1010.5)
    curve = load_asd("aLIGO_O4_high_asd.txt")
    for ifo in settings.ifos:
        expected = simulate(curve, ifo, 1000.5, 1010.5, 2048.0, seed=settings.seed)
        np.testing.assert_array_equal(piece.strain[ifo], expected)
    assert (piece.start, piece.duration) == (1000.5, 10)


def test_local_segment_of_either_format(source, data_directory, tmp_path):
    names = ("H-H1_LOSC_4_V2-1126259446-32.gwf", "L-L1_LOSC_4_V2-1126259446-32.hdf5")
    for name in names:
        shutil.copy(data_directory / "strain" / name, tmp_path)
    (piece,) = fetch.strain_for_segment(source(kind="local", frames=str(tmp_path)), EVENT + 1, EVENT + 31)
    assert (piece.start, piece.duration) == (EVENT + 1, 30)
    (whole,) = read_strain([str(tmp_path / names[0])], None, 2048.0)["H1"]
    first = round((1 - (whole.start - EVENT)) * 2048)
    expected = whole.data[first : first + 30 * 2048]
    np.testing.assert_allclose(piece.strain["H1"], expected, atol=1e-12 * np.abs(expected).max())


class Datafind(BaseHTTPRequestHandler):
    """Answers as datafind does, about the one file of ``place``."""

    place = ""

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = urlparse(self.path).path
        answer = ["H1_HOFT_C01"] if path.endswith("gwf/H.json") else [f"file://localhost{self.place}"]
        text = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def test_a_channel_that_datafind_knows(tmp_path, source):
    name, start = "DCS-CALIB_STRAIN_CLEAN_C01", 1126259440
    data = np.random.default_rng(3).normal(0, 1e-21, 16 * 4096)
    Datafind.place = str(tmp_path / f"H-H1_HOFT_C01-{start}-16.gwf")
    TimeSeries(data, t0=start, sample_rate=4096, name=f"H1:{name}").write(Datafind.place)
    code = (
        "import sys, numpy; from aframe.strain.fetch import fetch_channel, write_channel\n"
        f"write_channel(sys.argv[1], fetch_channel('H1', {name!r}, {start} + 1.5, {start} + 9.5))"
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), Datafind) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        # gwpy reads the variable when it is imported
        found = {**os.environ, "GWDATAFIND_SERVER": f"http://127.0.0.1:{server.server_address[1]}"}
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "out.hdf5")], env=found, check=True)
        server.shutdown()
    (stretch,) = read_strain([str(tmp_path / "out.hdf5")], None, 4096.0)["H1"]
    first = round((stretch.start - start) * 4096)
    assert (stretch.start, stretch.stop) == (start + 1, start + 10)
    np.testing.assert_array_equal(stretch.data, data[first : first + len(stretch.data)])


def test_a_chosen_channel_of_a_segment_is_no_open_data(monkeypatch, source):
    monkeypatch.setattr(fetch, "_request", served)
    asked = []

    def other(name, start, stop):
        asked.append((name, start, stop))
        return served(name[:2], start, stop, 4096)

    monkeypatch.setattr(fetch, "_from_any_source", other)
    (piece,) = fetch.strain_for_segment(source(kind="gwosc", channels={"H1": "GDS-STRAIN"}), 1000.0, 1030.0)
    assert asked == [("H1:GDS-STRAIN", 999, 1031)]
    assert (piece.start, piece.duration) == (1000, 30)


def test_time_without_data_is_reported_at_once(monkeypatch):
    attempts = []

    def nothing(*arguments):
        attempts.append(arguments)
        raise ExceptionGroup("no source", [ValueError("Cannot find a GWOSC dataset")])

    monkeypatch.setattr(fetch, "_request", nothing)
    with pytest.raises(DataError, match=r"\(ValueError: Cannot find a GWOSC dataset\): check"):
        fetch.fetch_open_data("H1", 1000.0, 1002.0, 2048.0)
    assert len(attempts) == 1
