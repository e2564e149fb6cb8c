"""Prints how often tuneoff's claims are right where they are hardest to keep, on simulated studies.

    python benchmarks/calibration_limits.py [--studies 400]

Where few answers differ and all in one direction; where nearly all answers are right; where the interval is
that of the best of several methods; where a small difference is certain; and where methods are equal at every
train size, or cross. Each figure is a share of the studies; the true values are known exactly.
"""

import argparse
import gc
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from tabulate import tabulate

from tuneoff.spec import TrainSize
from tuneoff.stats.compare import CellKey, compare, comparisons, holm, p_at_least
from tuneoff.stats.crossover import Crossover, crossovers
from tuneoff.stats.examples import Scores
from tuneoff.stats.intervals import ALPHA, interval
from tuneoff.stats.judge import best_methods

Floats = NDArray[np.float64]
SIZES: tuple[int, ...] = (100, 400, 1600, 6400)


def share(studies: int, outcome: Callable[[], bool]) -> str:
    """Return how often an outcome occurs."""
    return f"{np.mean([outcome() for _ in range(studies)]):.3f}"


def losses(random: np.random.Generator, seeds: int, examples: int, mean: float, agree: float) -> Floats:
    """Draw differences [R, N] of mean -mean: some examples are lost, each by a share of the seeds."""
    lost = random.random(examples) < mean / agree
    return -(lost & (random.random((seeds, examples)) < agree)).astype(float)


def equivalence(random: np.random.Generator, studies: int) -> Iterable[Sequence[str]]:
    """Compare methods that differ by just the margin: how often called equivalent; may be ALPHA."""
    for seeds, examples, margin, agree in (
        (3, 30, 0.1, 1.0),
        (3, 60, 0.1, 1.0),
        (5, 60, 0.05, 1.0),
        (5, 60, 0.1, 0.7),
        (5, 200, 0.02, 0.7),
        (5, 1821, 0.02, 0.7),
        (10, 1821, 0.005, 0.7),
    ):
        size = random, seeds, examples, margin, agree

        def one(size: tuple = size, margin: float = margin) -> bool:
            return p_at_least(-losses(*size), margin) < ALPHA

        def any_of_five(size: tuple = size, margin: float = margin) -> bool:
            return min(holm([p_at_least(-losses(*size), margin) for _ in range(5)])) < ALPHA

        def holds(size: tuple = size, margin: float = margin) -> bool:
            gap = compare(losses(*size), np.zeros((1, size[2]))).difference
            return gap.low <= -margin <= gap.high

        name = f"{seeds} x {examples:,}, margin {margin}, seeds agree {agree:.0%}"
        yield name, share(studies, one), share(studies // 2, any_of_five), share(studies, holds)


def right(
    random: np.random.Generator,
    seeds: int,
    examples: int,
    mean: float,
    *,
    sd: float = 0.0,
    shared: float | Floats = 0.0,
    own: float = 0.85,
) -> Floats:
    """Draw right or wrong predictions [R, N] of a true accuracy, by a latent normal.

    `sd` is the latent's deviation over seeds; the variances of what examples share with other methods (given
    as values) and of their own make 0.85 together.
    """
    noise = np.sqrt(0.15) * random.standard_normal((seeds, examples))
    difficulty = shared + np.sqrt(own) * random.standard_normal((1, examples))
    level = ndtri(mean) * np.sqrt(1 + sd**2)
    return (level + difficulty + sd * random.standard_normal((seeds, 1)) + noise > 0).astype(float)


def near_one(random: np.random.Generator, studies: int) -> Iterable[Sequence[str]]:
    """Measure how often intervals of accuracies near 1 contain the truth, by seeds."""
    for mean, examples in ((0.95, 20), (0.98, 20), (0.98, 60), (0.98, 100), (0.95, 60), (0.9, 20)):

        def holds(seeds: int, mean: float = mean, examples: int = examples) -> bool:
            one = interval(right(random, seeds, examples, mean))
            return one.low <= mean <= one.high

        yield f"{mean} x {examples}", *(share(studies, lambda n=n: holds(n)) for n in (1, 3, 5))  # type: ignore[misc]


def chosen(random: np.random.Generator, studies: int) -> Iterable[Sequence[str]]:
    """Measure intervals of the best of equal methods, alone and allowing for the choice."""
    for methods, seeds, examples in ((3, 5, 1000), (6, 5, 1000), (12, 5, 1821), (6, 3, 200)):
        plain, adjusted = [], []
        for _ in range(studies):
            shared = np.sqrt(0.6) * random.standard_normal((1, examples))
            answers = [
                right(random, seeds, examples, 0.8, sd=0.03, shared=shared, own=0.25) for _ in range(methods)
            ]
            cells: dict[CellKey, Scores] = {
                ("t", str(name), "full"): scores(values) for name, values in enumerate(answers)
            }
            (best,) = best_methods(cells).values()
            alone = interval(cells["t", best.method, "full"].values)
            plain.append(alone.low <= 0.8 <= alone.high)
            adjusted.append(best.interval.low <= 0.8 <= best.interval.high)
        yield (
            f"{methods} methods, {seeds} x {examples:,}",
            f"{np.mean(plain):.3f}",
            f"{np.mean(adjusted):.3f}",
        )


def certain(random: np.random.Generator, studies: int) -> Iterable[Sequence[str]]:
    """Compare a method lower by .004 with a margin of .01: the outcomes."""
    for examples in (5000, 20_000):
        outcomes = []
        for _ in range(studies):
            gap = (
                -0.004 + 0.003 * random.standard_normal((5, 1)) + 0.25 * random.standard_normal((1, examples))
            )
            gap = np.clip(gap + 0.1 * random.standard_normal((5, examples)), -1, 1)
            cells: dict[CellKey, Scores] = {
                ("t", "lora", "full"): scores(gap),
                ("t", "full", "full"): scores(0 * gap),
            }
            outcomes += comparisons(
                cells, references=["full"], untrained=frozenset(), margin=0.01, metrics={"t": "accuracy"}
            )
        kinds = ("worse", "worse within the margin", "equivalent", "not inferior", "not distinguishable")
        counts = [np.mean([one.verdict == kind for one in outcomes]) for kind in kinds]
        level = np.mean([one.level_or_better for one in outcomes])
        yield f"5 x {examples:,}", *(f"{count:.2f}" for count in (*counts, level))


def false_crossovers(random: np.random.Generator, studies: int) -> Iterable[Sequence[str]]:
    """Count the studies that state a crossover of six methods in one order at four sizes on two tasks."""
    for lead, seeds, examples in ((0, 3, 100), (0, 5, 200), (0.01, 5, 200), (0.03, 3, 100), (0.03, 5, 200)):

        def states_any(lead: float = lead, seeds: int = seeds, examples: int = examples) -> bool:
            cells: dict[CellKey, Scores] = {}
            for task in ("a", "b"):
                shared = np.sqrt(0.6) * random.standard_normal((1, examples))
                for method in range(6):
                    for place, size in enumerate(SIZES):
                        mean = 0.7 + 0.05 * place + lead * (method == 0)
                        values = right(random, seeds, examples, mean, sd=0.05, shared=shared, own=0.25)
                        cells[task, str(method), size] = scores(values)
            return bool(crossed(cells, ("a", "b"), "0"))

        yield f"first ahead by {lead}, {seeds} x {examples}", share(studies, states_any)


def true_crossovers(random: np.random.Generator, studies: int) -> Iterable[Sequence[str]]:
    """Measure how often a crossover at 800 rows is stated, and how often its interval holds."""
    for seeds in (1, 2, 3, 5, 10):
        held = []
        for _ in range(studies):
            cells: dict[CellKey, Scores] = {}
            for gap, size in zip((0.15, 0.05, -0.05, -0.15), SIZES, strict=True):
                effects = random.normal(0, 0.03, (seeds, 1)) + random.normal(0, 0.2, (1, 200))
                values = np.clip(gap + effects + random.normal(0, 0.2, (seeds, 200)), -1, 1)
                cells["t", "lora", size], cells["t", "full", size] = scores(values), scores(0 * values)
            held += [one.low <= 800 <= one.high for one in crossed(cells, ("t",), "full")]
        yield str(seeds), f"{len(held) / studies:.3f}", f"{np.mean(held):.3f}" if held else "-"


def crossed(cells: dict[CellKey, Scores], tasks: Sequence[str], reference: str) -> tuple[Crossover, ...]:
    """Return the crossovers that a study would state."""
    rows: dict[tuple[str, TrainSize], int] = {(task, size): size for task in tasks for size in SIZES}
    return crossovers(cells, rows=rows, references=[reference], untrained=frozenset())


def scores(values: Floats) -> Scores:
    """Draw scores of seeds 0, 1, ... on examples 0, 1, ..."""
    return Scores(tuple(range(values.shape[0])), tuple(range(values.shape[1])), values)


TABLES = (
    (equivalence, ("losses only, difference = margin", "equivalent", "any of five", "interval holds")),
    (near_one, ("accuracy x examples", "1 seed", "3 seeds", "5 seeds")),
    (chosen, ("equal methods", "own interval", "allowing for the choice")),
    (
        certain,
        ("seeds x examples", "worse", "worse within", "equivalent", "not inferior", "neither", "level"),
    ),
    (false_crossovers, ("methods in one order", "studies that state a crossover")),
    (true_crossovers, ("seeds", "stated", "interval holds")),
)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description="Where tuneoff's claims are hardest to keep.")
    parser.add_argument("--studies", type=int, default=400, help="simulated studies per figure")
    studies = parser.parse_args().studies
    random = np.random.default_rng(0)
    gc.freeze()
    for rows, heads in TABLES:
        print(tabulate(list(rows(random, studies)), headers=heads, tablefmt="github", disable_numparse=True))
        print(flush=True)


if __name__ == "__main__":
    main()
