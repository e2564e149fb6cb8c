"""What each test example scored, run by run: the numbers behind a run's mean."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from tuneoff.spec import RunRecord
from tuneoff.spec.results import PREDICTIONS_FILE, RUNS, reading

ROW = "row"
COLUMNS = {"eval_accuracy": "correct"}
"""Columns of predictions whose mean is a run's score; one that is not listed has the score's name."""


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


def predictions(folder: Path, run_id: str, *, columns: Sequence[str] | None = None) -> pd.DataFrame | None:
    """A row per test example of a run, with these columns or all; None where the run left none.

    Raises:
        StoreError: the file is damaged, or lacks a column.
    """
    path = folder / RUNS / run_id / PREDICTIONS_FILE
    return read_answers(path, columns=columns) if path.is_file() else None


def read_answers(path: Path, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """A row per test example from a file of predictions, with these columns or all.

    Raises:
        StoreError: the file is missing or damaged, or lacks a column.
    """
    with reading(path, pyarrow.ArrowException):
        return pyarrow.parquet.read_table(path, columns=columns, partitioning=None).to_pandas()


def cell_scores(folder: Path, records: Iterable[RunRecord]) -> Scores | None:
    """The main metric of one cell's complete runs on the examples that all of them answered.

    None where no run is complete with predictions, or no example is common to them.

    Raises:
        StoreError: predictions are damaged.
    """
    answered = {
        record.spec.seed: scores
        for record in records
        if record.state == "complete" and (scores := _example_scores(folder, record)) is not None
    }
    if not answered:
        return None
    table = pd.concat(answered, axis="columns", join="inner")
    if table.empty:
        return None
    return Scores(tuple(answered), tuple(table.index.tolist()), table.to_numpy(dtype=float).T)


def _example_scores(folder: Path, record: RunRecord) -> pd.Series | None:
    metric = record.spec.task.main_metric
    column = COLUMNS.get(metric, metric)
    table = predictions(folder, record.run_id, columns=[ROW, column])
    return None if table is None else table.set_index(ROW)[column]
