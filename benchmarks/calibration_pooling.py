"""Print how often the best of several equal methods is lost, if seeds are all that matters.

    python benchmarks/calibration_pooling.py [--repetitions 20000]

The test set is taken as infinite, so the test is Student's on differences of seeds, at .05 / (M - 1) for each
rival, in three ways: with each pair's own variance; with a variance half-way to the median over pairs, never
below the own one, and twice the degrees of freedom; and with a variance of at least the median, and twice the
degrees of freedom, which is what `decide` does from four methods and three seeds on. Two untrained candidates
are among the rivals where that is said. Some methods have seeds that vary 4 or 20 times as much. A race loses
the best method if any of its looks does, where no rival is dropped before.
"""

import argparse
from collections.abc import Iterator, Sequence
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri, stdtrit
from tabulate import tabulate

from tuneoff.stats import Look, shared_looks
from tuneoff.stats.intervals import ALPHA

DESIGNS = {
    "3 seeds": (Look(3, ALPHA),),
    "5 seeds": (Look(5, ALPHA),),
    "race of 3 to 12": shared_looks((3, 5, 8, 12)),
}
NOISY: dict[str, Sequence[int]] = {"the best": (0,), "a rival": (1,), "two rivals": (1, 2)}


def lost(
    random: np.random.Generator,
    repetitions: int,
    deviations: Sequence[float],
    untrained: int,
    looks: Sequence[Look],
) -> list[float]:
    """Return how often the first of several equal methods is lost at any look, in each of the three ways."""
    trained, methods = len(deviations), len(deviations) + untrained
    values = np.zeros((repetitions, methods, looks[-1].seeds))
    values[:, :trained] = (
        random.standard_normal((repetitions, trained, looks[-1].seeds)) * np.array(deviations)[:, None]
    )
    found = np.array([_lost_at(values[:, :, : look.seeds], trained, look.alpha) for look in looks])
    return [float(share) for share in found.any(0).mean(1)]


def _lost_at(values: NDArray[np.float64], trained: int, alpha: float) -> list[NDArray[np.bool_]]:
    """Return in which studies the first method is lost, by its values [repetitions, methods, seeds]."""
    _, methods, seeds = values.shape
    level, df = alpha / (methods - 1), seeds - 1
    pairs = [(i, j) for i, j in combinations(range(methods), 2) if i < trained]
    differences = np.stack([values[:, j] - values[:, i] for i, j in pairs])  # [pairs, repetitions, seeds]
    variances = differences.var(-1, ddof=1) / seeds
    both_trained = np.array([j < trained for _, j in pairs])
    medians = np.empty_like(variances)
    for kind in (both_trained, ~both_trained):
        if kind.any():
            medians[kind] = np.median(variances[kind], axis=0) * df / chdtri(df, 0.5)
    ahead = differences.mean(-1)
    own, twice = stdtrit(df, 1 - level), stdtrit(2 * df, 1 - level)
    with_best = [place for place, (i, _) in enumerate(pairs) if i == 0]
    bounds = (
        own * np.sqrt(variances),
        twice * np.sqrt(np.maximum(variances, (variances + medians) / 2)),
        twice * np.sqrt(np.maximum(variances, medians)),
    )
    return [(ahead > bound)[with_best].any(0) for bound in bounds]


def rows(random: np.random.Generator, repetitions: int) -> Iterator[list[str]]:
    """Yield the rows of the table."""
    sizes = ((3, 0), (4, 0), (4, 2), (6, 0), (6, 2), (10, 2))
    for (trained, untrained), (design, looks) in product(sizes, DESIGNS.items()):
        cells = [lost(random, repetitions, [1.0] * trained, untrained, looks)]
        for factor, places in product((4.0, 20.0), NOISY.values()):
            deviations = [factor if place in places else 1.0 for place in range(trained)]
            cells.append(lost(random, repetitions, deviations, untrained, looks))
        name = f"{trained} + {untrained}, {design}"
        yield [name, *(" ".join(f"{share:.3f}" for share in cell) for cell in cells)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="What pooling the seeds' variances does to false claims.")
    parser.add_argument("--repetitions", type=int, default=20_000, help="simulated studies per figure")
    repetitions = parser.parse_args().repetitions
    heads = ["trained + untrained", "equal", *(f"{one} x{factor}" for factor in (4, 20) for one in NOISY)]
    found = list(rows(np.random.default_rng(0), repetitions))
    print(tabulate(found, headers=heads, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
