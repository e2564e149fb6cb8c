"""Two runs' answers to the same examples."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from tuneoff.stats.examples import ROW
from tuneoff.stats.intervals import Interval, interval


class Difference(NamedTuple):
    """How one run's scores differ from another's on the examples that both answered."""

    mean: Interval
    changed: int
    """Examples whose scores differ."""


def paired(ours: pd.DataFrame, theirs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of both that have the same number, in order of these numbers."""
    rows = ours[ROW].to_numpy()
    if (rows[1:] > rows[:-1]).all() and np.array_equal(rows, theirs[ROW].to_numpy()):
        return ours, theirs
    ours, theirs = ours.set_index(ROW).sort_index(), theirs.set_index(ROW).sort_index()
    shared = ours.index.intersection(theirs.index)
    return ours.loc[shared], theirs.loc[shared]


def paired_difference(ours: pd.DataFrame, theirs: pd.DataFrame, column: str) -> Difference | None:
    """Ours minus theirs over the shared rows, with Student's interval; None where no row is shared."""
    one, other = paired(ours, theirs)
    if one.empty:
        return None
    differences = one[column].to_numpy(dtype=float) - other[column].to_numpy(dtype=float)
    return Difference(interval(differences[None]), int((differences != 0).sum()))
