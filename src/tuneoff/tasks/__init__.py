"""Tasks: rows from files, the hub or a generator, as checked examples, and the scores of answers to them."""

from tuneoff.tasks.classification import match_label
from tuneoff.tasks.examples import Example, RowCounts, TaskData, train_subset
from tuneoff.tasks.load import load_task
from tuneoff.tasks.metrics import score, score_rows

__all__ = [
    "Example",
    "RowCounts",
    "TaskData",
    "load_task",
    "match_label",
    "score",
    "score_rows",
    "train_subset",
]
