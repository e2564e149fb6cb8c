"""Render a document as one HTML page that needs no other file: pictures and style are inside."""

import base64

from tuneoff.errors import visible
from tuneoff.reporting.document import Document, Figure, Link
from tuneoff.reporting.rendering import environment


def html(document: Document) -> str:
    """Return the document as an HTML page; only the links to records lead out of it."""
    templates = environment(autoescape=True, finalize=_visible)
    templates.tests["link"] = lambda entry: isinstance(entry, Link)
    templates.filters.update(anchor=anchor, data_uri=data_uri)
    return templates.get_template("report.html.j2").render(document=document)


def _visible(value: object) -> object:
    """Make control characters in a template's texts visible."""
    return visible(value) if isinstance(value, str) else value


def anchor(title: str) -> str:
    """Return the name by which a section is linked to inside the page."""
    return title.lower().replace(" ", "-")


def data_uri(figure: Figure) -> str:
    """Return the figure's picture as an address that contains it."""
    return f"data:image/png;base64,{base64.b64encode(figure.png).decode()}"
