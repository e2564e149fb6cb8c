"""Whether reports draw their charts, which is most of what a report costs."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

import pytest

from tuneoff.reporting.charts import Picture

_MODULE = import_module("tuneoff.reporting.charts.pictures")  # a function of the package has this name too
_DRAW = _MODULE._drawn
_BLANK = Picture(svg=b"<svg/>", png=b"blank")


@contextmanager
def charts_left_blank(*, has_library: bool = True) -> Iterator[None]:
    """Every chart gets a picture at once, without anything in it; pages may do without what draws charts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_MODULE, "_drawn", lambda charts: [_BLANK] * len(charts))
        if not has_library:
            patch.setattr(_MODULE, "_output", lambda request, seconds: b"")
        yield


@contextmanager
def charts_drawn() -> Iterator[None]:
    """Charts are drawn, as they are outside of tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_MODULE, "_drawn", _DRAW)
        yield
