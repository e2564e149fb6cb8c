"""The Jinja environment that both formats of a report share."""

from collections.abc import Callable

import jinja2


def environment(
    *, autoescape: bool, finalize: Callable[[object], object] | None = None
) -> jinja2.Environment:
    """Return an environment that reads this package's templates and fails on unknown names."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("tuneoff.reporting"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=autoescape,
        finalize=finalize,
    )
