"""Whether a run's answers vary with the question."""

from collections import Counter

import numpy as np

from tuneoff.spec import ClassificationSpec
from tuneoff.stats.answers import Texts
from tuneoff.stats.health.finding import Finding, RunEvidence

COLLAPSED_SPREAD = 0.1
"""Answers vary less than this share of what the references vary: a weak model still varies by a third."""
TEXT_SPREAD = 2 / 3
"""The same for texts: no writer has one and the same text for a third of its inputs."""
DIFFERENT_TEXTS = 1 / 3
"""Different texts, at most this share of the different references: the rest are stock."""
FEWEST_OTHERS = 8
"""References other than the commonest one, at least: a model that finds half of them misses 8 once in 256."""
LONGEST_QUOTE = 60
"""Characters of a text that evidence quotes."""


def collapsed(run: RunEvidence) -> Finding | None:
    """Nearly all answers are one label or one text, or texts are a handful, where the references vary."""
    if run.answers is None:
        return None
    wanted = _compared(run, run.answers.references)
    given = _compared(run, run.answers.predictions)
    if _others(wanted) < FEWEST_OTHERS:
        return None
    labels = isinstance(run.record.spec.task, ClassificationSpec)
    if _others(given) <= (COLLAPSED_SPREAD if labels else TEXT_SPREAD) * _others(wanted):
        return Finding("collapsed", _one_answer(run, wanted, given))
    different, references = len(set(given)), len(set(wanted))
    if not labels and different <= DIFFERENT_TEXTS * references:
        return Finding(
            "collapsed",
            f"{len(given):,} test answers are {different:,} different texts, where the references are "
            f"{references:,}",
        )
    return None


def _one_answer(run: RunEvidence, wanted: Texts, given: Texts) -> str:
    answer, reference = _most_common(given), _most_common(wanted)
    return (
        f"{(given == answer).mean():.1%} of {len(given):,} test answers are {_named(run, answer)}, where the "
        f"commonest reference, {_named(run, reference)}, has {(wanted == reference).mean():.1%}"
    )


def _others(values: Texts) -> int:
    return len(values) - max(Counter(values.tolist()).values(), default=0)


def _most_common(values: Texts) -> str:
    """The commonest value; among equally common ones the first in the alphabet, whatever the rows' order."""
    counts = Counter(values.tolist())
    most = max(counts.values())
    return min(value for value, count in counts.items() if count == most)


def _compared(run: RunEvidence, values: Texts) -> Texts:
    """Labels as they are, texts without case and with single spaces."""
    if isinstance(run.record.spec.task, ClassificationSpec):
        return values
    return np.array([" ".join(value.split()).casefold() for value in values], dtype=object)


def _named(run: RunEvidence, answer: str) -> str:
    task = run.record.spec.task
    if not isinstance(task, ClassificationSpec):
        return quoted(answer)
    return f"'{task.labels[answer]}'" if answer in task.labels else "no label"


def quoted(text: str) -> str:
    """A text as evidence quotes it: its beginning, in single spaces."""
    words = " ".join(text.split())
    return f"'{words}'" if len(words) <= LONGEST_QUOTE else f"'{words[:LONGEST_QUOTE].rstrip()} ...'"
