"""What each test example scored, run by run: the numbers behind a run's mean."""

from collections.abc import Mapping, Sequence
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
_COLUMNS = {"eval_accuracy": "correct"}
"""Columns of predictions whose mean is a run's score; one that is not listed has the score's name."""
_NOT_JUDGED = "log_likelihood."
"""How the columns of predictions start that stay in the file."""


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


def predictions(folder: Path, record: RunRecord) -> pd.DataFrame | None:
    """A row per test example of a run, without likelihoods of labels; None where the run left none.

    Raises:
        StoreError: the file is damaged, or lacks the task's main metric.
    """
    path = folder / RUNS / record.run_id / PREDICTIONS_FILE
    return read_answers(path, record.spec.task.main_metric) if path.is_file() else None


def read_answers(path: Path, metric: str) -> pd.DataFrame:
    """A row per test example from a file of predictions, without likelihoods of labels.

    Raises:
        StoreError: the file is missing or damaged, or lacks the column.
    """
    with reading(path, pyarrow.ArrowException, KeyError):
        file = pyarrow.parquet.ParquetFile(path)
        columns = [name for name in file.schema_arrow.names if not name.startswith(_NOT_JUDGED)]
        table = file.read(columns, use_threads=False)
        table.schema.field(row_metric(metric))
        return table.to_pandas(use_threads=False)


def row_metric(metric: str) -> str:
    """The column of predictions whose mean is a metric."""
    return _COLUMNS.get(metric, metric)


def example_scores(answers: pd.DataFrame, metric: str) -> pd.Series:
    """A metric of each test example, by its row."""
    return pd.Series(answers[row_metric(metric)].to_numpy(), index=answers[ROW].to_numpy())


def joint_scores(by_seed: Mapping[int, pd.Series]) -> Scores | None:
    """The scores of several seeds' runs on the examples that all of them answered; None without any."""
    if not by_seed:
        return None
    table = pd.concat(by_seed, axis="columns", join="inner")
    if table.empty:
        return None
    return Scores(tuple(by_seed), tuple(table.index.tolist()), table.to_numpy(dtype=float).T)
