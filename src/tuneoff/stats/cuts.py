"""How far LoRA can be cut: the score of what is left, and what each cut costs against the whole.

The cuts of a cell are tested in a fixed sequence, from the one that keeps most on: each claim that a cut
costs less than the margin needs all before it. So all claims of a cell together are wrong at most as often as
one test (Maurer, Hothorn & Lehmacher 1995), without an adjustment for their number.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow

from tuneoff.results import RunRecord, StudyFolder
from tuneoff.results.format import damaged_if_unreadable
from tuneoff.results.parquet import open_parquet
from tuneoff.stats.cells import Cell
from tuneoff.stats.compare import Contrast, compare
from tuneoff.stats.examples import RunScores, common, joint_scores
from tuneoff.stats.intervals import ALPHA, Interval, interval
from tuneoff.stats.prices import mean_price


@dataclass(frozen=True)
class Cut:
    """A method with its LoRA cut to a share, over all seeds."""

    keep: float
    """1 for the whole."""
    stored_bytes: float | None
    """Mean over seeds; None where an older version did not record it."""
    score: Interval
    difference: Interval | None
    """From the whole, on the same seeds and test examples; None for the whole itself."""
    within_margin: bool
    """Whether it and all cuts that keep more are shown to cost less than the margin."""


def read_cuts(folder: Path, record: RunRecord) -> dict[float, RunScores]:
    """Return the scores of a run's cuts by test example, by the share kept; none for a run without any.

    Raises:
        DamagedError: the file is damaged.
    """
    if not record.cuts:
        return {}
    path = StudyFolder(folder).run(record.run_id).cuts
    with damaged_if_unreadable(path, pyarrow.ArrowException, KeyError):
        table = open_parquet(path).read()
        kept, rows, scores = (table[name].to_numpy() for name in ("keep", "row", "score"))
    found = {}
    for cut in record.cuts:
        (own,) = np.nonzero(kept == cut.keep)
        own = own[np.argsort(rows[own])]
        found[cut.keep] = RunScores(rows[own], scores[own])
    return found


def cut_curves(
    records: Iterable[RunRecord],
    whole: Mapping[str, RunScores],
    cuts: Mapping[str, Mapping[float, RunScores]],
    *,
    margin: float,
    shares: Mapping[Cell, float],
) -> dict[Cell, tuple[Cut, ...]]:
    """Return the whole and the cuts of each cell that has any, the one that keeps most first.

    `whole` and `cuts` have scores by run id. `shares` has the part of the error that belongs to the look at
    which a cell of a race got its last seeds.
    """
    of_cell: dict[Cell, list[RunRecord]] = {}
    for record in records:
        if cuts.get(record.run_id) and record.run_id in whole:
            of_cell.setdefault(Cell.of(record.spec), []).append(record)
    return {
        cell: _curve(runs, whole, cuts, margin=margin, alpha=ALPHA * shares.get(cell, 1.0))
        for cell, runs in of_cell.items()
    }


def _curve(
    runs: list[RunRecord],
    whole: Mapping[str, RunScores],
    cuts: Mapping[str, Mapping[float, RunScores]],
    *,
    margin: float,
    alpha: float,
) -> tuple[Cut, ...]:
    uncut = joint_scores({run.spec.seed: whole[run.run_id] for run in runs})
    if uncut is None:
        return ()
    stored = [run.footprint.stored_bytes if run.footprint else None for run in runs]
    found = [Cut(1.0, mean_price(stored), interval(uncut.values), None, within_margin=True)]
    for keep in sorted({cut.keep for run in runs for cut in run.cuts}, reverse=True):
        scores = joint_scores(
            {run.spec.seed: cuts[run.run_id][keep] for run in runs if keep in cuts[run.run_id]}
        )
        rows = common(scores.rows, uncut.rows) if scores else ()
        if not (scores and rows):
            continue
        sides = scores.at(scores.seeds, rows), uncut.at(scores.seeds, rows)
        contrast = compare(*sides, margin=margin)
        found.append(
            Cut(
                keep,
                mean_price([cut.stored_bytes for run in runs for cut in run.cuts if cut.keep == keep]),
                interval(scores.values),
                contrast.difference,
                within_margin=found[-1].within_margin and _is_shown(contrast, alpha),
            )
        )
    return tuple(found)


def _is_shown(contrast: Contrast, alpha: float) -> bool:
    """Return whether a loss of the margin is excluded, as by the lower end of a two-sided interval.

    One seed claims nothing about the method.
    """
    p = contrast.p_noninferiority
    return contrast.difference.seeds > 1 and p is not None and p < alpha / 2
