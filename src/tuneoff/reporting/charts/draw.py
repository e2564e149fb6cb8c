"""Draw charts, as a program: Vega-Lite as a JSON list on its input, pictures as SVG and PNG on its output.

For `LIBRARY` in place of the list, it gives the JavaScript that draws such charts on a page.

It runs as a file of its own, since the renderer's engine ends its whole process where it gets too little
memory. Each file comes after its length in eight bytes; lengths of 0 stand for a chart that it refuses.
"""

import json
import os
import sys
from typing import Any, BinaryIO

VEGA_LITE = "6.4"
LIBRARY = "library"


def main() -> None:
    """Draw what the input asks for, one chart after another."""
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # whatever else is printed is kept apart from the pictures
        _without_core_files()
        import vl_convert

        charts = json.load(sys.stdin)
        if charts == LIBRARY:
            script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE)
            _write(out, script.encode())
            return
        for chart in charts:
            try:
                picture = picture_of(chart)
            except Exception:
                picture = (b"", b"")
            for file in picture:
                _write(out, file)


def picture_of(chart: Any) -> tuple[bytes, bytes]:
    """Return a chart as SVG and as PNG.

    Raises:
        ValueError: the renderer refuses it.
    """
    import vl_convert

    drawing = vl_convert.vegalite_to_svg(chart, vl_version=VEGA_LITE)
    return drawing.encode(), vl_convert.svg_to_png(drawing, scale=2)


def _write(out: BinaryIO, file: bytes) -> None:
    out.write(len(file).to_bytes(8, "big") + file)
    out.flush()


def _without_core_files() -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
