"""Check whether a run's predictions vary with the input."""

from collections import Counter

import numpy as np

from tuneoff.stats.answers import Texts
from tuneoff.stats.health.finding import Finding, RunEvidence

COLLAPSED_SPREAD = 0.1
"""Predictions that vary at most by this share of the references have collapsed: a weak model has a third."""
TEXT_SPREAD = 2 / 3
"""The same for texts: no working model generates one text for a third of its inputs."""
DIFFERENT_TEXTS = 1 / 3
"""Different texts that are at most this share of the different references are a handful of stock texts."""
FEWEST_OTHERS = 8
"""Least number of references other than the most common one: a model that finds half misses 8 once in 256."""
LONGEST_QUOTE = 60
"""Characters of a text that evidence quotes."""


def collapsed(run: RunEvidence) -> Finding | None:
    """Report predictions that are nearly all one label or one text, or a handful of texts.

    The references must vary for that.
    """
    if run.answers is None:
        return None
    references = _normalized(run, run.answers.references)
    predictions = _normalized(run, run.answers.predictions)
    if _others(references) < FEWEST_OTHERS:
        return None
    texts = run.record.spec.task.answer == "text"
    if _others(predictions) <= (TEXT_SPREAD if texts else COLLAPSED_SPREAD) * _others(references):
        return Finding("collapsed", _one_value(run, references, predictions))
    different, different_references = len(set(predictions)), len(set(references))
    if texts and different <= DIFFERENT_TEXTS * different_references:
        return Finding(
            "collapsed",
            f"{len(predictions):,} test predictions are {different:,} different texts, where the references "
            f"are {different_references:,}",
        )
    return None


def _one_value(run: RunEvidence, references: Texts, predictions: Texts) -> str:
    prediction, reference = _most_common(predictions), _most_common(references)
    return (
        f"{(predictions == prediction).mean():.1%} of {len(predictions):,} test predictions are "
        f"{_label_or_quote(run, prediction)}, where the most common reference, "
        f"{_label_or_quote(run, reference)}, has {(references == reference).mean():.1%}"
    )


def _others(values: Texts) -> int:
    """Count the values other than the most common one."""
    return len(values) - max(Counter(values.tolist()).values(), default=0)


def _most_common(values: Texts) -> str:
    """Return the most common value; of equally common ones the first in the alphabet."""
    counts = Counter(values.tolist())
    most = max(counts.values())
    return min(value for value, count in counts.items() if count == most)


def _normalized(run: RunEvidence, values: Texts) -> Texts:
    """Return labels and options as they are, texts without case and with single spaces."""
    if run.record.spec.task.answer != "text":
        return values
    return np.array([" ".join(value.split()).casefold() for value in values], dtype=object)


def _label_or_quote(run: RunEvidence, value: str) -> str:
    task = run.record.spec.task
    if task.answer == "text":
        return quoted(value)
    return f"'{task.in_words(value)}'" if value else "no label"


def quoted(text: str) -> str:
    """Quote a text for a message: its beginning, with single spaces."""
    words = " ".join(text.split())
    return f"'{words}'" if len(words) <= LONGEST_QUOTE else f"'{words[:LONGEST_QUOTE].rstrip()} ...'"
