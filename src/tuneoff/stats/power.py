"""Power analysis: the lead with which a decision (`decide.py`) will be shown, for a planned study.

The question is how far the best candidate must be ahead of all others. Studies in which all candidates are
equally good are simulated by what the decision's bounds depend on: mean scores over seeds and examples, and
the seeds' estimated variances; the test set's variance is taken as known. If the best one is ahead by some
lead in truth, all bounds of what it lacks against the others are lower by as much. So the decision is shown
with a lead of the largest of these bounds minus the margin, and the lead that is enough in a share of studies
is a quantile of that. `benchmarks/calibration_leads.py` checks it against `decide`.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from tuneoff.stats.intervals import ALPHA, Floats, critical, least_of_seeds, spread
from tuneoff.stats.pooling import usual_variance

POWER = 0.8
"""The share of studies that are to show what they are planned for."""
SEEDS = (3, 5, 10)
MOST_SEEDS = 100
_ROUND_SIZES = [size * 10**power for power in range(6) for size in range(10, 100)]
"""Sizes of test sets that are tried, with two significant digits: 10 to 9.9 million."""
_STUDIES = 1_000
"""Simulated ones."""
_MOST_SIMULATED = 20
"""Trained and untrained candidates beyond so many count for the level alone, which keeps the arrays small."""
_SHARES = np.linspace(0, 1, 17) ** 2
"""The seeds' shares of a variance at which critical values are computed; others are interpolated. They are
dense near 0, where these values change most."""


class Components(NamedTuple):
    """Standard deviations of an example's difference between two methods, by part, in the score's unit."""

    seed: float
    """Over seeds, of the difference that a seed has on average over all possible examples."""
    example: float
    """Over examples, of the difference that an example has on average over all possible seeds."""
    residual: float
    """Of the rest, which is particular to one seed on one example."""


CLASSIFICATION = Components(seed=0.010, example=0.27, residual=0.35)
"""Measured: the middle of three pairs of full fine-tuning, prefix and prompt on SST-2 with builtin:tiny, on
three seeds of 872 examples at .70 to .79 (seed .008 to .012, example .20 to .32, residual .34 to .36).
"""
SUMMARIZATION = Components(seed=0.005, example=0.08, residual=0.10)
"""An assumption about two trained methods' ROUGE-L, not a measurement."""


class Plan(NamedTuple):
    """The size of a study, for one decision."""

    seeds: int
    examples: int
    trained: int
    """Candidates that are trained."""
    untrained: int
    """Candidates that are not: the base model and the baselines."""

    @property
    def level(self) -> float:
        """The level of each of the decision's tests."""
        return ALPHA / max(self.trained + self.untrained - 1, 1)


class Option(NamedTuple):
    """A size of study that shows a decision."""

    seeds: int | None
    """None where no number up to MOST_SEEDS is enough on this many examples."""
    examples: int | None
    """None where no test set is large enough for so few seeds."""


def components(differences: Floats) -> Components:
    """Estimate components from the differences [R, N] of two methods, R and N at least 2 (by ANOVA).

    A component that the residual explains is 0.
    """
    seeds, examples = differences.shape
    parts = spread(differences)
    residual = parts.residual * seeds * examples
    return Components(
        seed=float(np.sqrt(max(parts.seeds - parts.residual, 0) * seeds)),
        example=float(np.sqrt(parts.beyond_seeds * examples)),
        residual=float(np.sqrt(residual)),
    )


@lru_cache(maxsize=4096)  # tasks and leads are looked for among the same sizes
def lead_shown(plan: Plan, components: Components, *, margin: float) -> float | None:
    """Return the lead of a trained method over all others with which the decision will be shown.

    That is with probability POWER at least: then the method is shown to cost at most the margin. It is 0
    where that needs no lead. None with one seed or one example, which support no claim about a method.
    """
    if min(plan.seeds, plan.examples) < 2 or plan.trained < 1:
        return None
    if plan.trained + plan.untrained == 1:
        return 0.0
    bounds = _highest_bounds(plan, components)
    return max(0.0, float(np.quantile(bounds, POWER)) - margin)


def examples_needed(plan: Plan, lead: float, components: Components, *, margin: float) -> int | None:
    """Return the smallest test set on which a lead is enough, whatever the plan's; None if there is none.

    Its size is rounded up to two digits.
    """
    return _smallest(
        _ROUND_SIZES, lambda number: _is_enough(plan._replace(examples=number), lead, components, margin)
    )


def seeds_needed(plan: Plan, lead: float, components: Components, *, margin: float) -> int | None:
    """Return the fewest seeds with which a lead is enough, whatever the plan's; None above MOST_SEEDS."""
    return _smallest(
        range(2, MOST_SEEDS + 1),
        lambda number: _is_enough(plan._replace(seeds=number), lead, components, margin),
    )


def needed(
    plan: Plan, lead: float, components: Components, *, margin: float, seeds: Sequence[int] = SEEDS
) -> tuple[Option, ...]:
    """Return studies for which a lead is enough: a test set for each number of seeds, seeds for this one."""
    sized = [
        Option(number, examples_needed(plan._replace(seeds=number), lead, components, margin=margin))
        for number in seeds
    ]
    return *sized, Option(seeds_needed(plan, lead, components, margin=margin), plan.examples)


def exact_distance(std_error: Floats | float, deviation: float, examples: int, level: float) -> Floats:
    """Return about how far the exact test's one-sided bound is from the mean difference, [...].

    The test adds an example against the difference, about as large as the others are, of which `deviation`
    is the standard deviation.
    """
    added = min(1.0, 2 * deviation) / examples
    return np.asarray(added - float(ndtri(level)) * np.hypot(std_error, added))


def _highest_bounds(plan: Plan, components: Components) -> Floats:
    """Simulate studies of equally good candidates; return the largest bound of what the first one lacks.

    [studies]
    """
    seeds, examples = plan.seeds, plan.examples
    trained, untrained = min(plan.trained, _MOST_SIMULATED), min(plan.untrained, _MOST_SIMULATED)
    # variances of one method: half of those of a difference between two
    of_seed, of_example, rest = (part**2 / 2 for part in components)
    random = np.random.default_rng(0)
    by_seed = np.sqrt(of_seed + rest / examples) * random.standard_normal((_STUDIES, trained, seeds))
    by_test_set = np.sqrt(of_example / examples) * random.standard_normal((_STUDIES, trained))
    fixed = np.sqrt((of_example + rest) / examples) * random.standard_normal((_STUDIES, untrained))
    means = by_seed.mean(-1) + by_test_set
    centered = by_seed - by_seed.mean(-1, keepdims=True)
    covariance = centered @ centered.swapaxes(1, 2) / (seeds - 1)  # [studies, trained, trained]
    variance = np.diagonal(covariance, axis1=1, axis2=2)

    bounds = []
    if trained > 1:
        first, second = np.triu_indices(trained, 1)  # the pairs of the first method come first
        of_pairs = variance[:, first] + variance[:, second] - 2 * covariance[:, first, second]
        reach = _reach(of_pairs / seeds, 2 * rest, 2 * of_example, trained - 1, plan, components)
        bounds.append(means[:, 1:] - means[:, :1] + reach)
    if untrained:
        # another untrained candidate has the same seeds' variance with each of the methods
        reach = _reach(variance / seeds, rest, 2 * of_example + rest, 1, plan, components)
        bounds.append(fixed - means[:, :1] + reach)
    return np.concatenate(bounds, axis=1).max(1)


def _reach(
    of_seeds: Floats, rest: float, of_example: float, count: int, plan: Plan, components: Components
) -> Floats:
    """Return how far bounds are above the mean differences, of the first `count` pairs of a kind.

    `of_seeds` has the seeds' parts of their variances, [studies, pairs]; `rest` and `of_example` are the
    variances of the residual and of an example. [studies, count]
    """
    seeds, examples, df = plan.seeds, plan.examples, plan.seeds - 1
    of_seeds = np.maximum(of_seeds, least_of_seeds(rest / (seeds * examples), seeds))
    usual = usual_variance(of_seeds.T, methods=plan.trained, seeds=seeds)
    of_seeds = of_seeds[:, :count]
    if usual is not None:
        of_seeds, df = np.maximum(of_seeds, usual[:, None]), 2 * df
    total = of_seeds + of_example / examples
    share = np.divide(of_seeds, total, out=np.zeros_like(total), where=total > 0)
    std_error = np.sqrt(total)
    factors = critical(_SHARES, seeds=df + 1, examples=examples, alpha=2 * plan.level)
    exact = exact_distance(std_error, float(np.hypot(*components[1:])), examples, plan.level)
    return np.maximum(np.interp(share, _SHARES, factors) * std_error, exact)


def _is_enough(plan: Plan, lead: float, components: Components, margin: float) -> bool:
    least = lead_shown(plan, components, margin=margin)
    return least is not None and least <= lead


def _smallest(numbers: Sequence[int], is_enough: Callable[[int], bool]) -> int | None:
    """Return the first of ascending numbers that is enough, by bisection; None if none is."""
    if not is_enough(numbers[-1]):
        return None
    return numbers[bisect_left(numbers, True, hi=len(numbers) - 1, key=is_enough)]
