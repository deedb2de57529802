"""The report: one self-contained HTML file. It needs no network and fits any screen."""

from collections.abc import Mapping, Sequence
from html import escape
from urllib.parse import quote

from bokeh.document import Document
from bokeh.embed import components
from bokeh.resources import Resources

from aframe.report.html import SORT_SCRIPT, Figures, anchor, placeholder
from aframe.report.inputs import ReportInputs
from aframe.report.sections import SECTIONS, headline, subtitle, volume_figures
from aframe.report.style import CSS
from aframe.sensitivity.volume import VolumeCurve


def build_report(inputs: ReportInputs, paper_figures: Sequence[str] = ()) -> str:
    """Build the self-contained HTML page of a run.

    Args:
        inputs: Results of the run. A note replaces each part that is None, and names the step that makes it.
        paper_figures: Paths of figures for papers, relative to the page and without ``.png`` and ``.pdf``.
    """
    plots: Figures = {}
    parts = [(title, build(inputs, plots)) for title, build in SECTIONS.items()]
    links = "".join(f'<a href="#{anchor(title)}">{title}</a>' for title, _ in parts)
    body = "".join(f'<section id="{anchor(title)}"><h2>{title}</h2>{content}</section>' for title, content in parts)
    header = f"<header><div><h1>{escape(inputs.title)}</h1><p>{escape(subtitle(inputs))}</p></div></header>"
    body = f"{headline(inputs)}{body}{_paper_figures(paper_figures)}"
    return _page(inputs.title, f"{header}<nav><div>{links}</div></nav><main>{body}</main>", plots)


def sensitive_volume_html(curves: Mapping[str, VolumeCurve], simulated: bool) -> str:
    """Build a self-contained HTML page with one interactive figure per population.

    Args:
        curves: Sensitive volume curves by population.
        simulated: Whether the search ran on simulated noise.
    """
    plots: Figures = {}
    return simple_page("Sensitive volume", volume_figures(curves, simulated, plots), plots)


def simple_page(title: str, content: str, plots: Figures) -> str:
    """Build a self-contained HTML page of one section.

    Args:
        title: Heading of the page.
        content: HTML of the section, with placeholders of figures.
        plots: The figures, by the key of their placeholder.
    """
    return _page(title, f"<main><section><h1>{escape(title)}</h1>{content}</section></main>", plots)


def _paper_figures(paths: Sequence[str]) -> str:
    """HTML of links to the figures beside the page; empty without figures."""
    items = "".join(
        f"<li>{escape(path.rpartition('/')[2].replace('_', ' '))}: "
        + ", ".join(f'<a href="{quote(path)}.{ending}">{ending.upper()}</a>' for ending in ("png", "pdf"))
        + "</li>"
        for path in paths
    )
    note = "<p>The files are beside this page. Copy them together with it.</p>"
    return f'<section id="paper-figures"><h2>Figures for papers</h2>{note}<ul>{items}</ul></section>' if items else ""


def _page(title: str, body: str, plots: Figures) -> str:
    """Replace the placeholders of a body with figures, and add styles and scripts."""
    resources = script = ""
    if plots:
        resources = Resources(mode="inline", components=["bokeh"]).render()
        document = Document()
        with document.models.freeze():  # otherwise bokeh updates all figures each time that one is added
            for plot in plots.values():
                document.add_root(plot)
        script, divs = components(plots)
        for key, div in divs.items():
            body = body.replace(placeholder(key), div)
    if 'class="sortable"' in body:
        script += f"<script>{SORT_SCRIPT}</script>"
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title><style>{CSS}</style>{resources}</head>'
        f"<body>{body}{script}</body></html>"
    )
