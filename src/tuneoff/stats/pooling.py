"""The usual variance over seeds among several methods, by which each one's is supported (Smyth 2004)."""

import numpy as np
from scipy.special import chdtri

from tuneoff.stats.intervals import Floats

FEWEST_POOLED = 4
"""Trained methods at or above which the seeds' variances are pooled; the median of fewer is too uncertain."""
FEWEST_POOLED_SEEDS = 3


def usual_variance(of_pairs: Floats, *, methods: int, seeds: int) -> Floats | None:
    """Return the median [...] of the seeds' variances [pairs, ...] of pairs of one kind.

    No variance of the kind should be below it, and each then has twice its own degrees of freedom. None with
    too few trained methods or seeds.
    """
    if methods < FEWEST_POOLED or seeds < FEWEST_POOLED_SEEDS:
        return None
    # the median of a variance with few degrees of freedom is below its mean
    skew = float(chdtri(seeds - 1, 0.5)) / (seeds - 1)
    return np.asarray(np.median(of_pairs, axis=0) / skew)
