"""Whether a run's answers vary with the question, and its accuracy with the labels."""

import textwrap
from collections import Counter
from functools import lru_cache

import numpy as np
from statsmodels.stats.proportion import proportion_confint

from tuneoff.spec import ClassificationSpec
from tuneoff.stats.answers import Texts
from tuneoff.stats.health.finding import Finding, RunEvidence
from tuneoff.stats.intervals import ALPHA

COLLAPSED_SPREAD = 0.1
"""Answers vary less than this share of what the references vary: a weak model still varies by a third."""
FEWEST_OTHERS = 8
"""References other than the commonest one, at least: a model that finds half of them misses 8 once in 256."""
LONGEST_QUOTE = 60
"""Characters of a text that evidence quotes."""


def collapsed(run: RunEvidence) -> Finding | None:
    """Nearly all answers are one label or one text, or texts are a handful, where the references vary."""
    if run.answers is None:
        return None
    wanted = _compared(run, run.answers.wanted)
    given = _compared(run, run.answers.given)
    if _others(wanted) < FEWEST_OTHERS:
        return None
    if _others(given) <= COLLAPSED_SPREAD * _others(wanted):
        return Finding("collapsed", _one_answer(run, wanted, given))
    different, references = len(set(given)), len(set(wanted))
    if different <= COLLAPSED_SPREAD * references:
        return Finding(
            "collapsed",
            f"{len(given):,} test answers are {different:,} different texts, where the references are "
            f"{references:,}",
        )
    return None


def _one_answer(run: RunEvidence, wanted: Texts, given: Texts) -> str:
    answer, reference = _commonest(given), _commonest(wanted)
    return (
        f"{(given == answer).mean():.1%} of {len(given):,} test answers are {_named(run, answer)}, where the "
        f"commonest reference, {_named(run, reference)}, has {(wanted == reference).mean():.1%}"
    )


def accuracy_is_majority_share(run: RunEvidence) -> Finding | None:
    """Accuracy cannot be told from that of always answering the commonest label."""
    if run.answers is None or not isinstance(run.record.spec.task, ClassificationSpec):
        return None
    correct = run.answers.scores(run.metric)
    references = run.answers.wanted
    commonest = _commonest(references)
    share = float((references == commonest).mean())
    low, high = _wilson(int(correct.sum()), len(correct))
    if not low <= share <= high:
        return None
    return Finding(
        "metric broken",
        f"eval_accuracy {correct.mean():.3f} ({1 - ALPHA:.0%} interval {low:.3f} to {high:.3f}, "
        f"{len(correct):,} test rows) cannot be told from always answering the commonest label, "
        f"{_named(run, commonest)}, which is right in {share:.3f}",
    )


@lru_cache(maxsize=4096)
def _wilson(right: int, rows: int) -> tuple[float, float]:
    low, high = proportion_confint(right, rows, ALPHA, method="wilson")
    return float(low), float(high)


def _others(values: Texts) -> int:
    return len(values) - max(Counter(values.tolist()).values(), default=0)


def _commonest(values: Texts) -> str:
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
        return f"'{textwrap.shorten(answer, LONGEST_QUOTE, placeholder=' ...')}'"
    return f"'{task.labels[answer]}'" if answer in task.labels else "no label"
