"""A server on this machine that answers as GWOSC does, and files of strain as GWOSC has."""

import contextlib
import json
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import h5py
import numpy as np
import torch

from aframe.strain.noise_curves import load_asd
from aframe.strain.observing_runs import RUNS
from aframe.strain.simulate import simulate
from aframe.types import Array
from aframe.waveforms.horizon import optimal_snr
from aframe.waveforms.polarizations import WaveformGenerator
from aframe.waveforms.projection import detector_geometry, project

RATE, DURATION, BEFORE = 4096.0, 32, 15
SNR = 30.0
CURVE = "aLIGO_O4_high_asd.txt"
IFOS = ("H1", "L1")


def signal() -> dict[str, Array]:
    """Responses to a binary of black holes that merges a second before the end, for each detector."""
    binary = {"mass_1": 38.0, "mass_2": 32.0, "luminosity_distance": 500.0, "theta_jn": 0.4, "phase": 1.0}
    binary |= dict.fromkeys(("a_1", "a_2", "tilt_1", "tilt_2", "phi_jl", "phi_12"), 0.0)
    generator = WaveformGenerator("IMRPhenomPv2", RATE, 4.0, 1.0, 20.0, 50.0)
    waves = generator.generate({name: np.array([value]) for name, value in binary.items()}, workers=1)
    where = (torch.tensor([angle]) for angle in (1.4, -1.2, 0.3))
    seen = project(*map(torch.from_numpy, waves), detector_geometry(IFOS), *where, RATE)
    psd = torch.tensor(np.interp(np.arange(RATE / 2 + 1), *load_asd(CURVE)) ** 2)
    each = optimal_snr(seen, torch.stack([psd, psd]), RATE, 32.0, None)
    scaled = np.asarray(seen * SNR / torch.linalg.vector_norm(each, dim=-1), np.float64)
    return dict(zip(IFOS, scaled[0], strict=True))


def strain(ifo: str, start: float, merger: float, response: Array | None) -> Array:
    """Strain of 32 s, with or without a signal that merges at a time."""
    data = simulate(load_asd(CURVE), ifo, start, start + DURATION, RATE, seed=5)
    if response is not None:
        first = round((merger + 1.0 - start) * RATE) - len(response)
        data[first : first + len(response)] += response
    return data


def write_file(path: Path, ifo: str, start: float, data: Array) -> None:
    """A file in GWOSC's layout."""
    with h5py.File(path, "w") as file:
        file.create_dataset("strain/Strain", data=data, compression="gzip")
        file["strain/Strain"].attrs.update({"Xstart": start, "Xspacing": 1 / RATE})
        for name, value in {"Detector": ifo, "GPSstart": start, "Duration": len(data) / RATE}.items():
            file[f"meta/{name}"] = value


@dataclass
class Faults:
    """What the server does wrong.

    Attributes:
        halves: How many files end half-way.
        busy: How many questions it answers with 503.
        ranges: Whether it sends parts of files.
        pause: Seconds between the bytes that it sends of a file; 0 for none.
        silent: Seconds before each answer.
    """

    halves: int = 0
    busy: int = 0
    ranges: bool = True
    pause: float = 0.0
    silent: float = 0.0


@dataclass
class OpenData:
    """The server's events and files.

    Attributes:
        directory: Its files.
        events: Each with what GWOSC says about it.
        asked: Paths of all requests.
        faults: What it does wrong.
        gaps: Times without data, GPS s, by detector.
        address: Its URL.
    """

    directory: Path
    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    gaps: dict[str, tuple[float, float]] = field(default_factory=dict)
    address: str = ""

    def add(self, name: str, gps: float, response: dict[str, Array] | None, ifos: tuple[str, ...] = IFOS) -> None:
        """Add an event with its files of 32 s."""
        start = int(gps) - BEFORE
        for ifo in ifos:
            path = self.directory / f"{ifo[0]}-{ifo}_GWOSC_4KHZ_R1-{start}-{DURATION}.hdf5"
            write_file(path, ifo, float(start), strain(ifo, float(start), gps, response and response[ifo]))
        run = next((run.name for run in RUNS if run.whole.start <= gps < run.whole.stop), "")
        self.events[name] = {
            "name": name, "shortName": f"{name}-v2", "gps": gps, "version": 2, "catalog": "GWTC-test", "run": run,
            "detectors": list(ifos),
            "default_parameters": [{"name": "network_matched_filter_snr", "best": SNR}, {"name": "far", "best": 1e-5}],
        }  # fmt: skip

    def files(self, ifo: str) -> list[dict[str, Any]]:
        """Descriptions of a detector's files."""
        described = []
        for path in sorted(self.directory.glob(f"?-{ifo}_*")):
            start, duration = (int(part) for part in path.stem.split("-")[-2:])
            url = f"{self.address}/redirected/{path.name}"
            described.append(
                {"detector": ifo, "gps_start": start, "duration": duration, "download_url": url, "hdf5_url": url}
            )
        return described

    def answer(self, path: str, query: dict[str, str]) -> Any:  # noqa: PLR0911 - one for each question
        """What the interface answers; None for nothing."""
        match path.strip("/").split("/")[2:]:
            case ["event-versions"]:
                low, high = float(query.get("min-gps-time", 0)), float(query.get("max-gps-time", 1e12))
                return [event for event in self.events.values() if low <= event["gps"] <= high]
            case ["event-versions", name]:
                return self.events.get(name.partition("-v")[0])
            case ["event-versions", name, "strain-files"]:
                event = self.events.get(name.partition("-v")[0])
                if event is None:
                    return None
                files = self.files(query["detector"])
                return [each for each in files if each["gps_start"] <= event["gps"] < each["gps_start"] + DURATION]
            case ["runs"]:
                return [
                    {"name": run.name, "detectors": [*run.spans], "gps_start": run.whole.start,
                     "gps_end": run.whole.stop}
                    for run in RUNS
                ]  # fmt: skip
            case ["runs", _, "strain-files"]:
                start, stop = float(query["start"]), float(query["stop"])
                files = self.files(query["detector"])
                return [each for each in files if each["gps_start"] <= stop and each["gps_start"] + DURATION > start]
            case ["timelines", flag, "segments"]:
                start, stop = float(query["start"]), float(query["stop"])
                low, high = self.gaps.get(flag[:2], (start, start))
                return [{"start": a, "stop": b} for a, b in ((start, low), (high, stop)) if b > a]
        return None


class Handler(BaseHTTPRequestHandler):
    """Answers of the interface in pages of two, redirects, and files in parts."""

    def __init__(self, data: OpenData, *arguments: Any) -> None:
        self.data = data
        super().__init__(*arguments)

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        """Answer."""
        url, faults = urlparse(self.path), self.data.faults
        self.data.asked.append(self.path)
        time.sleep(faults.silent)
        if faults.busy:
            faults.busy -= 1
            self.send_response(503)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif url.path.startswith("/redirected/"):
            self.send_response(302)
            self.send_header("Location", url.path.replace("/redirected/", "/store/"))
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif url.path.startswith("/store/"):
            self._file(self.data.directory / url.path.rpartition("/")[2])
        else:
            self._json(url.path, {name: values[-1] for name, values in parse_qs(url.query).items()})

    def _json(self, path: str, query: dict[str, str]) -> None:
        answer = self.data.answer(path, query)
        if isinstance(answer, list):
            page, count = int(query.get("page", 1)), max(1, -(-len(answer) // 2))
            rest = "&".join(f"{name}={value}" for name, value in query.items() if name != "page")
            following = f"{self.data.address}{path}?{rest}&page={page + 1}" if page < count else None
            answer = {"results": answer[2 * page - 2 : 2 * page], "num_pages": count, "next": following}
        text = json.dumps(answer if answer is not None else {"detail": "Not found."}).encode()
        self.send_response(200 if answer is not None else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        with contextlib.suppress(OSError):  # who asked has lost patience
            self.wfile.write(text)

    def _file(self, path: Path) -> None:
        faults, content = self.data.faults, path.read_bytes()
        first = 0
        asked = self.headers.get("Range", "")
        tag = f'"{hash(content)}"'
        if asked and faults.ranges and self.headers.get("If-Range") == tag:
            first = int(asked.removeprefix("bytes=").rstrip("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        part = content[first:]
        if faults.halves:
            faults.halves -= 1
            part = part[: len(part) // 2]
        with contextlib.suppress(OSError):  # who asked has lost patience
            if not faults.pause:
                self.wfile.write(part)
            for k in range(0, len(part) if faults.pause else 0, 10):
                self.wfile.write(part[k : k + 10])
                time.sleep(faults.pause)
        self.close_connection = True


class Serving:
    """A server at work, until the end of the context."""

    def __init__(self, data: OpenData) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, data))
        self.server.daemon_threads = True
        data.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.data = data

    def __enter__(self) -> OpenData:
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self.data

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
