"""A document as Markdown (GitHub's), with pictures beside it."""

import re

import jinja2
from tabulate import tabulate

from tuneoff.report.document import Cell, Document, Link, Table


def markdown(document: Document) -> str:
    """The document as one Markdown text; its links are relative to the report's folder."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tuneoff.report"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # Markdown has its own escapes
    )
    environment.filters.update(escaped=escaped, pipes=pipes)
    text = environment.get_template("report.md.j2").render(document=document)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def escaped(text: str) -> str:
    """The text as Markdown that shows it as it is, on one line, also inside a table."""
    line = " ".join(text.split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*\[\]|~])", r"\\\1", line)


def pipes(table: Table) -> str:
    """The table with pipes between its cells."""
    rows = [[_cell(cell) for cell in row] for row in table.rows]
    align = ["left" if table.holds_text(column) else "right" for column in range(len(table.columns))]
    columns = list(map(escaped, table.columns))
    return tabulate(rows, headers=columns, tablefmt="pipe", disable_numparse=True, colalign=align)


def _cell(cell: Cell) -> str:
    return f"[{escaped(cell.text)}]({cell.href})" if isinstance(cell, Link) else escaped(cell)
