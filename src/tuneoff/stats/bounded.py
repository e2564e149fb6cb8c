"""Tests and bounds of a mean of bounded values, which hold however few of the values differ.

A standard error is estimated from the values that vary, so it is far too small where hardly any does: for
twenty right answers of twenty it is 0. If the highest possible value is known, no standard error is needed.
Add one more value that is this high, and weight all N + 1 at random (Dirichlet weights with all parameters
1); the share of such weighted means at `mean` or above is the p-value of a true mean that high (Gaffke 2005).
For right-or-wrong answers it is the exact binomial test (Clopper & Pearson 1934), for their differences
between two models the exact sign test (McNemar's). For graded values its level is a conjecture that no search
for a counterexample has refuted (Learned-Miller & Thomas 2019).
"""

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.special import betaincc, ndtri

Floats = NDArray[np.float64]
_DECIMALS = 12
"""Decimals in which equal values agree whatever the order in which they were summed up."""
_STEP, _STEPS_PER_BLOCK, _MOST_STEPS = 0.06, 48, 800
"""Of the trapezoid rule in `_probability_above_zero`."""
_NEGLIGIBLE = 1e-12
"""Size of the integrand, relative to its top, below which the rest is left out."""
_TOLERANCE = 1e-9
"""By how much the highest mean may be missed."""


def p_at_least(values: Floats, mean: float, *, added_value: float, extra_variance: float = 0.0) -> float:
    """Return the p-value of a true mean of at least `mean`, for independent values [N].

    `added_value` is the value that one more of them is given: the highest possible one. `extra_variance` is
    variance of the mean that the values do not show, by which the distribution is stretched.
    """
    middle, stretch = _stretch(values, added_value, extra_variance)
    return _p_at_least(values, middle + (mean - middle) / stretch, added_value)


def highest(
    values: Floats,
    *,
    added_value: float,
    alpha: float,
    extra_variance: float = 0.0,
    at_least: float | None = None,
) -> float:
    """Return the highest true mean of values [N] that has a p-value of `alpha`.

    It is `at_least` if that is higher.
    """
    if at_least is not None:
        p = p_at_least(values, at_least, added_value=added_value, extra_variance=extra_variance)
        if p <= alpha:
            return at_least
    end = max(added_value, float(values.max()))
    if _p_at_least(values, end, added_value) < alpha:
        end = _mean_of_level(values, added_value, alpha, end)
    middle, stretch = _stretch(values, added_value, extra_variance)
    return middle + stretch * (end - middle)


def _mean_of_level(values: Floats, added_value: float, alpha: float, high: float) -> float:
    """Return the true mean below `high` that has a p-value of `alpha`.

    The normal quantile of the p-value is nearly a straight line over the mean, so the secant method finds it
    in a few steps, the first of which has the slope of the normal distribution. A step out of the range that
    is left is replaced by one into its middle.
    """
    middle, variance = _weighted_mean(values, added_value)
    level, low = float(ndtri(alpha)), float(values.mean())
    slope = -1 / np.sqrt(variance)
    mean = min(middle + level / slope, (low + high) / 2)
    before = None
    while True:
        # beyond these p-values, quantiles are infinite
        p = np.clip(_p_at_least(values, mean, added_value), 1e-300, 1 - 1e-16)
        excess = float(ndtri(p)) - level
        low, high = (mean, high) if excess > 0 else (low, mean)
        if before is not None and before[1] != excess:
            slope = (excess - before[1]) / (mean - before[0])
        following = mean - excess / slope
        if not low < following < high:
            following = (low + high) / 2
        if abs(following - mean) < _TOLERANCE:
            return float(following)
        before, mean = (mean, excess), following


def _stretch(values: Floats, added_value: float, extra_variance: float) -> tuple[float, float]:
    """Return the mean of the weighted means, and the factor that gives them the extra variance."""
    middle, variance = _weighted_mean(values, added_value)
    stretch = np.sqrt(1 + extra_variance / variance) if variance > 0 and np.isfinite(extra_variance) else 1.0
    return middle, float(stretch)


def _weighted_mean(values: Floats, added_value: float) -> tuple[float, float]:
    """Return the mean and the variance of a weighted mean with Dirichlet weights."""
    all_values = np.append(values, added_value)
    return float(all_values.mean()), float(all_values.var()) / (len(values) + 2)


def _p_at_least(values: Floats, mean: float, added_value: float) -> float:
    """Return the share of weighted means that are at `mean` or above.

    Dirichlet weights are independent Gamma variables over their sum, so a weighted mean is above `mean`
    exactly if the sum of the distances from `mean`, each times its Gamma variable, is above 0.
    """
    distances = np.round(np.append(values, added_value) - mean, _DECIMALS)
    distinct, counts = np.unique(distances, return_counts=True)
    if distinct[0] >= 0:
        return 1.0
    if distinct[-1] <= 0:
        return 0.0
    if len(distinct) == 2:  # one Gamma variable's share of two is a Beta variable
        below, above = distinct
        return float(betaincc(counts[1], counts[0], -below / (above - below)))
    if counts @ distinct > 0:  # integrate the smaller side: the integrand of the larger one oscillates
        return 1 - _probability_above_zero(-distinct[::-1], counts[::-1])
    return _probability_above_zero(distinct, counts)


def _probability_above_zero(values: Floats, counts: NDArray[np.int64]) -> float:
    """Return the probability that the sum of values [J], each times a Gamma(count) variable, is above 0.

    The values rise, from below 0 to above it, and the sum's mean is not above 0. With the cumulant generating
    function K(s) = -sum of counts * log(1 - s * values), the probability is the integral of
    exp(K(s)) / (2 pi i s) along any line parallel to the imaginary axis that crosses the real one between 0
    and 1 / max(values). If it crosses at the saddle point of the integrand, the integrand oscillates little,
    and the trapezoid rule over t = sinh(u) is exact to many digits.
    """
    counts, top = counts.astype(float), values[-1]

    def slope(crossing: float) -> float:
        """Return the derivative of K(s) - log(s), which is 0 at the saddle point."""
        return float(counts @ (values / (1 - crossing * values)) - 1 / crossing)

    # any crossing gives the same integral, so it need not be the saddle point exactly
    crossing = float(
        scipy.optimize.brentq(slope, 1e-15 / top, (1 - 1e-15) / top, xtol=1e-15 / top, rtol=1e-2)
    )
    slopes = values / (1 - crossing * values)
    scale = 1 / np.sqrt(counts @ slopes**2 + crossing**-2)
    total = 0.0
    for start in range(0, _MOST_STEPS, _STEPS_PER_BLOCK):
        # at s = crossing + i t with t = scale * sinh(u): exp(K(s)) / s relative to its value at t = 0
        steps = _STEP * np.arange(start, start + _STEPS_PER_BLOCK)
        places = scale * np.sinh(steps)
        turns = np.multiply.outer(places, slopes)  # [_STEPS_PER_BLOCK, J]
        size = np.exp(-np.log1p(turns**2) @ counts / 2) * np.cosh(steps)
        pole = 1 + 1j * places / crossing
        parts = (size * np.exp(1j * (np.arctan(turns) @ counts)) / pole).real
        # the integrand is symmetric, so only t >= 0 is summed up, with half the weight for t = 0
        total += parts.sum() - (parts[0] / 2 if start == 0 else 0)
        if size[-1] / abs(pole[-1]) < _NEGLIGIBLE:
            break
    height = np.exp(-counts @ np.log1p(-crossing * values)) / crossing
    return float(np.clip(height * total * scale * _STEP / np.pi, 0, 1))
