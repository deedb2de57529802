"""The page of a search as it runs: one self-contained file, which reloads itself and is rewritten all the time."""

import base64
import io
import time
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.backends.backend_agg import FigureCanvasAgg

from aframe.candidates.table import CandidateTable, utc
from aframe.online.health import Health
from aframe.online.live_event import LiveEvent
from aframe.online.outbox import EVENTS
from aframe.online.status import SILENCE, detector_rows, headline, latency_rows, listed, rate_rows
from aframe.progress.activity import utc as utc_of_unix
from aframe.report import figures, paper
from aframe.report.html import Cell, fill, sortable_table, table
from aframe.report.page import simple_page
from aframe.report.plots import Plot
from aframe.report.text import duration, rate

FILE = "index.html"
"""Name of the page, in the output directory."""

RELOAD = 5
"""Seconds after which the page loads itself again."""

DOTS_PER_INCH = 150

CARDS = """
<p>{{ headline }}</p>
{% for trouble in troubles %}<p class="missing">{{ trouble }}</p>{% endfor %}
<div class="cards">{% for value, name in cards %}<div class="card"><b>{{ value }}</b><span>{{ name }}</span></div>
{% endfor %}</div>
""".replace("\n", "")

PICTURES = """
<div class="grid">{% for title, address in pictures.items() %}
<div><h3>{{ title }}</h3><img src="{{ address }}" alt="{{ title }}" style="max-width:100%"></div>
{% endfor %}</div>
""".replace("\n", "")

CLOSEUPS = """
<h3>Close-ups of the loudest</h3>
{% for name, content in closeups.items() %}
<details{{ " open" if loop.first else "" }}><summary>{{ name }}</summary>{{ content }}</details>
{% endfor %}
""".replace("\n", "")

SCRIPT = """
<p class="note">Written {{ written }}. This page loads itself again every {{ seconds }} s.</p>
<script>setTimeout(() => location.reload(), 1000 * {{ seconds }});</script>
""".replace("\n", "")


def build_page(
    health: Health, events: Sequence[LiveEvent], pictures: Mapping[str, str], closeups: Mapping[str, Markup]
) -> str:
    """Build the page.

    Args:
        health: The latest record.
        events: Last revision of each signal, the loudest first.
        pictures: Addresses of figures, as ``picture`` makes them, by their titles.
        closeups: HTML of the loudest events' close-ups, by the events' names.
    """
    silent = time.time() - health.written
    state = "over" if health.is_over else "silent" if silent > SILENCE else "running"
    seconds = RELOAD if state == "running" else 60
    cards = [
        (duration(health.searched), "searched"),
        (str(health.counts.get("events", len(events))), "events"),
        (duration(health.background_livetime), f"of background: {health.background or 'none'}"),
        (listed(health.waiting) or "nothing", "to send"),
    ]
    content = fill(CARDS, headline=headline(health, state, silent), troubles=health.troubles, cards=cards)
    for title, rows in (("Detectors", detector_rows(health)), ("Latency", latency_rows(health)),
                        ("Events against expectation", rate_rows(health))):  # fmt: skip
        if len(rows) > 1:
            content += fill("<h3>{{ title }}</h3>", title=title) + table(rows[0], rows[1:], text_columns=2)
    content += fill(PICTURES, pictures=pictures) + _events(events)
    if closeups:
        content += fill(CLOSEUPS, closeups=closeups)
    content += fill(SCRIPT, written=utc_of_unix(health.written), seconds=seconds)
    return simple_page(f"aframe online: {', '.join(health.detectors)}", content, {})


def picture(plot: Plot) -> str:
    """Draw a figure, and return it as an address that holds all of it."""
    stream = io.BytesIO()
    with paper.looks():
        drawn = paper.single(plot)
        drawn.set_dpi(DOTS_PER_INCH)
        FigureCanvasAgg(drawn).print_png(stream, metadata={"Software": None})
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def rate_plot(health: Health, events: Sequence[LiveEvent]) -> Plot | None:
    """Number of events against their inverse false alarm rate, and what noise alone gives; None without both.

    Args:
        health: The latest record, with the searched time.
        events: Last revision of each signal, the loudest first.
    """
    known = [event for event in events if 0 < event.far_per_year < np.inf]
    if not known or not health.searched > 0:
        return None
    columns = {
        "detection_time": np.array([event.time for event in known]),
        "detection_statistic": np.array([event.statistic for event in known]),
        "far_per_year": np.array([event.far_per_year for event in known]),
        "significance": np.full(len(known), np.nan),
        "far_is_upper_limit": np.array([event.far_is_upper_limit for event in known]),
    }
    attributes = {"Tb": health.background_livetime, "T0": health.searched}
    return figures.candidates(CandidateTable(columns, attributes=attributes))


def _events(events: Sequence[LiveEvent]) -> Markup:
    rows = []
    for event in events:
        masses = [event.template.get(name) for name in ("mass_1", "mass_2")]
        text = " + ".join(f"{mass:.1f}" for mass in masses if mass is not None)
        likely = max(event.p_astro.items(), key=lambda item: item[1], default=("", 0.0))
        snrs = ", ".join(f"{ifo} {view.snr:.1f}" for ifo, view in event.detectors.items() if view.snr == view.snr)
        far = rate(event.far_per_year, event.far_is_upper_limit)
        rows.append(
            [
                Cell(event.name, link=f"{EVENTS}/{event.name}.json"), Cell(utc(event.time), event.time),
                Cell(f"{event.statistic:.3f}", event.statistic), Cell(far, event.far_per_year), Cell(snrs),
                Cell(text), Cell(f"{likely[0]} {likely[1]:.2f}" if likely[0] else ""),
            ]
        )  # fmt: skip
    header = ["Event", "UTC", "Statistic", "False alarm rate", "SNR", "Masses (M☉, detector frame)", "Class"]
    return Markup("<h3>Events, loudest first</h3>") + sortable_table("events", header, rows)
