"""Reports are what is tested here: their pages have charts."""

from collections.abc import Iterator

import pytest

from helpers.drawing import charts_on_pages


@pytest.fixture(scope="module", autouse=True)
def pages_with_charts() -> Iterator[None]:
    """Pages have their charts."""
    with charts_on_pages():
        yield
