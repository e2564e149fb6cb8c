"""Compare two runs' predictions for the same examples."""

from typing import NamedTuple

import numpy as np

from tuneoff.stats.answers import Answers
from tuneoff.stats.intervals import Interval, interval, within


class Difference(NamedTuple):
    """The difference between two runs' scores on the examples that both answered."""

    mean: Interval
    changed: int
    """Examples whose scores differ."""


def paired(ours: Answers, theirs: Answers) -> tuple[Answers, Answers]:
    """Return the rows of both that have the same number."""
    if np.array_equal(ours.rows, theirs.rows):
        return ours, theirs
    shared = np.intersect1d(ours.rows, theirs.rows)
    return ours.at(shared), theirs.at(shared)


def paired_difference(ours: Answers, theirs: Answers, metric: str) -> Difference | None:
    """Return ours minus theirs over the shared rows, with its interval; None where no row is shared."""
    one, other = paired(ours, theirs)
    if not len(one):
        return None
    differences = one.scores(metric) - other.scores(metric)
    found = interval(differences[None])
    if np.abs(differences).max() <= 1:
        found = within(found, -1, 1)
    return Difference(found, int((differences != 0).sum()))
