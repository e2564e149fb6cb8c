"""What all commands share: a console that shows texts as they are, and imports that stay."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.text import Text

from tuneoff.errors import visible


class Terminal(Console):
    """A console that shows every text as it is: nothing in it is markup, and no character is hidden."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, highlight=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:  # noqa: D102
        return super().render_str(visible(text), **options)


@contextmanager
def lasting_imports() -> Iterator[None]:
    """Keep the garbage collector off heavy imports, whose objects live as long as the process."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
