"""Render a document as short Markdown (GitHub's): what matters first, all else folded, pictures beside it."""

import re
from functools import cache

import jinja2
from tabulate import tabulate

from tuneoff.errors import visible
from tuneoff.reporting.document import Document, Entry, Link, Table
from tuneoff.reporting.formatting import ABSENT_MEANS
from tuneoff.reporting.rendering import environment
from tuneoff.reporting.titles import Title

OPEN = (Title.DECISION, Title.COMPARISONS, Title.HEALTH, Title.FAILURES)
"""Sections that come first; all others are folded, in their own order."""
TABLES_SHOWN = (Title.DECISION, Title.HEALTH, Title.FAILURES)
"""Open sections whose tables are shown; of others the pictures are, and the tables are folded below them."""


def markdown(document: Document) -> str:
    """Return the document as one Markdown text; its links are relative to the report's folder."""
    sections = {section.title: section for section in document.sections}
    text = _template().render(
        document=document,
        open=[sections[title] for title in OPEN if title in sections],
        folded=[section for section in document.sections if section.title not in OPEN],
        tables_shown=TABLES_SHOWN,
        absent_means=ABSENT_MEANS,
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


@cache
def _template() -> jinja2.Template:
    templates = environment(autoescape=False)  # Markdown has its own escapes
    templates.filters.update(escaped=escaped, pipes=pipes)
    return templates.get_template("report.md.j2")


_PUNCTUATION = re.compile(
    r"[\\`*\[\]|~$]"  # code, emphasis, links, tables, strikethrough, formulas
    r"|(?<![^\W_])_|_(?![^\W_])"  # emphasis, which never begins or ends inside a word
    r"|(?<!\S)#"  # headings
    r"|(?<=\w):(?=//)|(?<=www)\.|(?<=\S)@(?=\S)"  # addresses that become links by themselves
)
_BLOCK = re.compile(r"^(?:[-+]|\d+[.)])(?=\s|$)|^[-=](?=[-=]*$)")  # lists, rules, underlined headings


def escaped(text: str) -> str:
    """Return the text as Markdown that shows it literally, on one line."""
    return _BLOCK.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", inline(text))


def inline(text: str) -> str:
    """Return the same for the inside of a table, where no list or heading can begin."""
    line = _PUNCTUATION.sub(r"\\\g<0>", visible(" ".join(text.split())))
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def pipes(table: Table) -> str:
    """Return the table with pipes between its columns."""
    rows = [[_entry(entry) for entry in row] for row in table.rows]
    align = ["left" if table.holds_text(column) else "right" for column in range(len(table.columns))]
    columns = list(map(inline, table.columns))
    return tabulate(rows, headers=columns, tablefmt="pipe", disable_numparse=True, colalign=align)


def _entry(entry: Entry) -> str:
    return f"[{inline(entry.text)}]({entry.href})" if isinstance(entry, Link) else inline(entry)
