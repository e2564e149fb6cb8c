"""A document as one HTML page that needs nothing else: pictures and style are inside."""

import base64

import jinja2

from tuneoff.errors import visible
from tuneoff.report.document import Document, Figure, Link


def html(document: Document) -> str:
    """The document as an HTML page; only the links to records lead out of it."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tuneoff.report"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
        finalize=_shown,
    )
    environment.tests["link"] = lambda cell: isinstance(cell, Link)
    environment.filters.update(anchor=anchor, data_uri=data_uri)
    return environment.get_template("report.html.j2").render(document=document)


def _shown(value: object) -> object:
    return visible(value) if isinstance(value, str) else value


def anchor(title: str) -> str:
    """The name by which a section is linked to inside the page."""
    return title.lower().replace(" ", "-")


def data_uri(figure: Figure) -> str:
    """The figure's picture as an address that contains it."""
    return f"data:image/png;base64,{base64.b64encode(figure.png).decode()}"
