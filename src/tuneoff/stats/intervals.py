"""Intervals of means over seeds and test examples, for other seeds and other examples.

Seeds and examples are crossed random effects, as readers and cases are in radiology: every seed's model
answers the same N examples, and another study would draw other seeds and other examples. With the mean
squares of the two-way table without replication (Obuchowski & Rockette 1995, Hillis 2007),

    Var(mean) = (MS_seed + max(MS_example - MS_residual, 0)) / (R N)

The first part is known from R - 1 degrees of freedom, the second from N - 1, and the error of the mean has
the Behrens-Fisher distribution of the two. `docs/statistics.md` explains why not Student's, and has the
measured coverage. An estimated variance is unreliable where few examples differ, so for scores within known
bounds no end of an interval is nearer to the mean than the exact test of `bounded.py` allows.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtri, expit, log_expit, softmax, stdtr, stdtrit

from tuneoff.stats import bounded

Floats = NDArray[np.float64]
ALPHA = 0.05
"""Intervals hold the truth 1 - ALPHA of the time; a claim is wrong at most ALPHA of the time."""
RARE = 0.05
"""Lower limit of the seeds' part of the variance, as a quantile of its distribution if seeds had no effect.
Without the limit, three models that happen to have equally many right answers would have no variance over
seeds, and any difference would look certain."""
NODES = 129
"""Points of the integral over the Behrens-Fisher distribution: six right digits with two seeds, else ten."""
_PRECISION, _MOST_SECANTS = 1e-12, 30
"""Relative precision of a critical value, and the steps in which it is looked for."""


class Spread(NamedTuple):
    """Variance of a mean over R seeds and N examples by its origin, each [...]."""

    seeds: Floats
    """Of other seeds on these examples: MS_seed / (R N), or the limit that `RARE` gives if that is higher."""
    examples: Floats
    """Of other examples with these seeds: MS_example / (R N)."""
    residual: Floats
    """The part that both contain: MS_residual / (R N)."""

    @property
    def beyond_seeds(self) -> Floats:
        """The variance that other examples add to the seeds' part."""
        return np.maximum(self.examples - self.residual, 0)

    @property
    def beyond_examples(self) -> Floats:
        """The variance that other seeds add to the examples' part."""
        return np.maximum(self.seeds - np.minimum(self.residual, self.examples), 0)

    @property
    def total(self) -> Floats:
        """Of other seeds on other examples."""
        return self.seeds + self.beyond_seeds


@dataclass(frozen=True)
class Interval:
    """A mean over seeds and examples with its interval."""

    mean: float
    low: float
    """Lower end of the interval; for scores without bounds and a single example, minus infinity."""
    high: float
    std_error: float
    """Standard error of the mean over other seeds and other examples."""
    df: int
    """Degrees of freedom of the seeds' part of the error; with one seed, of the whole error."""
    seed_error: float | None
    """Standard error due to the seeds alone, on these very examples; None with one seed."""
    test_error: float | None
    """Standard error due to the finite test set alone, with these very seeds; None with one example."""
    seeds: int
    examples: int


def interval(
    values: Floats,
    *,
    seeded: bool = True,
    alpha: float = ALPHA,
    added_values: tuple[float, float] | None = None,
    limited: bool = True,
) -> Interval:
    """Return the interval of the mean of values [R, N], for other seeds and other examples.

    It misses the truth with probability `alpha`. With one seed, or where seeds do not matter
    (`seeded=False`), it is for this one model. Its ends are never nearer to the mean than the exact test of
    `bounded.py` allows, and for one model they are that test's. `added_values` has the lowest and the highest
    value that this test gives to the example it adds; by default 0 and 1, and then the ends stay between
    these. For values outside of 0..1, or without a limit (`limited=False`, as losses), there is no such test
    without `added_values`, and for one model the interval is Student's over the examples.
    `docs/statistics.md` has the coverage.
    """
    seeds, examples = values.shape
    parts = spread(values, seeded=seeded)
    alone = seeds == 1 or not seeded  # one model: nothing is known of other seeds
    mean, std_error = float(values.mean()), math.sqrt(parts.total)
    half = std_error * float(critical(seeds_share(parts), seeds=seeds, examples=examples, alpha=alpha))
    found = Interval(
        mean=mean,
        low=mean - half,
        high=mean + half,
        std_error=std_error,
        df=examples - 1 if alone else seeds - 1,
        seed_error=None if alone else math.sqrt(parts.seeds),
        test_error=math.sqrt(parts.examples) if examples > 1 else None,
        seeds=seeds,
        examples=examples,
    )
    # values known to be bounded: widen the interval to that of the exact test where that is wider
    least, most = added_values or (0.0, 1.0)
    if added_values is None and not (limited and values.min() >= least and values.max() <= most):
        return found
    of_examples = values.mean(0)
    exact = partial(bounded.highest, alpha=alpha / 2, extra_variance=float(parts.beyond_examples))
    # the lowest true mean is minus the highest one of the negated values
    low = -exact(-of_examples, added_value=-least, at_least=None if alone else -found.low)
    high = exact(of_examples, added_value=most, at_least=None if alone else found.high)
    if added_values is None:
        low, high = max(low, least), min(high, most)
    return replace(found, low=low, high=high)


def within(found: Interval, least: float, most: float) -> Interval:
    """Return the interval cut to the possible values, `least` to `most`."""
    return replace(found, low=max(found.low, least), high=min(found.high, most))


def rate_bound(count: int, of: int) -> float:
    """Return the exact one-sided 95% upper bound of the rate of what was seen `count` of `of` times."""
    return bounded.highest((np.arange(of) < count).astype(float), added_value=1.0, alpha=ALPHA)


def spread(values: Floats, *, seeded: bool = True) -> Spread:
    """Return the variance of the means of values [..., R, N], by origin.

    With one seed, or `seeded=False`, the seeds' part is 0. With one example, the examples' part is infinite.
    """
    seeds, examples = values.shape[-2:]
    of_seed, of_example = values.mean(-1), values.mean(-2)  # [..., R], [..., N]
    of_examples = _variance_of_mean(of_example)
    if seeds == 1 or not seeded:
        zero = np.zeros_like(of_examples)
        return Spread(zero, of_examples, zero)
    # residuals of the two-way table: value - mean of its seed - mean of its example + mean of all
    residuals = values - of_seed[..., None] - of_example[..., None, :] + values.mean((-2, -1), keepdims=True)
    mean_square = (residuals**2).sum((-2, -1)) / ((seeds - 1) * max(examples - 1, 1))
    residual = mean_square / (seeds * examples)
    return Spread(
        np.maximum(_variance_of_mean(of_seed), least_of_seeds(residual, seeds)), of_examples, residual
    )


def least_of_seeds(residual: ArrayLike, seeds: int) -> Floats:
    """Return the lower limit [...] of the seeds' part of a variance, from the residual part (`RARE`)."""
    # if seeds had no effect, the seeds' part times (R - 1) / residual would be chi-square with R - 1 degrees
    return np.asarray(residual) * chdtri(seeds - 1, 1 - RARE) / (seeds - 1)


def tail(distance: ArrayLike, parts: Spread, *, seeds: int, examples: int) -> Floats:
    """Return the probability that the error of a mean exceeds a distance [...] (Behrens-Fisher distribution).

    The error is t(R - 1) times the root of the seeds' variance plus t(N - 1) times the root of the variance
    that the examples add. Given the first chi-square's share of the sum of both, it is Student's with the
    degrees of freedom of both together (Ruben 1960). The share has a beta distribution, so one integral
    remains; over the log odds of the share, the trapezoid rule is exact to many digits.
    """
    first, second = max(seeds - 1, 1), max(examples - 1, 1)  # degrees of freedom
    # expit(odds) is the share of the first chi-square, expit(-odds) that of the second
    odds, weights = _beta_nodes(first, second)  # [NODES]
    of_seeds = first * parts.seeds[..., None] / expit(odds)
    of_examples = second * parts.beyond_seeds[..., None] / expit(-odds)
    variance = (of_seeds + of_examples) / (first + second)  # given the share
    distance = np.asarray(distance, dtype=float)[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        # a distance of 0 is exceeded half of the time, even if the variance is 0 as well
        ratio = np.where(distance == 0, 0.0, distance / np.sqrt(variance))
    return stdtr(first + second, -ratio) @ weights


def critical(share: ArrayLike, *, seeds: int, examples: int, alpha: float = ALPHA) -> Floats:
    """Return the number of standard errors between the mean and either end of its interval, [...].

    `share` is the seeds' part of the variance, from 0 (Student's over examples) to 1 (Student's over seeds).
    """
    share = np.asarray(share, dtype=float)
    if not share.any():  # no seeds' part: Student's, without a search
        return np.full(share.shape, stdtrit(max(examples - 1, 1), 1 - alpha / 2))
    of_seeds, of_examples = (stdtrit(max(count - 1, 1), 1 - alpha / 2) for count in (seeds, examples))
    parts = Spread(share, 1 - share, np.zeros_like(share))

    def excess(log_errors: Floats) -> Floats:
        found = tail(np.exp(log_errors), parts, seeds=seeds, examples=examples)
        return np.log(found) - math.log(alpha / 2)

    # the tail falls by nearly a straight line if both it and the errors are logarithms: the secant method
    before = np.log(share * of_seeds**2 + (1 - share) * of_examples**2) / 2
    now = before + 0.01
    excess_before = excess(before)
    for _ in range(_MOST_SECANTS):
        excess_now = excess(now)
        change = excess_now - excess_before
        step = np.divide(excess_now * (before - now), change, out=np.zeros_like(now), where=change != 0)
        before, excess_before, now = now, excess_now, now + step
        if np.abs(step).max() < _PRECISION:
            break
    return np.exp(now)


def _variance_of_mean(values: Floats) -> Floats:
    """Return the variance of the mean of values [..., n]; infinite where n is 1."""
    count = values.shape[-1]
    return values.var(-1, ddof=1) / count if count > 1 else np.full(values.shape[:-1], np.inf)


def seeds_share(parts: Spread) -> Floats:
    """Return the seeds' part of the variance, from 0 to 1; 0 where the variance is 0 or infinite."""
    total = parts.total
    return np.divide(parts.seeds, total, out=np.zeros_like(total), where=(total > 0) & np.isfinite(total))


@lru_cache(maxsize=64)
def _beta_nodes(first: int, second: int) -> tuple[Floats, Floats]:
    """Return nodes (log odds) and weights of an integral over Beta(first / 2, second / 2), [NODES] each.

    The nodes cover all but 1e-13 of the distribution.
    """
    # the density's mode over the log odds, and a range around it that reaches into its exponential tails
    center, width = math.log(first / second), 8 * math.sqrt(2 / first + 2 / second)
    odds = np.linspace(center - width - 60 / first, center + width + 60 / second, NODES)
    return odds, softmax(first / 2 * log_expit(odds) + second / 2 * log_expit(-odds))
