"""The report's table of the glitches near the loudest background events of simulated noise."""

from markupsafe import Markup

from aframe.events.glitches import EventGlitches
from aframe.report import html
from aframe.report.html import fill
from aframe.report.text import number

LOUDEST = (10, 100, 1000)
"""Numbers of the loudest events in which glitches are counted."""

TEXT = """
<h3>Glitches</h3>
<p>Class of the loudest glitch near each of the loudest background events, in any detector. By chance, the share of
events that the last column says would have a glitch of the class near.</p>
"""


def glitches_html(glitches: EventGlitches) -> Markup:
    """HTML of a table with the number of glitches of each class, and of events near them.

    Args:
        glitches: The loudest events and the glitches near them.
    """
    columns = [limit for k, limit in enumerate(LOUDEST) if k == 0 or len(glitches.statistics) > LOUDEST[k - 1]]
    counts = [glitches.among(limit) for limit in columns]
    ifos = list(dict.fromkeys(ifo for _, ifo in glitches.numbers))
    rows = [
        [
            name.replace("_", " "),
            *(number(glitches.numbers[name, ifo]) for ifo in ifos),
            *(number(each.get(name, 0)) for each in counts),
            f"{share:.1%}",
        ]
        for name, share in glitches.shares.items()
    ]
    quiet = f"{max(0.0, 1 - sum(glitches.shares.values())):.1%}"
    rows.append(["no glitch", *("" for _ in ifos), *(number(each.get("", 0)) for each in counts), quiet])
    header = ("Class", *(f"In {ifo}" for ifo in ifos), *(f"Loudest {limit}" for limit in columns), "By chance")
    return fill(TEXT) + html.table(header, rows)
