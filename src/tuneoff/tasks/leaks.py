"""Prompts that hold the answer."""

from collections.abc import Sequence

from tuneoff.errors import DataError, shown
from tuneoff.spec import ClassificationSpec, Task, prompt_columns
from tuneoff.tasks.classification import spelling
from tuneoff.tasks.table import Row

ROWS_OF_A_VALUE = 10
"""Rows for each value, at least, for a column that goes one to one with the labels to be no chance."""
_REMEDY = "take it out, or say allow_target_in_prompt: true in the task if this is meant"


def check_prompt(spec: Task) -> None:
    """Refuses a prompt with the target column in it.

    Raises:
        DataError: the prompt contains it, and the task does not allow that.
    """
    if spec.target in prompt_columns(spec.prompt) and not spec.allow_target_in_prompt:
        raise DataError(
            f"a prompt must not hold the answer, but {shown(spec.prompt)} contains the target column "
            f"{shown(spec.target)}; {_REMEDY}"
        )


def check_columns(spec: Task, rows: Sequence[Row]) -> None:
    """Refuses a prompt with a column that is the target under another name, in all rows of all splits.

    For a classification, the column may hold the values or the texts of the labels, or beside another column
    whatever goes one to one with them.

    Raises:
        DataError: the prompt contains such a column, and the task does not allow that.
    """
    columns = [column for column in dict.fromkeys(prompt_columns(spec.prompt)) if column != spec.target]
    for column in columns if rows and not spec.allow_target_in_prompt else ():
        pairs = ((row.cells[column].strip(), row.cells[spec.target].strip()) for row in rows)
        if all(_equal(spec, cell, answer) for cell, answer in pairs):
            raise DataError(_refusal(spec, column, "equals"))
        if isinstance(spec, ClassificationSpec) and len(columns) > 1 and _one_to_one(spec, column, rows):
            raise DataError(_refusal(spec, column, "goes one to one with"))


def _equal(spec: Task, cell: str, answer: str) -> bool:
    if isinstance(spec, ClassificationSpec) and cell.casefold() == spec.labels.get(answer, "").casefold():
        return True
    return spelling(cell.casefold()) == spelling(answer.casefold())


def _one_to_one(spec: ClassificationSpec, column: str, rows: Sequence[Row]) -> bool:
    answers, cells = dict[str, str](), dict[str, str]()
    for row in rows:
        cell, answer = row.cells[column].strip(), row.cells[spec.target].strip()
        if answers.setdefault(cell, answer) != answer or cells.setdefault(answer, cell) != cell:
            return False
    return len(answers) > 1 and len(rows) >= ROWS_OF_A_VALUE * len(answers)


def _refusal(spec: Task, column: str, relation: str) -> str:
    return (
        f"a prompt must not hold the answer, but its column {shown(column)} {relation} the target "
        f"{shown(spec.target)} in every row; {_REMEDY}"
    )
