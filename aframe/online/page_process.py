"""The process that writes the page, so that the search does not wait for figures. It has a low priority."""

import contextlib
import multiprocessing
import os
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from markupsafe import Markup

from aframe import storage
from aframe.errors import AframeError
from aframe.events.cluster import Clustering
from aframe.machine.processes import die_with_parent
from aframe.online.health import Health
from aframe.online.history import History
from aframe.online.live_event import LiveEvent
from aframe.online.outbox import HANDOVER
from aframe.online.page import FILE, PICTURES, build_page, picture, rate_plot
from aframe.online.status import latest_events
from aframe.report.closeup_figures import closeup_figures
from aframe.report.html import fill

if TYPE_CHECKING:
    from aframe.train.model import Model

INTERVAL = 5.0
"""Time between two pages, s."""

REDRAWN = 60.0
"""Time between two drawings of the figures, s. Tables are new in each page."""

SHOWN_EVENTS = 1000
"""Number of the latest events among which the page looks for the loudest."""

CLOSEUPS = 5
"""Number of the loudest events with close-ups."""

LOWEST_PRIORITY = 19


@dataclass
class PageWriter:
    """Writes the page of a search from the files in its output directory.

    Attributes:
        directory: Output directory of the search.
        model: Path of its model; empty for a page without close-ups.
        clustering: Settings that turn scores into events.
    """

    directory: str
    model: str
    clustering: Clustering
    _pictures: dict[str, str] = field(default_factory=dict)
    _drawn: float = -REDRAWN
    _closeups: dict[str, Markup] = field(default_factory=dict)
    _events: dict[str, LiveEvent] = field(default_factory=dict)
    _loaded: "Model | None" = None

    def __post_init__(self) -> None:
        self._history = History(self.directory)

    def write(self) -> None:
        """Write the page once.

        Raises:
            StorageError: If there is no record, or the page cannot be written.
        """
        health = Health.read(self.directory)
        self._events = latest_events(self.directory, SHOWN_EVENTS, self._events)
        events = sorted(self._events.values(), key=lambda event: -event.statistic)
        self._history.add(health)
        if time.monotonic() - self._drawn >= REDRAWN:
            plots = self._history.plots(health.written)
            rates = rate_plot(health, events)
            self._pictures = {plot.title: picture(plot) for plot in (*plots, *([rates] if rates else []))}
            self._drawn = time.monotonic()
        closeups = {event.name: self._closeup(event) for event in events[:CLOSEUPS]}
        self._closeups = {name: content for name, content in closeups.items() if content is not None}
        storage.write_text(
            storage.join(self.directory, FILE), build_page(health, events, self._pictures, self._closeups)
        )

    def _closeup(self, event: LiveEvent) -> Markup | None:
        """HTML of an event's close-up from its hand-over, drawn once; None without a hand-over."""
        if event.name in self._closeups:
            return self._closeups[event.name]
        path = storage.join(self.directory, HANDOVER, f"{event.name}.hdf5")
        if not self.model or not storage.exists(path):
            return None
        from aframe.train.model import load

        if self._loaded is None:
            self._loaded = load(self.model)
        return draw_closeup(path, event, self._loaded, self.clustering)


def draw_closeup(path: str, event: LiveEvent, model: "Model", clustering: Clustering) -> Markup:
    """Draw the close-up of an event from the strain of its hand-over.

    Args:
        path: The hand-over.
        event: The event.
        model: Network and preprocessing.
        clustering: Settings that turn scores into events.

    Returns:
        HTML with the figures; a sentence if the strain is too short for them.
    """
    from aframe.inference.closeup import closeup, needed_stretch, usual_extent, whitened_recording
    from aframe.inference.recorded import recordings_of

    extent = usual_extent(clustering)
    try:
        recordings = recordings_of([path], model.preprocessing.ifos)
        stretch = whitened_recording(
            recordings, model.preprocessing, *needed_stretch(event.time, extent, model, clustering)
        )
        data = closeup(model, stretch, clustering, event.time, extent)
        plots = closeup_figures(data, event.time, event.statistic)
        return fill(PICTURES, pictures={plot.title: picture(plot) for plot in plots})
    except (AframeError, ValueError, IndexError) as error:
        return fill('<p class="missing">There is no close-up: {{ error }}.</p>', error=error)


def write_pages(writer: PageWriter, interval: float = INTERVAL) -> None:
    """Write the page again and again, in a process of its own that ends with its parent.

    Args:
        writer: What writes it.
        interval: Time between two pages, s.
    """
    die_with_parent()
    os.nice(LOWEST_PRIORITY)
    said = ""
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            try:
                writer.write()
            except AframeError:
                pass  # no record yet, or a full disk: the next page comes soon
            except Exception as error:  # of a figure, say: nobody would start this process again
                text = f"note: the page is not written: {type(error).__name__}: {error}"
                if text != said:
                    print(text, file=sys.stderr)
                said = text
            time.sleep(interval)


def start_page_process(writer: PageWriter, interval: float = INTERVAL) -> multiprocessing.process.BaseProcess:
    """Start the process that writes the page. It ends with this one, or with ``terminate``.

    Args:
        writer: What writes the page.
        interval: Time between two pages, s.
    """
    process = multiprocessing.get_context("spawn").Process(
        target=write_pages, args=(writer, interval), daemon=True, name="aframe-page"
    )
    process.start()
    return process
