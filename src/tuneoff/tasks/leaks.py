"""Prompts that contain the answer."""

from collections.abc import Sequence

from tuneoff.errors import DataError, shown
from tuneoff.spec import ClassificationSpec, Task, prompt_columns
from tuneoff.tasks.classification import spelling
from tuneoff.tasks.table import Row

ROWS_OF_A_VALUE = 10
"""With at least this many rows per label, a column that maps one to one to the labels is a leak."""
_REMEDY = "remove it, or set allow_target_in_prompt: true in the task if this is intended"


def check_prompt(spec: Task) -> None:
    """Refuse a prompt that contains the target column.

    Raises:
        DataError: the prompt contains it, and the task does not allow that.
    """
    if spec.target in prompt_columns(spec.prompt) and not spec.allow_target_in_prompt:
        raise DataError(
            f"the prompt {shown(spec.prompt)} contains the target column {shown(spec.target)}, so the model "
            f"would read the answer; {_REMEDY}"
        )


def check_columns(spec: Task, rows: Sequence[Row]) -> None:
    """Refuse a prompt with a column that equals the target in all rows of all splits.

    For a classification, also a column that holds the texts of the labels, or that, beside other columns,
    maps one to one to them.

    Raises:
        DataError: the prompt contains such a column, and the task does not allow that.
    """
    columns = [column for column in dict.fromkeys(prompt_columns(spec.prompt)) if column != spec.target]
    for column in columns if rows and not spec.allow_target_in_prompt else ():
        pairs = ((row.cells[column].strip(), row.cells[spec.target].strip()) for row in rows)
        if all(_equal(spec, cell, answer) for cell, answer in pairs):
            raise DataError(_refusal(spec, column, "equals"))
        if isinstance(spec, ClassificationSpec) and len(columns) > 1 and _one_to_one(spec, column, rows):
            raise DataError(_refusal(spec, column, "maps one to one to"))


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
        f"column {shown(column)} of the prompt {relation} the target {shown(spec.target)} in every row, so "
        f"the model would read the answer; {_REMEDY}"
    )
