"""General texts, which no task uses: what forgetting is measured on."""

from importlib.resources import files
from pathlib import Path

from tuneoff.errors import DataError, shown, suggestions
from tuneoff.spec import ForgettingSpec
from tuneoff.spec.run import digest_of
from tuneoff.tasks.files import ENDINGS, is_table, read_file, read_lines
from tuneoff.tasks.table import text_rows

_FEWEST = 2
"""Texts from which an interval can be computed."""


def general_texts(spec: ForgettingSpec) -> tuple[str, ...]:
    """Return the general texts of a study that are not blank.

    Raises:
        DataError: the file cannot be used, has no such column, or fewer than two texts.
    """
    texts = _read(spec)
    if len(texts) < _FEWEST:
        raise DataError(
            f"forgetting is measured on at least {_FEWEST} texts, but {shown(spec.texts)} has {len(texts)}; "
            "give a file with more (forgetting.texts)"
        )
    return texts


def texts_digest(spec: ForgettingSpec, texts: tuple[str, ...]) -> str:
    """Return the SHA-256 of what decides the losses beside the model: the texts, and how they are used."""
    return digest_of({"texts": texts, **spec.model_dump(include={"max_length", "objective"})})


def _read(spec: ForgettingSpec) -> tuple[str, ...]:
    if spec.is_builtin:
        text = files("tuneoff.tasks.builtin").joinpath("general.txt").read_text(encoding="utf-8")
        return tuple(text.splitlines())
    path, column = Path(spec.texts), spec.text_column
    if spec.has_lines:
        return read_lines(path)
    if not is_table(path):
        raise DataError(
            f"general texts are `builtin`, a .txt file or a table ({', '.join(ENDINGS)}; .gz), but got "
            f"{shown(spec.texts)} (forgetting.texts)"
        )
    table = read_file(path, [column])
    if column not in table.columns:
        raise DataError(
            f"{table.name} has no column {shown(column)}{suggestions(column, table.columns)}; name the one "
            "that holds the texts (forgetting.column)"
        )
    cells = (row.cells[column].strip() for row in text_rows(table, [column]))
    return tuple(cell for cell in cells if cell)
