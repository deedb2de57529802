"""The report's close-ups of the loudest candidates: Q transforms, whitened strain, scores."""

from collections.abc import Mapping

from markupsafe import Markup

from aframe.candidates.table import utc
from aframe.inference.closeup import Closeup
from aframe.report.closeup_figures import closeup_figures
from aframe.report.html import Figures, fill, grid
from aframe.report.inputs import ReportInputs
from aframe.report.interactive import draw_titled
from aframe.report.text import rate
from aframe.tables import Table

EXPLANATION = (
    "Energies of the Q transform are in units of their mean in Gaussian noise, where they are exponentially "
    "distributed. The best tile of a signal of SNR ρ has about ρ²/2. All detectors share one scale. Whitened strain is "
    "in standard deviations of the noise. The score of a window is drawn at the coalescence time that the window "
    "stands for. The statistic is an average of scores, and candidates are its local maxima."
)

UNFOLDING = """
<h3>Close-ups of the loudest</h3><p class="note">{{ explanation }}</p>
{% for heading, content in parts %}
<details{{ " open" if loop.first else "" }}><summary>{{ heading }}</summary>{{ content }}</details>
{% endfor %}
""".replace("\n", "")


def closeups(inputs: ReportInputs, plots: Figures) -> Markup:
    """HTML of the close-ups, each in a part that unfolds. The first is open. Empty if there are no close-ups.

    Args:
        inputs: Inputs of the report.
        plots: Figures of the page. Those of the close-ups are added.
    """
    table, background = inputs.candidates, inputs.background
    if not inputs.closeups or table is None or background is None:
        return Markup()
    rates = {}
    for rank in inputs.closeups:
        far, statistic = (float(table[name][rank - 1]) for name in ("far_per_year", "detection_statistic"))
        rates[rank] = rate(far, bool(background.is_upper_limit(statistic)))
    return unfolding(inputs.closeups, table, rates, plots)


def unfolding(shown: Mapping[int, Closeup], table: Table, rates: Mapping[int, str], plots: Figures) -> Markup:
    """HTML of the close-ups of events, each in a part that unfolds. The first is open.

    Args:
        shown: Close-ups by rank. Ranks start at 1.
        table: All events, loudest first.
        rates: False alarm rates as texts, by rank; empty if there are none.
        plots: Figures of the page. Those of the events are added.
    """
    parts: list[tuple[str, Markup]] = []
    for rank, closeup in shown.items():
        time, statistic = (float(table[name][rank - 1]) for name in ("detection_time", "detection_statistic"))
        heading = f"{rank} · {utc(time)} · statistic {statistic:.3f}" + (f" · FAR {rates[rank]}" if rates else "")
        content = grid(plots, draw_titled(closeup_figures(closeup, time, statistic)), f"closeup-{rank}")
        parts.append((heading, content))
    return fill(UNFOLDING, explanation=EXPLANATION, parts=parts)
