"""How many runs a race is likely to take, by simulating races before there are results.

Methods' true scores are drawn from a normal distribution, and seeds and examples vary as is typical of the
kind of task. Variances count as known, the exact test is left out, and what is not trained counts as far
behind: a rough figure, as the true differences are not known either.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from tuneoff.stats.decide import FUTILE, Look
from tuneoff.stats.intervals import critical
from tuneoff.stats.pooling import FEWEST_POOLED, FEWEST_POOLED_SEEDS
from tuneoff.stats.power import Components

DIFFERENCES = 0.03
"""Standard deviation of the methods' true scores that is assumed."""
_RACES = 400


def likely_runs(
    looks: Sequence[Look],
    *,
    methods: int,
    candidates: int,
    examples: int,
    components: Components,
    margin: float,
) -> float:
    """Return how many runs of `methods` trained methods a race has on average.

    `candidates` is their number with what is not trained.
    """
    random = np.random.default_rng(0)
    seed_variance = components.seed**2 + components.residual**2 / examples  # of a difference, one seed
    example_variance = components.example**2 / examples
    # half of a difference's variance is each method's
    of_seeds = np.sqrt(seed_variance / 2) * random.standard_normal((_RACES, methods, looks[-1].seeds))
    of_examples = np.sqrt(example_variance / 2) * random.standard_normal((_RACES, methods))
    truth = DIFFERENCES * random.standard_normal((_RACES, methods)) + of_examples
    reaches = [
        _reach(look, methods, candidates, examples, seed_variance / look.seeds, example_variance)
        for look in looks
    ]
    left, going = np.ones((_RACES, methods), dtype=bool), np.ones(_RACES, dtype=bool)
    runs, previous = 0.0, 0
    for look, reach in zip(looks, reaches, strict=True):
        runs += float(left[going].sum()) * (look.seeds - previous) / _RACES
        previous = look.seeds
        scores = np.where(left, truth + of_seeds[:, :, : look.seeds].mean(-1), -np.inf)
        behind = scores.max(1, keepdims=True) - scores
        lead = np.sort(behind, axis=1)[:, 1] if methods > 1 else np.full(_RACES, np.inf)
        change = np.sqrt(max(seed_variance / look.seeds - seed_variance / looks[-1].seeds, 0.0))
        shown = lead + margin >= reach
        futile = lead + margin + float(ndtri(1 - FUTILE)) * change < reaches[-1]
        going &= ~shown & ~futile
        left &= behind <= margin + reach
    return runs


def _reach(
    look: Look, methods: int, candidates: int, examples: int, of_seeds: float, of_examples: float
) -> float:
    """Return the distance between a difference and its bound at a look."""
    pooled = methods >= FEWEST_POOLED and look.seeds >= FEWEST_POOLED_SEEDS
    df = (look.seeds - 1) * (2 if pooled else 1)
    total = of_seeds + of_examples
    level = look.alpha / max(candidates - 1, 1)
    factor = critical(of_seeds / total, seeds=df + 1, examples=examples, alpha=2 * level)
    return float(factor * np.sqrt(total))
