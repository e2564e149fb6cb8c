"""Compare two runs' predictions for the same examples."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tuneoff.stats.answers import Answers
from tuneoff.stats.intervals import Floats, Interval, interval, within


@dataclass(frozen=True, eq=False)
class Difference:
    """The difference between two runs' scores on the N examples that both answered."""

    values: Floats
    """Ours minus theirs, [N]."""

    @cached_property
    def changed(self) -> int:
        """Examples whose scores differ."""
        return int((self.values != 0).sum())

    @cached_property
    def mean(self) -> Interval:
        """The mean with its interval, which takes long: most checks can tell without it."""
        found = interval(self.values[None])
        return within(found, -1, 1) if np.abs(self.values).max() <= 1 else found


def paired(ours: Answers, theirs: Answers) -> tuple[Answers, Answers]:
    """Return the rows of both that have the same number."""
    if np.array_equal(ours.rows, theirs.rows):
        return ours, theirs
    shared = np.intersect1d(ours.rows, theirs.rows)
    return ours.at(shared), theirs.at(shared)


def paired_difference(ours: Answers, theirs: Answers, metric: str) -> Difference | None:
    """Return ours minus theirs over the shared rows; None where no row is shared."""
    one, other = paired(ours, theirs)
    return Difference(one.scores(metric) - other.scores(metric)) if len(one) else None
