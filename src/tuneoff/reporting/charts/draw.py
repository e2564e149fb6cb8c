"""Draw charts, as a program: Vega-Lite as a JSON list on its input, PNG pictures on its output.

In place of a chart, `SCRIPT` stands for the JavaScript library that draws such charts on a page.

It runs as a file of its own, since the renderer's engine ends its whole process where it gets too little
memory. Each output comes after its length in eight bytes; a length of 0 stands for a chart that it refuses.
"""

import json
import os
import sys

VEGA_LITE = "6.4"
SCRIPT = "script"


def main() -> None:
    """Draw what the input asks for, one chart after another."""
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # whatever else is printed is kept apart from the pictures
        _without_core_files()
        import vl_convert

        for chart in json.load(sys.stdin):
            try:
                if chart == SCRIPT:
                    drawn = vl_convert.javascript_bundle(
                        "window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE
                    ).encode()
                else:
                    drawn = vl_convert.vegalite_to_png(chart, vl_version=VEGA_LITE, scale=2)
            except Exception:
                drawn = b""
            out.write(len(drawn).to_bytes(8, "big") + drawn)
            out.flush()


def _without_core_files() -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
