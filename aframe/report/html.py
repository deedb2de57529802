"""Pieces of the report's page: tables, places for figures, words for what is missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from bokeh.model import Model
from bokeh.plotting import figure

Figures = dict[str, Model]
"""Figures of a page, by the key of their place."""


@dataclass(frozen=True)
class Cell:
    """A cell of a table that can be sorted.

    Attributes:
        text: What is shown.
        value: What it is sorted by; the text where None.
        link: Where it leads; nowhere where empty.
        title: What is shown when it is pointed at.
    """

    text: str
    value: float | None = None
    link: str = ""
    title: str = ""


def placeholder(key: str) -> str:
    """Mark of a figure's place."""
    return f"<!--figure {key}-->"


def anchor(title: str) -> str:
    """Name under which a section can be linked to."""
    return title.lower().replace(" ", "-")


def place(plots: Figures, key: str, plot: figure) -> str:
    """Put a figure among those of the page; its place."""
    plots[key] = plot
    return f"<div>{placeholder(key)}</div>"


def grid(plots: Figures, named: dict[str, figure], key: str, columns: str = "") -> str:
    """Figures beside each other, each under its title."""
    content = "".join(
        f"<div><h3>{escape(title)}</h3>{place(plots, f'{key}-{anchor(title)}', plot)}</div>"
        for title, plot in named.items()
    )
    return f'<div class="grid {columns}">{content}</div>'


def missing(what: str, step: str) -> str:
    """A line in the place of a part that is not there yet."""
    return f'<p class="missing">{escape(what)} is not there yet: {escape(step)} makes it.</p>'


def table(header: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1) -> str:
    """Rows of text; columns after the first ``text_columns`` are numbers, aligned to the right."""
    kind = ['class="wrap"' if len(header) == 2 else "" if k < text_columns else 'class="r"' for k in range(len(header))]
    head = "".join(f"<th {kind[k]}>{escape(name)}</th>" for k, name in enumerate(header))
    body = "".join(
        "<tr>" + "".join(f"<td {kind[k]}>{escape(cell)}</td>" for k, cell in enumerate(row)) + "</tr>" for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def sortable_table(name: str, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A table that sorts by the column whose heading is pressed, and shows the rows that hold what is typed above it.

    Args:
        name: The table's name in the page.
        header: Headings.
        rows: Cells; a column of values is aligned to the right and sorts by value, one of texts by text.
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
  const field = box.querySelector('input'), told = box.querySelector('[role=status]');
  field.addEventListener('input', () => {
    const words = field.value.toLowerCase().split(/\\s+/).filter(Boolean);
    let shown = 0;
    for (const row of body.rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every(word => text.includes(word));
      shown += !row.hidden;
    }
    told.textContent = words.length ? `${shown} of ${body.rows.length} rows` : '';
  });
});
"""
"""Sorts and filters the tables of ``sortable_table``."""
