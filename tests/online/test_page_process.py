import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from live_events import live_event
from live_health import live_health

from aframe.events.cluster import Clustering
from aframe.machine.processes import is_alive
from aframe.online.handover import write_handover
from aframe.online.outbox import Outbox
from aframe.online.page_process import PageWriter, start_page_process
from aframe.strain.resample import Stretch
from aframe.train.model import load

MODEL = str(Path(__file__).parents[2] / "models" / "demo" / "model.pt")
CLUSTERING = Clustering(8.0, 0.125, 8.0, 3.5)


@pytest.fixture
def directory(tmp_path: Path) -> str:
    """The output directory of a search with two signals, of which the first has a second revision."""
    outbox = Outbox(str(tmp_path), [])
    for number, revision in ((0, 0), (0, 1), (1, 0)):
        outbox.put(live_event(number, revision))
    live_health().write(str(tmp_path))
    return str(tmp_path)


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_page_has_close_ups_of_what_was_handed_over(directory: str) -> None:
    preprocessing = load(MODEL).preprocessing
    generator = np.random.default_rng(5)
    event = live_event(0, 1)
    strain = {
        ifo: Stretch(ifo, np.floor(event.time) - 74, 1024.0, 1e-21 * generator.standard_normal(92 * 1024))
        for ifo in preprocessing.ifos
    }
    write_handover(directory, event, strain, preprocessing.whitening)
    writer = PageWriter(directory, MODEL, CLUSTERING)
    writer.write()
    page = (Path(directory) / "index.html").read_text()
    assert re.findall(r"<summary>(.*?)</summary>", page) == [event.name]
    for title in ("Range", "Latency, median", "Candidates", "Q transform, H1", "Whitened strain", "Scores"):
        assert f"<h3>{title}</h3>" in page
    assert live_event(0, 0).name not in page
    begin = time.process_time()
    writer.write()  # figures are there already
    assert (Path(directory) / "index.html").read_text().count("data:image") == page.count("data:image")
    assert time.process_time() - begin < 2


def test_the_process_writes_again_and_again_and_ends_with_a_search_that_is_killed(directory: str) -> None:
    read, write = os.pipe()
    search = os.fork()
    if search == 0:
        process = start_page_process(PageWriter(directory, "", CLUSTERING), interval=0.05)
        os.write(write, str(process.pid).encode())
        process.join()
        os._exit(0)
    path, page_process = Path(directory) / "index.html", int(os.read(read, 20))
    try:
        wait_until(path.exists)
        live_health(troubles=("the disk is full",)).write(directory)
        wait_until(lambda: "the disk is full" in path.read_text())
        assert os.getpriority(os.PRIO_PROCESS, page_process) == 19
    finally:
        os.kill(search, signal.SIGKILL)
        os.waitpid(search, 0)
    wait_until(lambda: not is_alive(page_process) or "State:\tZ" in Path(f"/proc/{page_process}/status").read_text())
