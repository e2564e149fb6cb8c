"""From how many training rows on a method is ahead of a reference."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np

from tuneoff.spec import TrainSize
from tuneoff.stats.compare import CellKey
from tuneoff.stats.examples import Scores
from tuneoff.stats.intervals import Floats

RESAMPLES = 2000
_SEED = 20_261


class Crossover(NamedTuple):
    """A method and a reference whose order at small train sizes is another than at large ones."""

    task: str
    method: str
    reference: str
    ahead: str
    """Which of the two is ahead with more rows."""
    rows: float
    """Training rows at which the mean scores are equal, by linear interpolation over log rows."""
    low: float | None
    """Lower end of the 95 % interval; None if it is below the smallest train size."""
    high: float | None
    """Upper end; None if it is above the largest train size."""


def crossovers(
    cells: Mapping[CellKey, Scores],
    *,
    rows: Mapping[tuple[str, TrainSize], int],
    references: Sequence[str],
    untrained: frozenset[str],
) -> tuple[Crossover, ...]:
    """Every pair of a trained method and a trained reference whose order changes once over the train sizes.

    The interval is a percentile bootstrap over seeds and test examples, the same ones at every size (Owen
    2007, arXiv:0712.1111). `rows` has the training rows of each task and train size.
    """
    found = []
    for task, method, reference in _pairs(cells, references, untrained):
        pair = {size: ((task, method, size), (task, reference, size)) for size in _sizes(rows, task)}
        sides = {size: keys for size, keys in pair.items() if cells.keys() >= set(keys)}
        gaps = _gaps([(cells[one], cells[other]) for one, other in sides.values()])
        log_rows = np.log([rows[task, size] for size in sides])
        if gaps and _changes([gap.mean() for gap in gaps]) == 1:
            ahead = method if gaps[-1].mean() > 0 else reference
            found.append(Crossover(task, method, reference, ahead, *_crossover(gaps, log_rows)))
    return tuple(found)


def _pairs(
    cells: Mapping[CellKey, Scores], references: Sequence[str], untrained: frozenset[str]
) -> Iterator[tuple[str, str, str]]:
    """Task, method and reference; two references meet once."""
    tasks = dict.fromkeys(task for task, _, _ in cells)
    methods = dict.fromkeys(method for _, method, _ in cells)
    for task, method, reference in product(tasks, methods, references):
        turned = method in references and references.index(method) <= references.index(reference)
        if not turned and method not in untrained:
            yield task, method, reference


def _sizes(rows: Mapping[tuple[str, TrainSize], int], task: str) -> list[TrainSize]:
    return sorted((size for name, size in rows if name == task), key=lambda size: rows[task, size])


def _gaps(sides: Sequence[tuple[Scores, Scores]]) -> list[Floats]:
    """The differences [R, N] at each size, on the seeds and examples that all have; none without any."""
    every = [scores for pair in sides for scores in pair]
    seeds = sorted(set[int].intersection(*(set(one.seeds) for one in every))) if every else []
    rows = sorted(set[int].intersection(*(set(one.rows) for one in every))) if every else []
    if not (seeds and rows):
        return []
    return [method.at(seeds, rows) - reference.at(seeds, rows) for method, reference in sides]


def _changes(means: Sequence[float]) -> int:
    return sum(one * other < 0 for one, other in pairwise(mean for mean in means if mean))


def _crossover(gaps: Sequence[Floats], log_rows: Floats) -> tuple[float, float | None, float | None]:
    """Where the order changes, in rows, and its interval."""
    means = np.array([[gap.mean() for gap in gaps]])
    sign = float(np.sign(means[0, -1]))
    place = float(_places(means, log_rows, sign)[0])
    ends = np.quantile(_places(_resampled(gaps), log_rows, sign), [0.025, 0.975], method="nearest")
    low, high = (float(np.exp(end)) if np.isfinite(end) else None for end in ends)
    return float(np.exp(place)), low, high


def _resampled(gaps: Sequence[Floats]) -> Floats:
    """Mean differences [B, sizes] of studies whose seeds and examples are drawn again from these."""
    seeds, examples = gaps[0].shape
    random = np.random.default_rng(_SEED)
    of_seeds = random.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES)  # [B, R]
    of_examples = random.multinomial(examples, np.full(examples, 1 / examples), RESAMPLES)  # [B, N]
    means = [((of_seeds @ gap) * of_examples).sum(1) / (seeds * examples) for gap in gaps]
    return np.stack(means, axis=1)


def _places(means: Floats, log_rows: Floats, sign: float) -> Floats:
    """Log rows [B] from which on each row of mean differences [B, sizes] has the sign to its end.

    Minus infinity where it has it throughout, infinity where it does not have it at the end.
    """
    other = np.sign(means) != sign  # [B, sizes]
    places = np.where(other[:, -1], np.inf, -np.inf)
    inside = other.any(axis=1) & ~other[:, -1]
    left = means.shape[1] - 1 - np.argmax(other[inside, ::-1], axis=1)
    rows = np.arange(len(left))
    before, after = means[inside][rows, left], means[inside][rows, left + 1]
    places[inside] = log_rows[left] + before / (before - after) * (log_rows[left + 1] - log_rows[left])
    return places
