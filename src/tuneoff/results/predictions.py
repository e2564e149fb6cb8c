"""The one schema of predictions.parquet: a row per test example of a run, or of a baseline."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow
import pyarrow.parquet

from tuneoff.errors import writing

_MEAN_OF = {"eval_accuracy": "correct"}
"""Columns whose mean is a metric; one that is not listed has the metric's name."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What was predicted for a test example. Each field is a column."""

    row: int
    """Number of the example in the test split."""
    reference: str
    """The right answer: a label's value, or a text."""
    prediction: str | None
    """What was predicted; None for a generated text that is no label."""
    text: str | None = None
    """The text that the model generated; None where labels were scored."""
    loss: float | None = None
    """Nats per token of the reference; None, and no column, for a baseline, which has no text either."""
    cut: bool | None = None
    """The generated text reached the limit of tokens without an end."""
    copied: bool | None = None
    """A generated summary is taken from the input word for word, while the reference is not."""
    log_likelihoods: Mapping[str, float] = field(default_factory=dict)
    """From each label to its log-likelihood, in columns `log_likelihood.<label>`."""
    scores: Mapping[str, float | bool] = field(default_factory=dict)
    """The example's own scores, each in a column (`correct`; `eval_rougeL`)."""

    def columns(self) -> dict[str, object]:
        """Return the row of the file."""
        of_run = {} if self.loss is None else {"text": self.text, "loss": self.loss}
        optional = {"cut": self.cut, "copied": self.copied}
        return {
            "row": self.row,
            "reference": self.reference,
            "prediction": self.prediction,
            **of_run,
            **{name: value for name, value in optional.items() if value is not None},
            **{f"log_likelihood.{label}": value for label, value in self.log_likelihoods.items()},
            **self.scores,
        }


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write a file of predictions, whose pages carry checksums.

    Raises:
        StoreError: it cannot be written.
    """
    table = pyarrow.Table.from_pylist([one.columns() for one in predictions])
    with writing(path):
        pyarrow.parquet.write_table(table, path, write_page_checksum=True)


def score_column(metric: str) -> str:
    """Return the column whose mean is a metric."""
    return _MEAN_OF.get(metric, metric)
