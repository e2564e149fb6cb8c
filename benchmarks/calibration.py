"""Print how often tuneoff's intervals and claims are right, on simulated studies.

    python benchmarks/calibration.py [--repetitions 3000]

An example's score comes from a latent normal: the method, the seed's effect on the method, the example's
difficulty for all methods and for this one, and noise. Accuracy is whether the latent is above 0, a
ROUGE-like score its normal distribution function, so the true means are known exactly.

First table: each repetition is a study of six trained methods and an untrained one, all of one true mean. How
often the 95% intervals hold the truth (of a mean, of a difference between trained methods, and between a
trained one and the untrained); how many of the studies make a false claim when five methods are compared with
the sixth, with Holm's adjustment; and how many would by Student's t with the degrees of freedom of Hillis
(2007). Second table: how often a true difference is found, by itself and as the first of nine comparisons,
and how often two methods are called equivalent within 0.02 if they are equal and if they differ by just that.
`calibration_limits.py` has what happens where few answers differ.
"""

import argparse
import itertools
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr
from scipy.stats import norm
from tabulate import tabulate

from tuneoff.stats.compare import holm, p_at_least, p_no_difference
from tuneoff.stats.intervals import ALPHA, Spread, interval, spread, tail

Floats = NDArray[np.float64]
METHODS = 6
SEED_SDS = (0.0, 0.005, 0.015)
DIFFERENCES = (0.01, 0.02, 0.05)
MARGIN = 0.02
FAMILY = 9
"""Comparisons of six methods, one of them untrained, with two of them."""
CHUNK = 2_000_000
"""Scores that are in memory at once."""


class Metric(NamedTuple):
    """A kind of score. Variances are of the latent."""

    name: str
    mean: float
    shared: float
    """An example's difficulty for every method."""
    own: float
    """An example's difficulty for one method."""
    noise: float
    """The rest, particular to one seed on one example."""
    graded: float
    """1 for the normal distribution function of the latent, 0 for its sign."""

    def scores(self, latent: Floats) -> Floats:
        """Turn latents into scores."""
        return ndtr(latent) if self.graded else (latent > 0).astype(float)

    def width(self, of_seeds: float) -> float:
        """Return the divisor that turns a latent mean into the probit of the true mean."""
        return float(np.sqrt(self.graded + self.shared + self.own + self.noise + of_seeds**2))

    def seed_effect(self, deviation: float) -> float:
        """Return the deviation of the latent over seeds that gives true scores this deviation."""
        width = self.width(0)
        return float(deviation * width / norm.pdf(ndtri(self.mean)))


class Design(NamedTuple):
    """A size of study."""

    seeds: int
    examples: int


ACCURACY = Metric("accuracy", mean=0.88, shared=0.85, own=0.06, noise=0.09, graded=0)
ROUGE = Metric("ROUGE-like", mean=0.40, shared=0.11, own=0.04, noise=0.06, graded=1)
DESIGNS = (Design(5, 1821), Design(3, 200), Design(3, 60))


class Case(NamedTuple):
    """A metric, a size of study, and the deviation over seeds that are simulated together."""

    metric: Metric
    design: Design
    deviation: float
    """Standard deviation of a method's true score over seeds."""

    def __str__(self) -> str:
        seeds, examples = self.design
        return f"{self.metric.name}, {seeds} x {examples:,}, {self.deviation}"


CASES = tuple(itertools.starmap(Case, itertools.product((ACCURACY, ROUGE), DESIGNS, SEED_SDS)))


def studies(
    random: np.random.Generator, repetitions: int, case: Case, means: Sequence[float]
) -> Iterator[tuple[Floats, Floats]]:
    """Yield the scores of trained methods [chunk, M, R, N] and of an untrained one [chunk, 1, 1, N]."""
    metric, (seeds, examples), methods = case.metric, case.design, len(means)
    of_seeds = metric.seed_effect(case.deviation)
    latent = (ndtri(means) * metric.width(of_seeds))[:, None, None]
    at_once = max(1, CHUNK // (methods * seeds * examples))
    for start in range(0, repetitions, at_once):
        chunk = min(at_once, repetitions - start)
        shared = normal(random, metric.shared, (chunk, 1, 1, examples))
        own = normal(random, metric.own, (chunk, methods, 1, examples))
        seed = normal(random, of_seeds**2, (chunk, methods, seeds, 1))
        noise = normal(random, metric.noise, (chunk, methods, seeds, examples))
        untrained = normal(random, metric.own + metric.noise, (chunk, 1, 1, examples))
        level = ndtri(metric.mean) * metric.width(0)
        yield metric.scores(latent + shared + own + seed + noise), metric.scores(level + shared + untrained)


def normal(random: np.random.Generator, variance: float, shape: tuple[int, ...]) -> Floats:
    """Draw normal numbers around 0."""
    return np.sqrt(variance) * random.standard_normal(shape, dtype=np.float32)


def p_values(differences: Floats, design: Design) -> Floats:
    """Return two-sided p-values of no difference, for many tables [..., R, N].

    The crossed test is the quick one of two: where it finds nothing, the larger p-value does not either, and
    is not computed.
    """
    p = crossed(differences.mean((-2, -1)), spread(differences), design)
    for place in zip(*np.nonzero(p < ALPHA), strict=True):
        p[place] = p_no_difference(differences[place])
    return p


def crossed(distance: Floats, parts: Spread, design: Design) -> Floats:
    """Return two-sided p-values of errors as large as this, by the crossed test alone."""
    return 2 * tail(np.abs(distance), parts, seeds=design.seeds, examples=design.examples)


def held(scores: Floats, mean: float, design: Design) -> Floats:
    """Return whether intervals of scores [..., R, N] hold their true mean."""
    found = crossed(scores.mean((-2, -1)) - mean, spread(scores), design) >= ALPHA
    for place in zip(*np.nonzero(~found), strict=True):
        one = interval(scores[place])
        found[place] = one.low <= mean <= one.high
    return found


def hillis(distance: Floats, parts: Spread, design: Design) -> Floats:
    """Return the same by Student's t with the degrees of freedom of Hillis (2007), for comparison."""
    total = parts.total
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = (design.seeds - 1) * (total / parts.seeds) ** 2
    return 2 * stdtr(freedom, -np.abs(distance) / np.sqrt(total))


def calibration(random: np.random.Generator, repetitions: int, case: Case) -> list[str]:
    """Measure how often three kinds of intervals hold the truth, and two tests make a false claim."""
    covered: list[list[Floats]] = [[], [], []]
    false: list[list[bool]] = [[], []]
    for trained, untrained in studies(random, repetitions, case, [case.metric.mean] * METHODS):
        differences = trained[:, 1:] - trained[:, :1]
        families = p_values(differences, case.design)
        covered[0].append(held(trained, case.metric.mean, case.design).mean(-1))
        covered[1].append((families >= ALPHA).mean(-1))
        covered[2].append((p_values(trained - untrained, case.design) >= ALPHA).mean(-1))
        by_hillis = hillis(differences.mean((-2, -1)), spread(differences), case.design)
        for claims, test in zip(false, (families, by_hillis), strict=True):
            claims += [min(holm(family.tolist())) < ALPHA for family in test]
    shares = [np.concatenate(kind).mean() for kind in covered] + [np.mean(claims) for claims in false]
    return [f"{share:.3f}" for share in shares]


class Found(NamedTuple):
    """How often one true difference is detected, over many studies."""

    alone: float
    among_many: float
    """As the first of FAMILY comparisons."""
    equivalent: float


def found(random: np.random.Generator, repetitions: int, case: Case, difference: float) -> Found:
    """Measure how often a true difference is found, and how often it is called equivalent within MARGIN."""
    p: list[float] = []
    equivalent: list[bool] = []
    for trained, _ in studies(random, repetitions, case, [case.metric.mean, case.metric.mean - difference]):
        differences = trained[:, 0] - trained[:, 1]
        p += p_values(differences, case.design).tolist()
        within = tail(
            MARGIN - np.abs(differences.mean((-2, -1))), spread(differences), **case.design._asdict()
        )
        equivalent += [
            first < ALPHA and max(p_at_least(one, MARGIN), p_at_least(-one, MARGIN)) < ALPHA
            for one, first in zip(differences, within, strict=True)
        ]
    significant = np.array(p)
    return Found(
        float((significant < ALPHA).mean()),
        float((significant < ALPHA / FAMILY).mean()),
        fmean(equivalent),
    )


def powers(random: np.random.Generator, repetitions: int, case: Case) -> list[str]:
    """Return shares of studies that find each difference, or call it equivalent."""
    outcomes = {difference: found(random, repetitions, case, difference) for difference in (0, *DIFFERENCES)}
    cells = [
        f"{outcome.alone:.2f}; {outcome.among_many:.2f}"
        for difference, outcome in outcomes.items()
        if difference
    ]
    return cells + [f"{outcomes[one].equivalent:.3f}" for one in (0, MARGIN)]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    return tabulate(rows, headers=heads, tablefmt="github", disable_numparse=True, stralign="right")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="How often tuneoff's intervals and claims are right.")
    parser.add_argument("--repetitions", type=int, default=3000, help="simulated studies per row and figure")
    repetitions = parser.parse_args().repetitions
    random = np.random.default_rng(0)
    what = "score, seeds x examples, seed sd"
    heads = [what, "mean", "difference", "to untrained", "false claims", "false claims, Hillis"]
    print(table(heads, [[str(case), *calibration(random, repetitions, case)] for case in CASES]))
    print()
    heads = [what, *map(str, DIFFERENCES), "equivalent at 0", f"equivalent at {MARGIN}"]
    print(table(heads, [[str(case), *powers(random, repetitions, case)] for case in CASES]))


if __name__ == "__main__":
    main()
