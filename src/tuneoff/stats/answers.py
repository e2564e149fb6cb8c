"""The predictions of a run or a baseline, as columns."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow
from numpy.typing import NDArray

from tuneoff.errors import StoreError
from tuneoff.results import RunRecord
from tuneoff.results.format import damaged_if_unreadable
from tuneoff.results.layout import StudyFolder
from tuneoff.results.parquet import open_parquet
from tuneoff.results.predictions import score_column
from tuneoff.stats.intervals import Floats

Texts = NDArray[np.object_]
"""[N] strings."""
_ROW = "row"
_NOT_READ = "log_likelihood."
"""Prefix of the columns that no statistic needs."""


class Answers:
    """The columns of a predictions.parquet for N test examples, in the order of their row numbers.

    Arrays and not a data frame: a report reads a dozen columns of a few hundred rows for each of thousands
    of runs.
    """

    def __init__(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Take columns [N], with row numbers of the test split, each once, in any order."""
        rows = columns[_ROW]
        order = None if (rows[1:] > rows[:-1]).all() else np.argsort(rows)
        self._columns = (
            dict(columns) if order is None else {name: one[order] for name, one in columns.items()}
        )
        self._texts: dict[str, Texts] = {}

    @classmethod
    def of_table(cls, table: pyarrow.Table) -> Self:
        """Read the columns of an Arrow table."""
        return cls({name: table[name].to_numpy() for name in table.column_names})

    def __len__(self) -> int:
        """N."""
        return len(self.rows)

    def __contains__(self, column: str) -> bool:
        """Whether there is such a column."""
        return column in self._columns

    @property
    def rows(self) -> NDArray[np.int64]:
        """The row of the test split that each example is, [N], rising."""
        return self._columns[_ROW]

    @property
    def references(self) -> Texts:
        """The references: labels' values, or texts."""
        return self._as_texts("reference")

    @property
    def predictions(self) -> Texts:
        """The predictions: labels' values, or texts; empty for a generated text that is no label."""
        return self._as_texts("prediction")

    @property
    def generated_texts(self) -> Texts:
        """The generated texts, or the predictions if nothing was generated.

        Two generated texts can differ although both predict no label.
        """
        generated = self._as_texts("text") if "text" in self else self.predictions
        return generated if generated.any() else self.predictions

    def numbers(self, column: str) -> Floats:
        """Return the values of a column, NaN where one is missing."""
        return self._columns[column].astype(float, copy=False)

    def scores(self, metric: str) -> Floats:
        """Return each example's own score, whose mean is the metric."""
        return self.numbers(score_column(metric))

    def at(self, rows: NDArray[np.int64]) -> "Answers":
        """Return the answers to some of the rows, all of which must be among these."""
        places = np.searchsorted(self.rows, rows)
        return Answers({name: values[places] for name, values in self._columns.items()})

    def _as_texts(self, column: str) -> Texts:
        if column not in self._texts:
            values = self._columns[column].tolist()
            # value != value: NaN, which stands for a missing text
            texts = ["" if value is None or value != value else str(value) for value in values]
            self._texts[column] = np.array(texts, dtype=object)
        return self._texts[column]


def answers_of(folder: Path, record: RunRecord) -> Answers | None:
    """Read the predictions of a run; None where the run left none.

    Raises:
        StoreError: the file is damaged, or lacks the task's main metric.
    """
    path = StudyFolder(folder).run(record.run_id).predictions
    return read_answers(path, record.spec.task.main_metric) if path.is_file() else None


def read_answers(path: Path, metric: str) -> Answers:
    """Read a file of predictions, without the likelihoods of labels.

    Raises:
        StoreError: the file is missing, damaged or empty, or lacks the metric's column.
    """
    with damaged_if_unreadable(path, pyarrow.ArrowException, KeyError):
        file = open_parquet(path)
        table = file.read([name for name in file.names if not name.startswith(_NOT_READ)])
        table.schema.field(score_column(metric))
        if not table.num_rows:
            raise StoreError(
                f"predictions hold a row for each test example, but {path} holds none; move the folder "
                "it is in elsewhere, and run the study again"
            )
        return Answers.of_table(table)
