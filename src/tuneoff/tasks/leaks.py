"""Prompts that contain the answer."""

from collections.abc import Sequence

from tuneoff.errors import DataError, shown
from tuneoff.spec import LETTERS, MultipleChoiceSpec, Task, prompt_columns
from tuneoff.tasks.choices import letter_of, options_of
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

    Also a column that holds the texts of the right labels or options, or that, beside other columns, maps one
    to one to labels. A prompt may have all options of a row.

    Raises:
        DataError: the prompt contains such a column, and the task does not allow that.
    """
    columns = [column for column in dict.fromkeys(prompt_columns(spec.prompt)) if column != spec.target]
    if isinstance(spec, MultipleChoiceSpec) and set(spec.options) <= set(columns):
        columns = [column for column in columns if column not in spec.options]
    for column in columns if rows and not spec.allow_target_in_prompt else ():
        if all(_holds_answer(spec, column, row) for row in rows):
            raise DataError(_refusal(spec, column, "equals"))
        if spec.answer == "label" and len(columns) > 1 and _one_to_one(spec, column, rows):
            raise DataError(_refusal(spec, column, "maps one to one to"))


def _holds_answer(spec: Task, column: str, row: Row) -> bool:
    cell = row.cells[column].strip().casefold()
    answers = [text.strip() for text in row.texts(spec.target)]
    if isinstance(spec, MultipleChoiceSpec):
        options = options_of(spec, row)
        answers.append(options[LETTERS.index(letter_of(spec, row, options))].strip())
    else:
        answers += [spec.in_words(answer) for answer in answers]
    return any(
        cell == answer.casefold() or spelling(cell) == spelling(answer.casefold()) for answer in answers
    )


def _one_to_one(spec: Task, column: str, rows: Sequence[Row]) -> bool:
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
