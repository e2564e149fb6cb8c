"""Whether reports have their charts, which are most of what a report costs."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

import pytest

from tuneoff.reporting.charts import Picture
from tuneoff.reporting.page import build

_MODULE = import_module("tuneoff.reporting.charts.pictures")  # a function of the package has this name too
_DRAW, _VIEWS = _MODULE._drawn, build.views
_BLANK = Picture(svg=b"<svg/>", png=b"blank")


@contextmanager
def charts_left_blank(*, has_library: bool = True) -> Iterator[None]:
    """Every chart gets a picture at once, without anything in it, and pages have no charts.

    Pages may do without the script that draws charts, too.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_MODULE, "_drawn", lambda charts: [_BLANK] * len(charts))
        patch.setattr(build, "views", lambda data: {})
        if not has_library:
            patch.setattr(_MODULE, "_output", lambda request, seconds: b"")
        yield


@contextmanager
def charts_on_pages() -> Iterator[None]:
    """Pages have their charts, which a browser draws."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "views", _VIEWS)
        yield


@contextmanager
def charts_drawn() -> Iterator[None]:
    """Charts are drawn, as they are outside of tests."""
    with charts_on_pages(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(_MODULE, "_drawn", _DRAW)
        yield
