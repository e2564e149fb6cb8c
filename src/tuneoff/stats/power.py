"""Power analysis: the differences that a study of a given size can detect with the test of `compare`.

The difference is taken as normal and the test set's variance as known; random is the difference itself and
the test's estimate of the seeds' variance, which has R - 1 degrees of freedom. `benchmarks/calibration.py`
checks this against simulated studies.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2, norm

from tuneoff.stats.intervals import ALPHA, Floats, critical, spread

POWER = 0.8
"""A study detects a difference that would be significant in this share of such studies."""
SEEDS = (3, 5, 10)
MOST_SEEDS = 100
MOST_EXAMPLES = 10_000_000
_DRAWS = (np.arange(32) + 0.5) / 32
"""Quantiles that stand for the distribution of the seeds' estimated variance."""


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


class Option(NamedTuple):
    """A size of study that detects a difference."""

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


def power(
    difference: float, *, seeds: int, examples: int, components: Components, alpha: float = ALPHA
) -> float:
    """Return the probability of detecting a true difference, with at least two seeds and two examples.

    `alpha` is the level of the single test: for the first of m comparisons, Holm's is `ALPHA / m`.
    """
    return _plan(seeds, examples, components, alpha).power(difference)


def detectable(seeds: int, examples: int, components: Components, *, alpha: float = ALPHA) -> float | None:
    """Return the smallest true difference that is detected with the probability POWER.

    None with one seed, which supports no claim about a method, and with one example.
    """
    if min(seeds, examples) < 2:
        return None
    plan = _plan(seeds, examples, components, alpha)
    # three standard errors above the highest bound, the power is practically 1
    surely = plan.bounds.max() + 3 * plan.std_error
    return float(brentq(lambda difference: plan.power(difference) - POWER, 0, surely)) if surely > 0 else 0.0


def examples_needed(
    difference: float, components: Components, *, seeds: int, alpha: float = ALPHA
) -> int | None:
    """Return the smallest test set on which this many seeds detect a difference; None if there is none."""
    return _smallest(
        MOST_EXAMPLES,
        lambda examples: power(
            difference, seeds=seeds, examples=examples, components=components, alpha=alpha
        ),
    )


def seeds_needed(
    difference: float, components: Components, *, examples: int, alpha: float = ALPHA
) -> int | None:
    """Return the smallest number of seeds that detects a difference on this many examples.

    None above MOST_SEEDS.
    """
    return _smallest(
        MOST_SEEDS,
        lambda seeds: power(difference, seeds=seeds, examples=examples, components=components, alpha=alpha),
    )


def needed(
    difference: float,
    components: Components,
    *,
    examples: int,
    seeds: Sequence[int] = SEEDS,
    alpha: float = ALPHA,
) -> tuple[Option, ...]:
    """Return studies that detect a difference: a test set for each number of seeds, seeds for `examples`."""
    sized = [Option(n, examples_needed(difference, components, seeds=n, alpha=alpha)) for n in seeds]
    return *sized, Option(seeds_needed(difference, components, examples=examples, alpha=alpha), examples)


class _Plan(NamedTuple):
    """A planned test: how the mean difference will vary, and above which bounds it will be significant."""

    std_error: float
    bounds: Floats
    """[32], equally likely ones, as the estimate of the seeds' variance varies."""

    def power(self, difference: float) -> float:
        """Return the probability that a true difference will be significant, on average over the bounds."""
        if self.std_error == 0:
            return float((abs(difference) > self.bounds).mean())
        above = norm.sf((self.bounds - difference) / self.std_error)
        below = norm.cdf((-self.bounds - difference) / self.std_error)
        return float((above + below).mean())


def _plan(seeds: int, examples: int, components: Components, alpha: float) -> _Plan:
    # variances of the mean difference; the residual is in the seeds' part, as in `spread`
    of_seeds = (components.seed**2 + components.residual**2 / examples) / seeds
    of_examples = components.example**2 / examples
    estimates = of_seeds * chi2.ppf(_DRAWS, seeds - 1) / (seeds - 1)
    total = estimates + of_examples
    share = np.divide(estimates, total, out=np.zeros_like(total), where=total > 0)
    # the bound of the crossed test for each estimate of the seeds' variance
    factors = critical(share, seeds=seeds, examples=examples, alpha=alpha)
    # the exact test adds an example against the difference, about as large as the others are
    deviation = np.hypot(components.example, components.residual)
    against = min(1.0, 2 * deviation) / examples
    exact = against + norm.isf(alpha / 2) * np.sqrt(total + against**2)
    return _Plan(np.sqrt(of_seeds + of_examples), np.maximum(factors * np.sqrt(total), exact))


def _smallest(most: int, finds: Callable[[int], float]) -> int | None:
    """Return the first number from 2 at which the power is enough, by bisection; None if there is none."""
    numbers = range(2, most + 1)
    place = bisect_left(numbers, True, key=lambda number: finds(number) >= POWER)
    return numbers[place] if place < len(numbers) else None
