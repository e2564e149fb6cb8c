"""Scores of single test examples, run by run: the numbers behind a run's mean."""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class RunScores(NamedTuple):
    """A metric of one run's N test examples."""

    rows: NDArray[np.int64]
    """The row of the test split that each example is, [N], rising."""
    values: NDArray[np.float64]
    """[N]."""


class Scores(NamedTuple):
    """A metric of one task, method and train size: R seeds by N test examples."""

    seeds: tuple[int, ...]
    rows: tuple[int, ...]
    """The row of the test split that each example is."""
    values: NDArray[np.float64]
    """[R, N]."""

    def at(self, seeds: Sequence[int], rows: Sequence[int]) -> NDArray[np.float64]:
        """Return the values of these seeds and rows, in this order."""
        seed_index = {seed: index for index, seed in enumerate(self.seeds)}
        row_index = {row: index for index, row in enumerate(self.rows)}
        chosen = np.ix_([seed_index[seed] for seed in seeds], [row_index[row] for row in rows])
        return self.values[chosen]


def joint_scores(by_seed: Mapping[int, RunScores]) -> Scores | None:
    """Join the runs of several seeds on the examples that all of them answered; None if there is none."""
    if not by_seed:
        return None
    shared = reduce(np.intersect1d, [run.rows for run in by_seed.values()])
    if not len(shared):
        return None
    values = [run.values[np.searchsorted(run.rows, shared)] for run in by_seed.values()]
    return Scores(tuple(by_seed), tuple(shared.tolist()), np.stack(values))


def common(first: Sequence[int], second: Sequence[int]) -> tuple[int, ...]:
    """Return the seeds or rows that are in both, in the order of the first."""
    others = set(second)
    return tuple(one for one in first if one in others)
