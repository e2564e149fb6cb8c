"""Expected regret of candidates: a description of how much is at stake, from a posterior of their means."""

from collections.abc import Collection, Mapping
from functools import reduce

import numpy as np

from tuneoff.stats.examples import Scores, common
from tuneoff.stats.intervals import Floats, spread

DRAWS = 4096


def expected_regrets(
    scores: Mapping[str, Scores], untrained: Collection[str], clean: Collection[str]
) -> dict[str, float]:
    """Return each candidate's expected regret against those without findings.

    The posterior of the means, with a flat prior, has the covariance of the examples and one variance of the
    seeds for all trained methods, by its chi-square distribution. Empty where these cannot be estimated.
    """
    names = sorted(scores)  # the draws do not depend on the order of the candidates
    trained = [place for place, name in enumerate(names) if name not in untrained]
    rows = reduce(common, [scores[name].rows for name in names])
    seeds = reduce(common, [scores[names[place]].seeds for place in trained]) if trained else ()
    if len(rows) < 2 or not clean or (trained and len(seeds) < 2):
        return {}
    values = [scores[name].at(scores[name].seeds if name in untrained else seeds, rows) for name in names]
    random = np.random.default_rng(0)
    means = _means_over_examples(values, random)  # [DRAWS, M]
    if trained:
        means[:, trained] += _seed_effects([values[place] for place in trained], random)
    is_clean = [place for place, name in enumerate(names) if name in clean]
    best = means[:, is_clean].max(axis=1, keepdims=True)  # [DRAWS, 1]
    regrets = np.maximum(best - means, 0).mean(axis=0)
    return dict(zip(names, regrets.tolist(), strict=True))


def _means_over_examples(values: list[Floats], random: np.random.Generator) -> Floats:
    """Draw the true means [DRAWS, M] as far as other test examples would move them."""
    by_example = np.stack([one.mean(axis=0) for one in values])  # [M, N]
    covariance = np.atleast_2d(np.cov(by_example)) / by_example.shape[1]
    return random.multivariate_normal(by_example.mean(axis=1), covariance, DRAWS, method="eigh")


def _seed_effects(values: list[Floats], random: np.random.Generator) -> Floats:
    """Draw how far other seeds would move the mean of each of T trained methods [DRAWS, T].

    One variance for all of them, of what remains in the table of methods and seeds when what a method has in
    common over seeds, and a seed over methods, is taken away (the latter cancels in differences).
    """
    methods, seeds = len(values), len(values[0])
    table = np.stack([one.mean(axis=1) for one in values])  # [T, R]
    table = table - table.mean(axis=1, keepdims=True)
    if methods > 1:
        table = table - table.mean(axis=0)
    df = max(methods - 1, 1) * (seeds - 1)
    of_mean = float((table**2).sum()) / df / seeds
    # the noise of single examples is in both parts, and must count once: it stays in that of the examples
    noise = float(np.mean([spread(one).residual for one in values]))
    scale = np.sqrt(max(of_mean - noise, 0.0) * df / random.chisquare(df, (DRAWS, 1)))
    return scale * random.standard_normal((DRAWS, methods))
