"""The report: one self-contained HTML file. It needs no network and fits any screen."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from bokeh.document import Document
from bokeh.embed import components
from bokeh.resources import Resources
from markupsafe import Markup

from aframe.report.html import SORT_SCRIPT, Figures, anchor, fill, placeholder
from aframe.report.inputs import ReportInputs
from aframe.report.sections import SECTIONS, headline, subtitle, volume_figures
from aframe.report.style import CSS
from aframe.sensitivity.volume import VolumeCurve

PAGE = """
<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><title>{{ title }}</title><style>{{ css }}</style>{{ resources }}</head>
<body>{{ body }}{{ script }}</body></html>
""".replace("\n", "")

BODY = """
<header><div><h1>{{ title }}</h1><p>{{ subtitle }}</p></div></header>
<nav><div>{% for anchor, heading, _ in sections %}<a href="#{{ anchor }}">{{ heading }}</a>{% endfor %}</div></nav>
<main>{{ headline }}
{% for anchor, heading, content in sections %}
<section id="{{ anchor }}"><h2>{{ heading }}</h2>{{ content }}</section>
{% endfor %}
{{ figures }}</main>
""".replace("\n", "")

PAPER_FIGURES = """
<section id="paper-figures"><h2>Figures for papers</h2>
<p>The files are beside this page. Copy them together with it.</p>
<ul>{% for name, path in figures %}
<li>{{ name }}: <a href="{{ path }}.png">PNG</a>, <a href="{{ path }}.pdf">PDF</a></li>
{% endfor %}</ul></section>
""".replace("\n", "")


def build_report(inputs: ReportInputs, paper_figures: Sequence[str] = ()) -> str:
    """Build the self-contained HTML page of a run.

    Args:
        inputs: Results of the run. A note replaces each part that is None, and names the step that makes it.
        paper_figures: Paths of figures for papers, relative to the page and without ``.png`` and ``.pdf``.
    """
    plots: Figures = {}
    parts = [(title, build(inputs, plots)) for title, build in SECTIONS.items()]
    body = fill(
        BODY, title=inputs.title, subtitle=subtitle(inputs), headline=headline(inputs),
        sections=[(anchor(title), title, content) for title, content in parts], figures=_paper_figures(paper_figures),
    )  # fmt: skip
    return _page(inputs.title, body, plots)


def sensitive_volume_html(curves: Mapping[str, VolumeCurve], simulated: bool) -> str:
    """Build a self-contained HTML page with one interactive figure per population.

    Args:
        curves: Sensitive volume curves by population.
        simulated: Whether the search ran on simulated noise.
    """
    plots: Figures = {}
    return simple_page("Sensitive volume", volume_figures(curves, simulated, plots, {}), plots)


def simple_page(title: str, content: Markup, plots: Figures) -> str:
    """Build a self-contained HTML page of one section.

    Args:
        title: Heading of the page.
        content: HTML of the section, with placeholders of figures.
        plots: The figures, by the key of their placeholder.
    """
    body = fill("<main><section><h1>{{ title }}</h1>{{ content }}</section></main>", title=title, content=content)
    return _page(title, body, plots)


def _paper_figures(paths: Sequence[str]) -> Markup:
    """HTML of links to the figures beside the page; empty without figures."""
    figures = [(path.rpartition("/")[2].replace("_", " "), quote(path)) for path in paths]
    return fill(PAPER_FIGURES, figures=figures) if figures else Markup()


def _page(title: str, body: Markup, plots: Figures) -> str:
    """Replace the placeholders of a body with figures, and add styles and scripts."""
    resources, script, html = "", "", str(body)
    if plots:
        resources = Resources(mode="inline", components=["bokeh"]).render()
        document = Document()
        with document.models.freeze():  # otherwise bokeh updates all figures each time that one is added
            for plot in plots.values():
                document.add_root(plot)
        script, divs = components(plots)
        for key, div in divs.items():
            html = html.replace(placeholder(key), div)
    if 'class="sortable"' in html:
        script += f"<script>{SORT_SCRIPT}</script>"
    parts = {"css": CSS, "resources": resources, "body": html, "script": script}
    return str(fill(PAGE, title=title, **{name: Markup(part) for name, part in parts.items()}))
