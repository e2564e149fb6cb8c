"""Draw charts as pictures, in a process of their own (`draw.py`)."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from tuneoff.errors import visible
from tuneoff.reporting.charts import draw
from tuneoff.reporting.charts.style import STYLE, View

LONGEST_TEXT = 120
"""Characters of a name or title that a chart shows."""
_STARTS = 3
_START_SECONDS, _CHART_SECONDS = 60, 10
_WORTH_A_PROCESS = 8
"""Charts that take longer to draw than another process to start."""
_MOST_PROCESSES = 4


class Picture(NamedTuple):
    """A chart in two formats."""

    svg: bytes
    png: bytes
    """At twice the screen's density."""


def pictures(charts: Sequence[View]) -> list[Picture | None]:
    """Return the charts' pictures; None for one that could not be drawn."""
    processes = max(1, min(_MOST_PROCESSES, os.cpu_count() or 1, len(charts) // _WORTH_A_PROCESS))
    drawn: list[Picture | None] = [None] * len(charts)
    with ThreadPoolExecutor(processes) as pool:
        shares = pool.map(_all_drawn, [charts[first::processes] for first in range(processes)])
        for first, share in enumerate(shares):
            drawn[first::processes] = share
    return drawn


def _all_drawn(charts: Sequence[View]) -> list[Picture | None]:
    """Return the charts' pictures; None for one that could not be drawn.

    The process that draws may be ended by the system. It is then started again without the chart at which it
    ended, but only a few times: where memory is short it never gets far.
    """
    drawn: list[Picture | None] = []
    for _ in range(_STARTS):
        if len(drawn) < len(charts):
            drawn += _drawn(charts[len(drawn) :])
        if len(drawn) < len(charts):
            drawn.append(None)
    return drawn + [None] * (len(charts) - len(drawn))


def _drawn(charts: Sequence[View]) -> list[Picture | None]:
    """Return the pictures that a process has drawn before its end."""
    views = [readable({**chart, "config": STYLE}) for chart in charts]
    return _split(_output(views, seconds=_START_SECONDS + _CHART_SECONDS * len(charts)))


@lru_cache(maxsize=1)
def chart_library() -> str:
    """Return the JavaScript that draws charts on a page, Vega-Lite with all it needs; "" if none was made."""
    files = _files(_output(draw.LIBRARY, seconds=_START_SECONDS))
    return files[0].decode() if files else ""


def _output(request: Any, *, seconds: float) -> bytes:
    """Return what a process that draws has given before its end."""
    command = [sys.executable, "-P", str(Path(draw.__file__))]
    asked = json.dumps(request).encode()
    try:
        done = subprocess.run(command, input=asked, capture_output=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        return error.stdout or b""
    except OSError:
        return b""
    return done.stdout


def _split(output: bytes) -> list[Picture | None]:
    """Return the whole pictures in an output that may end anywhere."""
    files = _files(output)
    pairs = zip(files[::2], files[1::2], strict=False)  # without an SVG whose PNG is missing
    return [Picture(svg, png) if png else None for svg, png in pairs]


def _files(output: bytes) -> list[bytes]:
    """Return the whole files in an output that may end anywhere."""
    files, end = [], 0
    while end + 8 <= len(output):
        start = end + 8
        end = start + int.from_bytes(output[end:start], "big")
        if end <= len(output):
            files.append(output[start:end])
    return files


def readable(part: Any) -> Any:
    """Return a part of a chart with its texts shortened, and their invisible characters made visible."""
    match part:
        case dict():
            return {name: readable(value) for name, value in part.items()}
        case list() | tuple():
            return [readable(value) for value in part]
        case str():
            return _cut(visible(part))
    return part


def _cut(text: str) -> str:
    """Shorten a long text to its beginning and a hash, so that two long ones stay different."""
    if len(text) <= LONGEST_TEXT:
        return text
    return f"{text[:LONGEST_TEXT]}... ({sha256(text.encode()).hexdigest()[:6]})"
