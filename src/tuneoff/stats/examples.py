"""What each test example scored, run by run: the numbers behind a run's mean."""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class RunScores(NamedTuple):
    """A metric of one run's N test examples."""

    rows: NDArray[np.int64]
    """Which row of the test split each example is, [N], rising."""
    values: NDArray[np.float64]
    """[N]."""


class Scores(NamedTuple):
    """A metric of one task, method and train size: R seeds by N test examples."""

    seeds: tuple[int, ...]
    rows: tuple[int, ...]
    """Which row of the test split each example is."""
    values: NDArray[np.float64]
    """[R, N]."""

    def at(self, seeds: Sequence[int], rows: Sequence[int]) -> NDArray[np.float64]:
        """The values of these seeds and rows, in this order."""
        of_seed = {seed: place for place, seed in enumerate(self.seeds)}
        of_row = {row: place for place, row in enumerate(self.rows)}
        return self.values[np.ix_([of_seed[seed] for seed in seeds], [of_row[row] for row in rows])]


def joint_scores(by_seed: Mapping[int, RunScores]) -> Scores | None:
    """The scores of several seeds' runs on the examples that all of them answered; None without any."""
    if not by_seed:
        return None
    shared = reduce(_common, (run.rows for run in by_seed.values()))
    if not len(shared):
        return None
    values = [run.values[np.searchsorted(run.rows, shared)] for run in by_seed.values()]
    return Scores(tuple(by_seed), tuple(shared.tolist()), np.stack(values))


def _common(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    return one if np.array_equal(one, other) else np.intersect1d(one, other)
