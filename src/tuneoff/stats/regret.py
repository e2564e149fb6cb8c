"""Expected regret of candidates: a description of how much is at stake, from a posterior of their means."""

from collections.abc import Collection, Mapping
from functools import reduce

import numpy as np

from tuneoff.stats.examples import Scores, common
from tuneoff.stats.intervals import spread

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
    of_examples = np.stack([one.mean(0) for one in values])  # [M, N]
    random = np.random.default_rng(0)
    covariance = np.atleast_2d(np.cov(of_examples)) / len(rows)
    means = random.multivariate_normal(of_examples.mean(1), covariance, DRAWS, method="eigh")  # [DRAWS, M]
    if trained:
        table = np.stack([values[place].mean(1) for place in trained])  # [T, R]
        # what a seed does to all methods cancels in their differences
        table = table - table.mean(1, keepdims=True)
        if len(trained) > 1:
            table = table - table.mean(0)
        df = max(len(trained) - 1, 1) * (len(seeds) - 1)
        residual = np.mean([spread(values[place]).residual for place in trained])  # is in the examples' part
        of_seeds = max(float((table**2).sum()) / df / len(seeds) - float(residual), 0.0)
        scale = np.sqrt(of_seeds * df / random.chisquare(df, (DRAWS, 1)))
        means[:, trained] += scale * random.standard_normal((DRAWS, len(trained)))
    best = means[:, [place for place, name in enumerate(names) if name in clean]].max(1, keepdims=True)
    return dict(zip(names, np.maximum(best - means, 0).mean(0).tolist(), strict=True))
