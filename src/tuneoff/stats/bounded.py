"""How far the mean of a few values may be from the truth, however few of them differ.

A standard error is estimated from the values that vary, so it is far too small where hardly any does: twenty
right answers of twenty have none at all. If the most that a value can be is known, no standard error is
needed. Let one more value be that high and weight all N + 1 at random, as evenly as a Dirichlet distribution
of ones; the share of such weighted means at `mean` or above is the p-value of a true mean that high (Gaffke
2005). Of right-or-wrong answers it is the exact binomial test (Clopper & Pearson 1934), of their differences
between two models the exact sign test (McNemar's). For graded values its level is a conjecture that no search
for a counterexample has refuted (Learned-Miller & Thomas 2019).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

Floats = NDArray[np.float64]
_PLACES = 12
"""Decimals in which equal values agree whatever the order in which they were summed up."""
_STEP, _AT_ONCE, _MOST_STEPS = 0.06, 24, 800
_NOTHING = 1e-14


def p_at_least(values: Floats, mean: float, *, beside: float, extra: float = 0.0) -> float:
    """Return the p-value of a true mean of at least `mean`, for independent values [N].

    `beside` is the value that one more of them is given: the most that a value can be. `extra` is variance of
    the mean that the values do not show, by which the distribution is stretched.
    """
    middle, stretch = _stretch(values, beside, extra)
    return _p_at_least(values, middle + (mean - middle) / stretch, beside)


def highest(
    values: Floats, *, beside: float, alpha: float, extra: float = 0.0, at_least: float | None = None
) -> float:
    """Return the highest true mean of values [N] that has a p-value of `alpha`.

    It is `at_least` if that is higher.
    """
    if at_least is not None and p_at_least(values, at_least, beside=beside, extra=extra) <= alpha:
        return at_least
    low, end = float(values.mean()), max(beside, float(values.max()))
    if _p_at_least(values, end, beside) < alpha:
        end = float(brentq(lambda mean: _p_at_least(values, mean, beside) - alpha, low, end, xtol=1e-9))
    middle, stretch = _stretch(values, beside, extra)
    return middle + stretch * (end - middle)


def _stretch(values: Floats, beside: float, extra: float) -> tuple[float, float]:
    """The mean of the weighted means, and the factor that gives them the extra variance."""
    all_values = np.append(values, beside)
    variance = float(all_values.var()) / (len(values) + 2)  # of a mean with Dirichlet weights
    stretch = np.sqrt(1 + extra / variance) if variance > 0 and np.isfinite(extra) else 1.0
    return float(all_values.mean()), float(stretch)


def _p_at_least(values: Floats, mean: float, beside: float) -> float:
    distinct, counts = np.unique(np.round(np.append(values, beside) - mean, _PLACES), return_counts=True)
    if distinct[0] >= 0:
        return 1.0
    if distinct[-1] <= 0:
        return 0.0
    if counts @ distinct > 0:  # the integral is of the smaller side: the larger one's oscillates
        return 1 - _above_zero(-distinct[::-1], counts[::-1])
    return _above_zero(distinct, counts)


def _above_zero(values: Floats, counts: NDArray[np.int64]) -> float:
    """The probability that the sum of values [J], each times a Gamma(count) variable, is above 0.

    The values rise, from below 0 to above it, and the sum's mean is not above 0. With
    K(s) = -sum of counts * log(1 - s * values), it is the integral of exp(K(s)) / (2 pi i s) along any
    line from -i to +i infinity that crosses the real axis between 0 and 1 / max(values). Where it crosses at
    the integrand's saddle point, little oscillates, and the trapezoid rule over t = sinh(u) is exact to many
    digits.
    """
    top = values[-1]

    def slope(crossing: float) -> float:
        return float(counts @ (values / (1 - crossing * values)) - 1 / crossing)

    crossing = float(brentq(slope, 1e-15 / top, (1 - 1e-15) / top, xtol=1e-15 / top, rtol=1e-10))
    slopes = values / (1 - crossing * values)
    scale = 1 / np.sqrt(counts @ slopes**2 + crossing**-2)
    total = 0.0
    for start in range(0, _MOST_STEPS, _AT_ONCE):
        steps = _STEP * np.arange(start, start + _AT_ONCE)
        turns = np.outer(scale * np.sinh(steps), slopes)  # [_AT_ONCE, J]
        size = np.exp(-np.log1p(turns**2) @ counts / 2)
        pole = 1 + 1j * scale * np.sinh(steps) / crossing
        parts = (size * np.exp(1j * np.arctan(turns) @ counts) / pole).real * np.cosh(steps)
        total += parts.sum() - (parts[0] / 2 if start == 0 else 0)
        if (size / np.abs(pole) * np.cosh(steps)).max() < _NOTHING:
            break
    height = np.exp(-counts @ np.log1p(-crossing * values)) / crossing
    return float(np.clip(height * total * scale * _STEP / np.pi, 0, 1))
