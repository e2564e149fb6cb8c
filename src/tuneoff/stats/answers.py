"""What a run or a baseline answered to each test example."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from tuneoff.errors import StoreError
from tuneoff.spec import RunRecord
from tuneoff.spec.results import PREDICTIONS_FILE, RUNS, SCORE_COLUMNS, reading
from tuneoff.stats.intervals import Floats

Texts = NDArray[np.object_]
"""[N] strings."""
_ROW = "row"
_NOT_JUDGED = "log_likelihood."
"""How the columns of predictions start that stay in the file."""


class Answers:
    """The columns of a predictions.parquet for N test examples, in the order of their row numbers.

    Arrays and not a data frame: a report reads a dozen columns of a few hundred rows for each of thousands
    of runs.
    """

    def __init__(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Takes columns [N], with row numbers of the test split, each once, in any order."""
        rows = columns[_ROW]
        order = None if (rows[1:] > rows[:-1]).all() else np.argsort(rows)
        self._columns = (
            dict(columns) if order is None else {name: one[order] for name, one in columns.items()}
        )
        self._texts: dict[str, Texts] = {}

    @classmethod
    def of_table(cls, table: pyarrow.Table) -> Self:
        """The answers that an Arrow table holds."""
        return cls({name: table[name].to_numpy() for name in table.column_names})

    def __len__(self) -> int:
        """N."""
        return len(self.rows)

    def __contains__(self, column: str) -> bool:
        """Whether there is such a column."""
        return column in self._columns

    @property
    def rows(self) -> NDArray[np.int64]:
        """Which row of the test split each example is, [N], rising."""
        return self._columns[_ROW]

    @property
    def references(self) -> Texts:
        """The references."""
        return self._as_texts("reference")

    @property
    def predictions(self) -> Texts:
        """What was answered: a label's value or a text, empty where it is no label."""
        return self._as_texts("prediction")

    @property
    def generated_texts(self) -> Texts:
        """The generated text where there is any: two answers that are no label need not be the same."""
        generated = self._as_texts("text") if "text" in self else self.predictions
        return generated if generated.any() else self.predictions

    def numbers(self, column: str) -> Floats:
        """A column's values, NaN where one is missing."""
        return self._columns[column].astype(float, copy=False)

    def scores(self, metric: str) -> Floats:
        """What each example contributes to a metric."""
        return self.numbers(row_metric(metric))

    def at(self, rows: NDArray[np.int64]) -> "Answers":
        """The answers to rows that are all among these."""
        places = np.searchsorted(self.rows, rows)
        return Answers({name: values[places] for name, values in self._columns.items()})

    def _as_texts(self, column: str) -> Texts:
        if column not in self._texts:
            values = self._columns[column].tolist()
            told = ["" if value is None or value != value else str(value) for value in values]
            self._texts[column] = np.array(told, dtype=object)
        return self._texts[column]


def answers_of(folder: Path, record: RunRecord) -> Answers | None:
    """A run's answers; None where the run left none.

    Raises:
        StoreError: the file is damaged, or lacks the task's main metric.
    """
    path = folder / RUNS / record.run_id / PREDICTIONS_FILE
    return read_answers(path, record.spec.task.main_metric) if path.is_file() else None


def read_answers(path: Path, metric: str) -> Answers:
    """The answers in a file of predictions, without likelihoods of labels.

    Raises:
        StoreError: the file is missing, damaged or empty, or lacks the metric's column.
    """
    with reading(path, pyarrow.ArrowException, KeyError):
        file = pyarrow.parquet.ParquetFile(
            pyarrow.BufferReader(path.read_bytes()), page_checksum_verification=True
        )
        columns = [name for name in file.schema_arrow.names if not name.startswith(_NOT_JUDGED)]
        table = file.read(columns, use_threads=False)
        table.schema.field(row_metric(metric))
        if not table.num_rows:
            raise StoreError(
                f"predictions hold a row for each test example, but {path} holds none; move the folder "
                "it is in elsewhere, and run the study again"
            )
        return Answers.of_table(table)


def row_metric(metric: str) -> str:
    """The column of predictions whose mean is a metric."""
    return SCORE_COLUMNS.get(metric, metric)
