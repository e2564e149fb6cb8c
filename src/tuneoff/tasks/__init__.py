"""Tasks: checked examples from files, the hub or a generator, and the scores of predictions for them."""

from tuneoff.tasks.baselines import (
    UPPER_BOUNDS,
    BaselineResult,
    baseline_names,
    baseline_scoring,
    run_baseline,
)
from tuneoff.tasks.classification import match_label
from tuneoff.tasks.examples import Example, RowCounts, TaskData, train_subset
from tuneoff.tasks.general import general_texts, texts_digest
from tuneoff.tasks.load import load_task, read_columns, unanswered, unanswered_rows
from tuneoff.tasks.metrics import score, score_rows, scoring
from tuneoff.tasks.similar import copied

__all__ = [
    "UPPER_BOUNDS",
    "BaselineResult",
    "Example",
    "RowCounts",
    "TaskData",
    "baseline_names",
    "baseline_scoring",
    "copied",
    "general_texts",
    "load_task",
    "match_label",
    "read_columns",
    "run_baseline",
    "score",
    "score_rows",
    "scoring",
    "texts_digest",
    "train_subset",
    "unanswered",
    "unanswered_rows",
]
