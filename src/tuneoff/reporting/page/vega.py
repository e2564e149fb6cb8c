"""Write static/vega.js, the library that draws the page's charts, from the one that draws the pictures.

It lies in the package because making it takes seconds and a gigabyte of addresses, which a report should not
depend on.
"""

from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import vl_convert

from tuneoff.reporting.charts.draw import VEGA_LITE

BANNER = (
    "/*! Vega, Vega-Lite and vega-embed (BSD-3-Clause, University of Washington Interactive Data Lab) "
    "with d3 (ISC) and others (MIT); see NOTICE. Made by vl-convert {version}. */"
)


def library() -> str:
    """Return the library as one module that sets `window.vegaEmbed`."""
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE)
    return f"{BANNER.format(version=version('vl-convert-python'))}\n{script.strip()}\n"


if __name__ == "__main__":
    path = Path(str(files("tuneoff.reporting.page"))) / "static" / "vega.js"
    path.write_text(library(), encoding="utf-8", newline="\n")
