"""Check whether predicted labels, or places of options, agree with the right ones better than chance.

The statistic is the number of right predictions. If predictions had nothing to do with labels, each order of
the same predictions would be equally likely: with two labels that is Fisher's exact test, with more its
counterpart for tables of any size. Skewed labels do no harm, unlike to a comparison of the accuracy with the
share of the most common label.
"""

import math
from collections import Counter
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import scipy
from scipy.special import ndtr, ndtri

from tuneoff.stats.health.finding import Finding, RunEvidence
from tuneoff.stats.intervals import ALPHA

BELOW_CHANCE = 0.005
"""p-value up to which so few right predictions are below chance level."""
HEALTHY_KAPPA = 0.5
"""Agreement (Cohen's kappa) of a model that works, with some reserve: an accuracy of .75 with two labels that
are equally common, .84 where one has .8, .95 where one has .95."""
HEALTHY_PASSES = 0.99
"""Least probability that such a model passes on the test set for a failure on it to count as an error."""
DRAWS = 999
"""Random tables drawn where no formula is accurate enough: the least p-value is then .001."""
MANY = 3.0
"""Standard deviation of the number of right predictions at or above which a normal approximation is used."""


def chance_level(run: RunEvidence) -> Finding | None:
    """Report predictions that agree with labels no better than chance, though a good model's would."""
    found = _agreement(run)
    if found is None or not found.like_chance or not found.enough_rows:
        return None
    return Finding(
        "chance level", f"{_accuracy_and_chance(found)} (p = {found.p_as_many:.2g} that chance does as well)"
    )


def below_chance(run: RunEvidence) -> Finding | None:
    """Report predictions that are right less often than in random order: labels may be inverted."""
    found = _agreement(run)
    if found is None or found.p_as_few > BELOW_CHANCE:
        return None
    validation = run.record.validation.get(run.metric)
    compared = "" if validation is None else f"; on validation {run.metric_name} is {validation:.3f}"
    return Finding(
        "below chance", f"{_accuracy_and_chance(found)}: labels of the test rows may be inverted{compared}"
    )


def too_few_to_tell(run: RunEvidence) -> Finding | None:
    """Report predictions like a random order, on so few rows that a good model's might be like one too."""
    found = _agreement(run)
    if found is None or not found.like_chance or found.enough_rows or single_label(run):
        return None
    return Finding(
        "few rows",
        f"{_accuracy_and_chance(found)}; with these test rows a model that works may not be distinguished "
        f"from chance either (it is in {found.power:.0%} of test sets)",
    )


def single_label(run: RunEvidence) -> Finding | None:
    """Report that all test rows have one label, so a model that ignores its input can be right on each."""
    task = run.record.spec.task
    if run.answers is None or task.answer == "text":
        return None
    references = run.answers.references
    if len(references) < 2 or len({*references}) > 1:
        return None
    right = f"{task.answer} '{task.in_words(references[0])}'"
    return Finding(
        "single label",
        f"all {len(references):,} test rows have the {right}, so {run.metric_name} does not "
        f"distinguish a model that reads them from one that always predicts this {task.answer}",
    )


class _Agreement(NamedTuple):
    """The number of right predictions, beside what random orders of the same predictions would have."""

    right: int
    rows: int
    expected: float
    """Right predictions of a random order, on average."""
    p_as_many: float
    """Probability that a random order has as many right predictions, or more."""
    p_as_few: float
    """Probability that a random order has as few right predictions, or fewer."""
    power: float
    """Probability that a working model has more right predictions than chance explains."""

    @property
    def like_chance(self) -> bool:
        """Whether the predictions are neither better nor worse than chance."""
        return self.p_as_many >= ALPHA and self.p_as_few > BELOW_CHANCE

    @property
    def enough_rows(self) -> bool:
        """Whether a working model would very probably be better than chance on these test rows."""
        return self.power >= HEALTHY_PASSES


def _accuracy_and_chance(found: _Agreement) -> str:
    return (
        f"accuracy is {found.right / found.rows:.3f} over {found.rows:,} test rows, where the same "
        f"predictions in random order have {found.expected / found.rows:.3f}"
    )


@lru_cache(maxsize=1)  # three rules ask for it, run by run
def _agreement(run: RunEvidence) -> _Agreement | None:
    if run.answers is None or not len(run.answers) or run.record.spec.task.answer == "text":
        return None
    references, predictions = run.answers.references, run.answers.predictions
    labels = sorted({*references, *predictions} - {""})
    reference_counts, prediction_counts = Counter(references.tolist()), Counter(predictions.tolist())
    return _compared_with_chance(
        int((references == predictions).sum()),
        tuple(reference_counts[label] for label in labels),
        # the last count is of predictions that are no label, which are right for no row
        (*(prediction_counts[label] for label in labels), prediction_counts[""]),
    )


@lru_cache(maxsize=4096)
def _compared_with_chance(
    right: int, references: tuple[int, ...], predictions: tuple[int, ...]
) -> _Agreement:
    """Return the agreement for numbers of references and predictions by label; see `_agreement`."""
    rows = sum(references)
    expected, deviation = _random_order(references, predictions)
    as_many, as_few = _tails(right, references, predictions, expected, deviation)
    return _Agreement(right, rows, expected, as_many, as_few, _power(references))


def _random_order(references: tuple[int, ...], predictions: tuple[int, ...]) -> tuple[float, float]:
    """Return mean and standard deviation of the number of right predictions over all orders."""
    rows = sum(references)
    of_references = np.array(references, dtype=float)
    of_predictions = np.array(predictions[: len(references)], dtype=float)
    # variance of a sum of indicators: first of single labels, then of pairs of different labels
    products = of_references * of_predictions
    alone = (products * (rows - of_references) * (rows - of_predictions)).sum()
    together = products.sum() ** 2 - (products**2).sum()
    variance = (alone + together) / (rows**2 * max(rows - 1, 1))
    return float(products.sum() / rows), math.sqrt(variance)


def _tails(
    right: int, references: tuple[int, ...], predictions: tuple[int, ...], expected: float, deviation: float
) -> tuple[float, float]:
    """Return the probabilities that a random order has as many right predictions, and as few."""
    rows = sum(references)
    if deviation == 0:
        return 1.0, 1.0
    if len(references) == 2 and not predictions[2]:
        # with two labels, all counts follow from the number of rows of the first that are right
        first = (right - rows + references[0] + predictions[0]) // 2
        of_first = scipy.stats.hypergeom(rows, references[0], predictions[0])
        return float(of_first.sf(first - 1)), float(of_first.cdf(first))
    if deviation >= MANY:
        above, below = right - 0.5 - expected, right + 0.5 - expected
        return float(ndtr(-above / deviation)), float(ndtr(below / deviation))
    tables = scipy.stats.random_table(references, predictions).rvs(
        DRAWS, random_state=np.random.default_rng(0)
    )
    drawn = np.trace(tables, axis1=1, axis2=2)
    # the observed order counts as one of the random ones
    as_many = (1 + int((drawn >= right).sum())) / (DRAWS + 1)
    as_few = (1 + int((drawn <= right).sum())) / (DRAWS + 1)
    return as_many, as_few


def _power(references: tuple[int, ...]) -> float:
    """Return the probability that a working model has more right predictions than chance explains.

    By a normal approximation, for predictions with the references' shares and a kappa of `HEALTHY_KAPPA`.
    """
    rows = sum(references)
    chance, deviation = _random_order(references, (*references, 0))
    right = chance + HEALTHY_KAPPA * (rows - chance)
    spread = math.sqrt(right * (rows - right) / rows)
    if spread == 0:
        return 0.0
    needed = chance + 0.5 + float(ndtri(1 - ALPHA)) * deviation
    return float(ndtr((right - needed) / spread))
