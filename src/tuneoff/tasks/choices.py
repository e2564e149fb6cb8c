"""Options: of rows, which of them is right, and the scores of chosen ones."""

import json
from collections.abc import Sequence

from tuneoff.errors import DataError, shown
from tuneoff.spec import LETTERS, MultipleChoiceSpec
from tuneoff.tasks.classification import spelling
from tuneoff.tasks.table import Row


def check_options(spec: MultipleChoiceSpec, rows: Sequence[Row]) -> None:
    """Refuse rows whose options cannot be read, or of which none is the right one.

    Raises:
        DataError: there is such a row.
    """
    for row in rows:
        letter_of(spec, row, options_of(spec, row))


def options_of(spec: MultipleChoiceSpec, row: Row) -> tuple[str, ...]:
    """Return the options of a row: the cells of their columns, or the items of a list.

    Where a file cannot hold lists, as csv, the list is written as JSON.

    Raises:
        DataError: it is no list, has fewer than two options or too many, or one of them is empty or there
            twice.
    """
    if spec.listed is None:
        options = tuple(row.cells[column] for column in spec.options)
    elif spec.listed in row.lists:
        options = row.texts(spec.listed)
    else:
        options = _parsed(row, spec.listed)
    place = f"{row.place}: column {', '.join(map(shown, spec.options))}"
    if not 2 <= len(options) <= len(LETTERS):
        raise DataError(
            f"{place}: a row must have 2 to {len(LETTERS)} options, but this one has {len(options)}; "
            "correct or remove it"
        )
    plain = {option.strip() for option in options}
    if "" in plain or len(plain) < len(options):
        raise DataError(
            f"{place}: options must differ and not be empty, but got {shown(list(options))}; correct or "
            "remove the row"
        )
    return options


def _parsed(row: Row, column: str) -> tuple[str, ...]:
    cell = row.cells[column]
    try:
        options = json.loads(cell)
    except (ValueError, RecursionError):
        options = None
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        raise DataError(
            f'{row.place}: column {shown(column)} must hold a list of texts (in csv, as JSON: ["a", "b"]), '
            f"but got {shown(cell)}; or name a column for each option: options: [a, b]"
        )
    return tuple(options)


def letter_of(spec: MultipleChoiceSpec, row: Row, options: Sequence[str]) -> str:
    """Return the letter of the right option of a row, which the target names as `target_is` says.

    Raises:
        DataError: the target names none of the options.
    """
    cell, letters = row.cells[spec.target].strip(), LETTERS[: len(options)]
    match spec.target_is:
        case "index":
            names = [str(place) for place in range(len(options))]
        case "letter" if not cell.isdecimal():
            names = [letter.casefold() for letter in letters]
            cell = cell.casefold()
        case "number" | "letter":  # some rows of ARC have numbers in place of letters
            names = [str(place + 1) for place in range(len(options))]
        case "text":
            names = [option.strip() for option in options]
    pairs = list(zip(names, letters, strict=True))
    found = [letter for name, letter in pairs if name == cell]
    found = found or [letter for name, letter in pairs if spelling(name) == spelling(cell)]
    if len(found) != 1:
        known = shown(list(options)) if spec.target_is == "text" else f"{names[0]} to {names[-1]}"
        raise DataError(
            f"{row.place}: column {shown(spec.target)} holds {shown(row.cells[spec.target])}, which is the "
            f"{spec.target_is} of none of the {len(options)} options ({known}); correct the row, or say with "
            "target_is whether targets are an index (from 0), a number (from 1), a letter or a text"
        )
    return found[0]
