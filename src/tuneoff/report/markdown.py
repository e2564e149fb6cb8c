"""A document as Markdown (GitHub's), with pictures beside it."""

import re

import jinja2
from tabulate import tabulate

from tuneoff.errors import visible
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


_PUNCTUATION = re.compile(
    r"[\\`*\[\]|~$]"  # code, emphasis, links, tables, strikethrough, formulas
    r"|(?<![^\W_])_|_(?![^\W_])"  # emphasis, which never begins or ends inside a word
    r"|(?<!\S)#"  # headings
    r"|(?<=\w):(?=//)|(?<=www)\.|(?<=\S)@(?=\S)"  # addresses that become links by themselves
)
_BLOCK = re.compile(r"^(?:[-+]|\d+[.)])(?=\s|$)|^[-=](?=[-=]*$)")  # lists, rules, underlined headings


def escaped(text: str) -> str:
    """The text as Markdown that shows it as it is, on one line."""
    return _BLOCK.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", inline(text))


def inline(text: str) -> str:
    """The same inside a table, where no list or heading can begin."""
    line = _PUNCTUATION.sub(r"\\\g<0>", visible(" ".join(text.split())))
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def pipes(table: Table) -> str:
    """The table with pipes between its cells."""
    rows = [[_cell(cell) for cell in row] for row in table.rows]
    align = ["left" if table.holds_text(column) else "right" for column in range(len(table.columns))]
    columns = list(map(inline, table.columns))
    return tabulate(rows, headers=columns, tablefmt="pipe", disable_numparse=True, colalign=align)


def _cell(cell: Cell) -> str:
    return f"[{inline(cell.text)}]({cell.href})" if isinstance(cell, Link) else inline(cell)
