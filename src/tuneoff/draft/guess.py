"""From the columns of a data set to a task: the column with the answer, what is read, the labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tuneoff.draft.look import Column
from tuneoff.errors import DataError, suggestions

Kind = Literal["classification", "summarization", "generation"]
_ANSWERS = (
    *("label", "labels", "target", "summary", "sentiment", "class", "category", "intent", "topic", "rating"),
    *("stars", "answer", "output", "response", "headline", "title", "translation", "highlights", "y"),
)
"""Names that columns with the answer have, likelier ones first."""
_MOST_LABELS = 100
_SHORTER = 0.6
"""A summary has at most this share of its text's words."""


@dataclass(frozen=True)
class Guess:
    """A task for some columns."""

    kind: Kind
    inputs: tuple[Column, ...]
    """What the model reads."""
    target: Column
    labels: tuple[str, ...]
    """The values of the target, for a classification."""
    unsure: tuple[str, ...]
    """What could as well be otherwise: `target`, `kind`, `inputs` or `labels`."""


def guess_task(
    columns: Sequence[Column],
    *,
    target: str | None = None,
    inputs: Sequence[str] = (),
    kind: Kind | None = None,
) -> Guess:
    """Return the likeliest task; what is given is not guessed.

    Raises:
        DataError: there is no such column, or too few columns.
    """
    by_name = {column.name: column for column in columns}
    for name in (*inputs, *([target] if target else [])):
        if name not in by_name:
            raise DataError(f"the data have no column '{name}'{suggestions(name, by_name)}")
    if len(columns) < 2:
        raise DataError(
            "a task needs a column to read and one with the answer, but the data have "
            f"{len(columns)} with text; add one"
        )
    answer = by_name[target] if target else _answer(columns)
    others = [column for column in columns if column is not answer]
    reads = [by_name[name] for name in inputs] or _texts(others)
    guessed = kind or _kind(reads, answer)
    labels = tuple(sorted(answer.counts)) if guessed == "classification" else ()
    unsure = []
    if not target and _rank(answer) == len(_ANSWERS):
        unsure.append("target")
    if not inputs and len(others) > len(reads):
        unsure.append("inputs")
    if labels and not any(character.isalpha() for label in labels for character in label):
        unsure.append("labels")
    return Guess(guessed, tuple(reads), answer, labels, tuple(unsure))


def _answer(columns: Sequence[Column]) -> Column:
    """Return the column with the answer: by its name, else the one with the fewest different cells."""
    named = min(columns, key=_rank)
    if _rank(named) < len(_ANSWERS):
        return named
    repeated = [column for column in columns if 2 <= len(column.counts) <= _MOST_LABELS]
    few = [column for column in repeated if len(column.counts) <= len(column.cells) / 2]
    return min(few or columns, key=lambda column: len(column.counts) if few else column.words)


def _rank(column: Column) -> int:
    name = column.name.strip().lower()
    return _ANSWERS.index(name) if name in _ANSWERS else len(_ANSWERS)


def _texts(columns: Sequence[Column]) -> list[Column]:
    """Return the columns that hold texts; identifiers, numbers and short codes are left out.

    A column counts if it has at least a fifth of the words of the longest one.
    """
    longest = max(columns, key=lambda column: column.words)
    return [column for column in columns if column.words >= max(2, longest.words / 5)] or [longest]


def _kind(inputs: Sequence[Column], answer: Column) -> Kind:
    labels = len(answer.counts)
    if 2 <= labels <= _MOST_LABELS and labels <= max(2, len(answer.cells) / 5):
        return "classification"
    read = sum(column.words for column in inputs)
    return "summarization" if read >= 20 and answer.words <= _SHORTER * read else "generation"
