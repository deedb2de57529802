"""HTML of the report's page: tables, placeholders of figures, notes on missing parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from bokeh.model import Model
from bokeh.plotting import figure

Figures = dict[str, Model]
"""Figures of a page, by the key of their placeholder."""


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


def placeholder(key: str) -> str:
    """HTML comment that a figure replaces."""
    return f"<!--figure {key}-->"


def anchor(title: str) -> str:
    """Anchor of a section in links."""
    return title.lower().replace(" ", "-")


def place(plots: Figures, key: str, plot: figure) -> str:
    """Add a figure to the page, and return the HTML of its placeholder.

    Args:
        plots: Figures of the page. The figure is added.
        key: Key of the figure on the page.
        plot: The figure.
    """
    plots[key] = plot
    return f"<div>{placeholder(key)}</div>"


def grid(plots: Figures, titled: dict[str, figure], key: str, columns: str = "") -> str:
    """Add figures to the page, and return the HTML of a grid of them, each under its title.

    Args:
        plots: Figures of the page. Those of the grid are added.
        titled: Figures by their titles.
        key: Start of the figures' keys on the page.
        columns: Style class of the grid: ``three`` for narrow columns, empty for the usual ones.
    """
    content = "".join(
        f"<div><h3>{escape(title)}</h3>{place(plots, f'{key}-{anchor(title)}', plot)}</div>"
        for title, plot in titled.items()
    )
    return f'<div class="grid {columns}">{content}</div>'


def missing(what: str, step: str) -> str:
    """HTML of a note on a missing part.

    Args:
        what: The missing part.
        step: Step that makes it.
    """
    return f'<p class="missing">{escape(what)} is not there yet: {escape(step)} makes it.</p>'


def table(header: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1) -> str:
    """HTML of a table.

    Args:
        header: Headings.
        rows: Texts of the cells.
        text_columns: Number of leading columns with text. The others are numbers, aligned to the right.
    """
    kind = ['class="wrap"' if len(header) == 2 else "" if k < text_columns else 'class="r"' for k in range(len(header))]
    head = "".join(f"<th {kind[k]}>{escape(name)}</th>" for k, name in enumerate(header))
    body = "".join(
        "<tr>" + "".join(f"<td {kind[k]}>{escape(cell)}</td>" for k, cell in enumerate(row)) + "</tr>" for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def sortable_table(name: str, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """HTML of a table that sorts by a column when its heading is clicked, and has a filter for rows.

    Args:
        name: Identifier of the table in the page.
        header: Headings.
        rows: Cells. A column of values is aligned to the right and sorts by value; a column of texts sorts by text.
    """
    right = ["r" if rows and rows[0][k].value is not None else "" for k in range(len(header))]
    head = "".join(
        f'<th class="{right[k]}"><button type="button">{escape(title)}</button></th>' for k, title in enumerate(header)
    )
    body = "".join("<tr>" + "".join(map(_cell, row, right)) + "</tr>" for row in rows)
    return (
        f'<div class="sortable" id="{escape(name)}"><label class="filter">Show rows with '
        '<input type="search" placeholder="any text" autocomplete="off"></label> '
        '<span class="note" role="status"></span>'
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></div>'
    )


def _cell(cell: Cell, kind: str) -> str:
    value = "" if cell.value is None else f' data-value="{cell.value!r}"'
    title = f' title="{escape(cell.title)}"' if cell.title else ""
    text = escape(cell.text)
    if cell.link:
        text = f'<a href="{escape(cell.link)}">{text}</a>'
    return f'<td class="{kind}"{value}{title}>{text}</td>'


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
