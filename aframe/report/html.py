"""HTML of the report's page: tables, placeholders of figures, notes on missing parts."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
from bokeh.model import Model
from bokeh.plotting import figure
from markupsafe import Markup

Figures = dict[str, Model]
"""Figures of a page, by the key of their placeholder."""

ENVIRONMENT = jinja2.Environment(
    autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


@dataclass(frozen=True)
class Cell:
    """Cell of a sortable table.

    Attributes:
        text: Text in the cell.
        value: Value that sorts the rows; None sorts by the text.
        link: URL that the text links to; empty for none.
        title: Tooltip of the cell; empty for none.
    """

    text: str
    value: float | None = None
    link: str = ""
    title: str = ""


@functools.cache
def _template(source: str) -> jinja2.Template:
    return ENVIRONMENT.from_string(source)


def fill(template: str, **values: Any) -> Markup:
    """Fill a template of HTML.

    Args:
        template: Jinja's template.
        **values: Values by name. Texts are escaped; ``Markup`` is HTML and stays as it is.
    """
    return Markup(_template(template).render(values))


def placeholder(key: str) -> str:
    """HTML comment that a figure replaces."""
    return f"<!--figure {key}-->"


def anchor(title: str) -> str:
    """Anchor of a section in links."""
    return title.lower().replace(" ", "-")


def place(plots: Figures, key: str, plot: figure) -> Markup:
    """Add a figure to the page, and return the HTML of its placeholder.

    Args:
        plots: Figures of the page. The figure is added.
        key: Key of the figure on the page.
        plot: The figure.
    """
    plots[key] = plot
    return fill("<div>{{ figure }}</div>", figure=Markup(placeholder(key)))


GRID = """
<div class="grid {{ columns }}">
{% for title, place in placed.items() %}<div><h3>{{ title }}</h3>{{ place }}</div>{% endfor %}
</div>
""".replace("\n", "")


def grid(plots: Figures, titled: Mapping[str, figure], key: str, columns: str = "") -> Markup:
    """Add figures to the page, and return the HTML of a grid of them, each under its title.

    Args:
        plots: Figures of the page. Those of the grid are added.
        titled: Figures by their titles.
        key: Start of the figures' keys on the page.
        columns: Style class of the grid: ``three`` for narrow columns, empty for the usual ones.
    """
    placed = {title: place(plots, f"{key}-{anchor(title)}", plot) for title, plot in titled.items()}
    return fill(GRID, columns=columns, placed=placed)


def missing(what: str, step: str) -> Markup:
    """HTML of a note on a missing part.

    Args:
        what: The missing part.
        step: Step that makes it.
    """
    return fill('<p class="missing">{{ what }} is not there yet: {{ step }} makes it.</p>', what=what, step=step)


TABLE = """
<div class="scroll"><table>
<thead><tr>{% for name in header %}<th {{ kinds[loop.index0] }}>{{ name }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in rows %}<tr>
{% for cell in row %}<td {{ kinds[loop.index0] }}>{{ cell }}</td>{% endfor %}
</tr>{% endfor %}</tbody>
</table></div>
""".replace("\n", "")


def table(header: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1) -> Markup:
    """HTML of a table.

    Args:
        header: Headings.
        rows: Texts of the cells.
        text_columns: Number of leading columns with text. The others are numbers, aligned to the right.
    """
    wrap, right = Markup('class="wrap"'), Markup('class="r"')
    kinds = [wrap if len(header) == 2 else "" if k < text_columns else right for k in range(len(header))]
    return fill(TABLE, header=header, rows=rows, kinds=kinds)


SORTABLE_TABLE = """
<div class="sortable" id="{{ name }}"><label class="filter">Show rows with{{ " " }}
<input type="search" placeholder="any text" autocomplete="off"></label>{{ " " }}
<span class="note" role="status"></span>
<div class="scroll"><table>
<thead><tr>{% for title in header %}
<th class="{{ kinds[loop.index0] }}"><button type="button">{{ title }}</button></th>
{% endfor %}</tr></thead>
<tbody>{% for row in rows %}<tr>{% for cell in row %}
<td class="{{ kinds[loop.index0] }}"
{% if cell.value is not none %} data-value="{{ cell.value }}"{% endif %}
{% if cell.title %} title="{{ cell.title }}"{% endif %}>
{% if cell.link %}<a href="{{ cell.link }}">{{ cell.text }}</a>{% else %}{{ cell.text }}{% endif %}
</td>{% endfor %}</tr>{% endfor %}</tbody>
</table></div></div>
""".replace("\n", "")


def sortable_table(name: str, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Markup:
    """HTML of a table that sorts by a column when its heading is clicked, and has a filter for rows.

    Args:
        name: Identifier of the table in the page.
        header: Headings.
        rows: Cells. A column of values is aligned to the right and sorts by value; a column of texts sorts by text.
    """
    kinds = ["r" if rows and rows[0][k].value is not None else "" for k in range(len(header))]
    return fill(SORTABLE_TABLE, name=name, header=header, rows=rows, kinds=kinds)


SORT_SCRIPT = """
document.querySelectorAll('.sortable').forEach(box => {
  const body = box.querySelector('tbody'), heads = [...box.querySelectorAll('th')];
  const key = (row, k) => row.cells[k].dataset.value ?? row.cells[k].textContent;
  heads.forEach((head, k) => head.firstElementChild.addEventListener('click', () => {
    const up = head.getAttribute('aria-sort') !== 'ascending';
    heads.forEach(other => other.removeAttribute('aria-sort'));
    head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
    const rows = [...body.rows], numeric = rows.length && rows[0].cells[k].dataset.value !== undefined;
    const compare = numeric ? (a, b) => a - b : (a, b) => a.localeCompare(b);
    rows.sort((a, b) => (up ? 1 : -1) * compare(key(a, k), key(b, k)));
    body.append(...rows);
  }));
  const field = box.querySelector('input'), count = box.querySelector('[role=status]');
  field.addEventListener('input', () => {
    const words = field.value.toLowerCase().split(/\\s+/).filter(Boolean);
    let shown = 0;
    for (const row of body.rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every(word => text.includes(word));
      shown += !row.hidden;
    }
    count.textContent = words.length ? `${shown} of ${body.rows.length} rows` : '';
  });
});
"""
"""Sorts and filters the tables of ``sortable_table``."""
