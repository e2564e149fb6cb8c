"""Scores of predictions, over all examples of a task and for each."""

import unicodedata
from collections.abc import Sequence

from tuneoff.spec import ClassificationSpec, MultipleChoiceSpec, Task
from tuneoff.tasks.classification import accuracy, classification_scores, correct_rows
from tuneoff.tasks.examples import Example
from tuneoff.tasks.texts import signatures, text_rows, text_scores
from tuneoff.words import TOKENIZER


def score(spec: Task, examples: Sequence[Example], predictions: Sequence[str | None]) -> dict[str, float]:
    """Compute the scores over all examples, as fractions; a prediction is what `spec.answer` says, or None.

    None is a generated text that is no label.
    """
    match spec:
        case ClassificationSpec():
            return classification_scores(spec, examples, predictions)
        case MultipleChoiceSpec():
            return {"eval_accuracy": accuracy(examples, predictions)}
        case _:
            return text_scores(spec, examples, predictions)


def score_rows(
    spec: Task, examples: Sequence[Example], predictions: Sequence[str | None]
) -> list[dict[str, float]]:
    """Compute the scores of each example, whose means are scores over all: the main metric is one of them.

    `correct` (its mean is `eval_accuracy`) of labels and options, those of the task's metrics of texts.
    """
    if isinstance(spec, ClassificationSpec | MultipleChoiceSpec):
        return correct_rows(examples, predictions)
    return text_rows(spec, examples, predictions)


def tokenizer_versions() -> dict[str, str]:
    """Return what decides how a text is split into words: the version of the rules and that of Unicode."""
    return {"tokenizer": TOKENIZER, "unicode": unicodedata.unidata_version}


def scoring(spec: Task) -> dict[str, str]:
    """Return what else decides a task's scores: where texts are compared, the tokenizer and sacrebleu."""
    if isinstance(spec, ClassificationSpec | MultipleChoiceSpec):
        return {}
    return tokenizer_versions() | signatures(spec)
