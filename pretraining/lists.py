"""Lists that are written as text, to be read at a glance."""


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a text."""
    return tuple(text.split())


def parts_of(text: str) -> tuple[str, ...]:
    """Return the parts of a text, which semicolons separate."""
    return tuple(text.split("; "))
