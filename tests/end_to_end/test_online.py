"""The shipped bank of matched filters, searching strain as it arrives: what it finds, when, and how rare."""

import json
import multiprocessing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from planted import RATE, noise_with_signals
from shipped import BANK

from aframe import cli, storage
from aframe.online.live_event import LiveEvent
from aframe.online.outbox import stored_events
from aframe.strain.files import write_background
from aframe.tables import EventTable

pytestmark = pytest.mark.thorough

START, LENGTH = 1_420_000_040.0, 140.0
SNRS = np.array([14.0, 24.0])
TIMES = START + 64 + np.array([25.0, 60.5])
FAR = 1e4
"""Rate of alerts, events a year."""


@dataclass(frozen=True)
class Ran:
    """What a search of the same strain gives in a file, and as it arrives.

    Attributes:
        offline: Events of ``aframe infer``, loudest first.
        events: Latest revision of each event of ``aframe online``, in order of time.
        output: Its directory.
    """

    offline: EventTable
    events: list[LiveEvent]
    output: Path


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Noise with two signals, and a background of a file that is as loud as that of the demo's noise."""
    directory = tmp_path_factory.mktemp("online")
    strain = str(directory / "strain.hdf5")
    write_background(strain, noise_with_signals(START, LENGTH, TIMES, SNRS, 3), START, RATE)
    statistics = -2 + np.random.default_rng(0).exponential(1.0, 3000)
    columns = {"detection_statistic": statistics, "detection_time": np.zeros(3000), "shift": np.zeros((3000, 2))}
    EventTable(columns, attributes={"Tb": 1000 * 3600.0}).write(str(directory / "background.hdf5"), {})
    demo = Path(BANK).parent
    text = (demo / "sandbox.cfg").read_text().replace("precision = auto", "precision = float32")
    (directory / "sandbox.cfg").write_text(f"{text}\n[luigi_online]\nfar_per_year = {FAR}\nbackground_hours = 1\n")
    (directory / "train.yaml").write_bytes((demo / "train.yaml").read_bytes())
    words = ["--model", BANK, "--background", str(directory / "background.hdf5")]
    online = ["online", "--cfg", str(directory / "sandbox.cfg"), "--output", str(directory / "out")]
    process = multiprocessing.get_context("fork").Process(
        target=cli.main, args=([*online, *words, "--replay", strain, "--speed", "0"],)
    )
    process.start()
    process.join()
    assert process.exitcode == 0
    cli.main(["infer", *words, "--strain", strain, "--output", str(directory / "events.hdf5")])
    output = directory / "out"
    read = [LiveEvent.read(str(output / "events" / f"{name}.json")) for name in stored_events(str(output))]
    latest = {event.identifier: event for event in sorted(read, key=lambda event: event.revision)}
    events = sorted(latest.values(), key=lambda event: event.time)
    return Ran(EventTable.read(str(directory / "events.hdf5")), events, output)


def test_each_signal_is_one_event_as_in_the_search_of_the_file(ran: Ran) -> None:
    assert [event.time for event in ran.events] == pytest.approx(TIMES.tolist(), abs=0.3)
    for event in ran.events:
        row = np.abs(ran.offline["detection_time"] - event.time).argmin()
        assert event.time == pytest.approx(ran.offline["detection_time"][row], abs=1 / RATE)
        assert event.statistic == pytest.approx(ran.offline["detection_statistic"][row], abs=1e-3)
        assert event.far_per_year == pytest.approx(ran.offline["far_per_year"][row])


def test_the_detectors_snrs_are_those_of_the_signals(ran: Ran) -> None:
    for event, snr in zip(ran.events, SNRS, strict=True):
        assert np.hypot(*(view.snr for view in event.detectors.values())) == pytest.approx(snr, rel=0.15)
        times = [view.time for view in event.detectors.values()]
        assert abs(times[0] - times[1]) < 0.012


def test_each_event_says_which_background_ranks_it(ran: Ran) -> None:
    assert all("background.hdf5, sha256 " in event.versions["background"] for event in ran.events)
    assert all(event.far_is_upper_limit for event in ran.events)


def test_signals_leave_the_slides(ran: Ran) -> None:
    excluded = json.loads((ran.output / "background" / "excluded.json").read_text())
    assert excluded == pytest.approx([event.time for event in ran.events], abs=0.5)
    assert storage.glob(str(ran.output / "background" / "embeddings"), "*.hdf5")
