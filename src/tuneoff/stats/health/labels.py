"""Whether a classifier's answers go with the labels of its test rows.

The statistic is the number of right answers. If answers had nothing to do with labels, each order of the same
answers would be equally likely: with two labels that is Fisher's exact test, with more its counterpart for
tables of any size. Skewed labels do no harm, unlike to an accuracy beside the share of the commonest label.
"""

import math
from collections import Counter
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import hypergeom, random_table

from tuneoff.spec import ClassificationSpec
from tuneoff.stats.health.finding import Finding, RunEvidence
from tuneoff.stats.intervals import ALPHA

AGAINST = 0.005
"""p-value up to which too few right answers are no chance; a model that reads has more than chance."""
HEALTHY_KAPPA = 0.5
"""Agreement (Cohen's kappa) of a model that works, with some reserve: an accuracy of .75 with two labels that
are equally common, .84 where one has .8, .95 where one has .95."""
HEALTHY_PASSES = 0.99
"""How surely such a model must pass on a test set of this size before one that does not pass is accused."""
DRAWS = 999
"""Random tables, where no formula is good enough: the least p-value is then .001."""
MANY = 3.0
"""Standard deviation of the number of right answers from which on it is normal enough."""


def chance_level(run: RunEvidence) -> Finding | None:
    """The answers go with the labels no better than in random order, though a working model's would."""
    found = _agreement(run)
    if found is None or found.p_as_many < ALPHA or found.p_as_few <= AGAINST or not found.tells:
        return None
    return Finding("chance level", f"{_told(found)} (p = {found.p_as_many:.2g} that chance does as well)")


def below_chance(run: RunEvidence) -> Finding | None:
    """The answers are right less often than in random order: labels or answers are inverted."""
    found = _agreement(run)
    if found is None or found.p_as_few > AGAINST:
        return None
    validation = run.record.validation.get(run.metric)
    beside = "" if validation is None else f"; on validation {run.metric} is {validation:.3f}"
    return Finding("below chance", f"{_told(found)}: labels of the test rows may be inverted{beside}")


def too_few_to_tell(run: RunEvidence) -> Finding | None:
    """The answers cannot be told from a random order; of so few rows, a good model's might not."""
    found = _agreement(run)
    if found is None or found.p_as_many < ALPHA or found.p_as_few <= AGAINST or found.tells:
        return None
    if single_label(run):
        return None
    return Finding(
        "few rows",
        f"{_told(found)}; with these test rows a model that works may not be told from chance either (it is "
        f"in {found.power:.0%} of test sets)",
    )


def single_label(run: RunEvidence) -> Finding | None:
    """All test rows have one label, so a model that reads nothing can be right on each."""
    task = run.record.spec.task
    if run.answers is None or not isinstance(task, ClassificationSpec):
        return None
    wanted = run.answers.references
    if len(wanted) < 2 or len({*wanted}) > 1:
        return None
    label = task.labels.get(wanted[0], wanted[0])
    return Finding(
        "single label",
        f"all {len(wanted):,} test rows have the label '{label}', so {run.metric} does not tell a model that "
        "reads them from one that always gives this label",
    )


class _Agreement(NamedTuple):
    right: int
    rows: int
    expected: float
    """Right answers of a random order, on average."""
    p_as_many: float
    """Chance of a random order to have as many right answers, or more."""
    p_as_few: float
    power: float
    """Chance of a working model to have more right answers than chance explains."""

    @property
    def tells(self) -> bool:
        return self.power >= HEALTHY_PASSES


def _told(found: _Agreement) -> str:
    return (
        f"eval_accuracy is {found.right / found.rows:.3f} over {found.rows:,} test rows, where the same "
        f"answers in random order have {found.expected / found.rows:.3f}"
    )


def _agreement(run: RunEvidence) -> _Agreement | None:
    task = run.record.spec.task
    if run.answers is None or not len(run.answers) or not isinstance(task, ClassificationSpec):
        return None
    wanted, given = run.answers.references, run.answers.predictions
    labels = sorted({*wanted, *given} - {""})
    in_references, in_answers = Counter(wanted.tolist()), Counter(given.tolist())
    return _compared_with_chance(
        int((wanted == given).sum()),
        tuple(in_references[label] for label in labels),
        # what is no label is right for no row
        (*(in_answers[label] for label in labels), in_answers[""]),
    )


@lru_cache(maxsize=4096)
def _compared_with_chance(right: int, references: tuple[int, ...], answers: tuple[int, ...]) -> _Agreement:
    rows = sum(references)
    expected, deviation = _random_order(references, answers)
    as_many, as_few = _tails(right, references, answers, expected, deviation)
    return _Agreement(right, rows, expected, as_many, as_few, _power(references))


def _random_order(references: tuple[int, ...], answers: tuple[int, ...]) -> tuple[float, float]:
    """Mean and standard deviation of the right answers over all orders."""
    rows = sum(references)
    wanted = np.array(references, dtype=float)
    given = np.array(answers[: len(references)], dtype=float)
    products = wanted * given
    alone = (products * (rows - wanted) * (rows - given)).sum()
    together = products.sum() ** 2 - (products**2).sum()
    variance = (alone + together) / (rows**2 * max(rows - 1, 1))
    return float(products.sum() / rows), math.sqrt(variance)


def _tails(
    right: int, references: tuple[int, ...], answers: tuple[int, ...], expected: float, deviation: float
) -> tuple[float, float]:
    """The chances of a random order to have as many right answers, and as few."""
    rows = sum(references)
    if deviation == 0:
        return 1.0, 1.0
    if len(references) == 2 and not answers[2]:
        # both counts follow from how often the first label is answered rightly
        first = (right - rows + references[0] + answers[0]) // 2
        of_first = hypergeom(rows, references[0], answers[0])
        return float(of_first.sf(first - 1)), float(of_first.cdf(first))
    if deviation >= MANY:
        above, below = right - 0.5 - expected, right + 0.5 - expected
        return float(ndtr(-above / deviation)), float(ndtr(below / deviation))
    tables = random_table(references, answers).rvs(DRAWS, random_state=np.random.default_rng(0))
    drawn = np.trace(tables, axis1=1, axis2=2)
    return (1 + int((drawn >= right).sum())) / (DRAWS + 1), (1 + int((drawn <= right).sum())) / (DRAWS + 1)


def _power(references: tuple[int, ...]) -> float:
    """How surely a working model has more right answers than chance explains, by a normal approximation.

    Its answers have the references' shares and their kappa is `HEALTHY_KAPPA`.
    """
    rows = sum(references)
    chance, deviation = _random_order(references, (*references, 0))
    right = chance + HEALTHY_KAPPA * (rows - chance)
    spread = math.sqrt(right * (rows - right) / rows)
    if spread == 0:
        return 0.0
    needed = chance + 0.5 + float(ndtri(1 - ALPHA)) * deviation
    return float(ndtr((right - needed) / spread))
