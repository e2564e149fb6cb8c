"""A run against the untouched model and the best baseline, example by example."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from tuneoff.stats.examples import ROW
from tuneoff.stats.health.finding import Finding, RunEvidence, Texts, Verdict, answers, texts
from tuneoff.stats.intervals import Interval, interval

FEWEST_CHANGES = 6
"""Examples whose score differs, at least: five that all point one way are a chance of 1 in 16."""
UNCHANGED_SHARE = 0.01
"""Answers that may differ from the untouched model's where these are still nearly equal."""
ENOUGH_ROWS = 50
"""With fewer, equal answers may be chance (with 50, less than 6 % of them would change, at 95 %)."""
UNCHANGED_LOSS = 0.01
"""Relative change of the mean loss up to which even few equal answers are no chance."""


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


def worse_than_untouched(run: RunEvidence) -> Finding | None:
    """The untouched model answers better, beyond chance."""
    if run.untouched is None or not run.trained:
        return None
    return _worse(run, "worse than untouched", "the untouched model", run.untouched)


def worse_than_baseline(run: RunEvidence) -> Finding | None:
    """A baseline without the model answers better, beyond chance."""
    if run.baseline is None:
        return None
    name, predictions = run.baseline
    return _worse(run, "worse than baseline", f"the baseline '{name}'", predictions)


def _worse(run: RunEvidence, verdict: Verdict, other: str, theirs: pd.DataFrame) -> Finding | None:
    if run.predictions is None:
        return None
    difference = paired_difference(run.predictions, theirs, run.row_metric)
    if difference is None or difference.mean.high >= 0 or difference.changed < FEWEST_CHANGES:
        return None
    return Finding(
        verdict,
        f"{run.metric} minus that of {other} is {_told(difference.mean)} over {difference.mean.examples:,} "
        f"paired test examples",
    )


def _told(mean: Interval) -> str:
    return f"{mean.mean:+.3f} (95% interval {mean.low:+.3f} to {mean.high:+.3f})"


def no_effect(run: RunEvidence) -> Finding | None:
    """The trained model answers as the untouched one does, and no better or worse."""
    if run.predictions is None or run.untouched is None or not run.trained:
        return None
    ours, theirs = paired(run.predictions, run.untouched)
    difference = paired_difference(run.predictions, run.untouched, run.row_metric)
    if difference is None or _differs(difference):
        return None
    changed = int((_written(ours) != _written(theirs)).sum())
    if changed > UNCHANGED_SHARE * len(ours):
        return None
    if len(ours) < ENOUGH_ROWS and _loss_moved(ours, theirs):
        return None
    return Finding(
        "no effect",
        f"{len(ours) - changed:,} of {len(ours):,} test answers are those of the untouched model, and "
        f"{run.metric} differs by {_told(difference.mean)}",
    )


def _differs(difference: Difference) -> bool:
    return difference.changed >= FEWEST_CHANGES and not difference.mean.low <= 0 <= difference.mean.high


def _written(predictions: pd.DataFrame) -> Texts:
    """The generated text where there is any: two answers that are no label need not be the same."""
    if "text" in predictions and predictions["text"].notna().any():
        return texts(predictions["text"])
    return answers(predictions)


def _loss_moved(ours: pd.DataFrame, theirs: pd.DataFrame) -> bool:
    before = float(theirs["loss"].mean())
    return abs(float(ours["loss"].mean()) - before) > UNCHANGED_LOSS * abs(before)
