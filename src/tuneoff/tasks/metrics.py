"""Scores of predictions, over all examples of a task and for each."""

import unicodedata
from collections.abc import Sequence
from statistics import fmean

from tuneoff.spec import ClassificationSpec, Task
from tuneoff.tasks.classification import classification_rows, classification_scores
from tuneoff.tasks.examples import Example
from tuneoff.tasks.rouge import rouge_rows
from tuneoff.words import TOKENIZER


def score(spec: Task, examples: Sequence[Example], predictions: Sequence[str | None]) -> dict[str, float]:
    """Compute the scores over all examples, as fractions in 0..1.

    Predictions are label values for classification and texts for summarization; None is an invalid one.
    """
    if isinstance(spec, ClassificationSpec):
        return classification_scores(spec, examples, predictions)
    rows = rouge_rows(examples, predictions)
    return {name: fmean(row[name] for row in rows) for name in rows[0]}


def score_rows(
    spec: Task, examples: Sequence[Example], predictions: Sequence[str | None]
) -> list[dict[str, float]]:
    """Compute the scores of each example, whose means are the scores over all.

    `correct` (its mean is `eval_accuracy`) for classification, the four ROUGE values for summarization.
    """
    if isinstance(spec, ClassificationSpec):
        return classification_rows(examples, predictions)
    return rouge_rows(examples, predictions)


def tokenizer_versions() -> dict[str, str]:
    """Return what decides how a text is split into words: the version of the rules and that of Unicode."""
    return {"tokenizer": TOKENIZER, "unicode": unicodedata.unidata_version}


def scoring(spec: Task) -> dict[str, str]:
    """Return what else decides a task's scores: the tokenizer, where texts are compared."""
    return {} if isinstance(spec, ClassificationSpec) else tokenizer_versions()
