"""The one schema of predictions.parquet: a row per test example of a run, or of a baseline."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow
import pyarrow.parquet

from tuneoff.errors import writing

_MEAN_OF = {"eval_accuracy": "correct"}
"""From a metric to the column whose mean it is, where their names differ."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The prediction for one test example. Each field is a column."""

    row: int
    """Number of the example in the test split."""
    reference: str
    """The right answer: a label's value, an option's letter, or a text (several with bars between)."""
    prediction: str | None
    """The predicted label's value, option's letter or text; None for a generated text that is no label."""
    text: str | None = None
    """The text that the model generated; None where labels were scored."""
    loss: float | None = None
    """Nats per token of the reference; None, and no column, for a baseline, which has no text either."""
    cut: bool | None = None
    """The generated text was cut: it reached the limit of tokens without an end of sequence."""
    copied: bool | None = None
    """The generated text is copied word for word from the input, while the reference is not."""
    log_likelihoods: Mapping[str, float] = field(default_factory=dict)
    """Log-likelihood by label or letter, in columns `log_likelihood.<label>`."""
    scores: Mapping[str, float | bool] = field(default_factory=dict)
    """Scores of this example, each in a column of its name (`correct`; `eval_rougeL`)."""

    def columns(self) -> dict[str, object]:
        """Return the row of the file."""
        only_of_runs = {} if self.loss is None else {"text": self.text, "loss": self.loss}
        optional = {"cut": self.cut, "copied": self.copied}
        return {
            "row": self.row,
            "reference": self.reference,
            "prediction": self.prediction,
            **only_of_runs,
            **{name: value for name, value in optional.items() if value is not None},
            **{f"log_likelihood.{label}": value for label, value in self.log_likelihoods.items()},
            **self.scores,
        }


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write a file of predictions, whose pages carry checksums.

    Raises:
        StoreError: it cannot be written.
    """
    rows = [one.columns() for one in predictions]
    # rows may have different numbers of options, and so of columns
    names = dict.fromkeys(name for row in rows for name in row)
    table = pyarrow.Table.from_pylist([{name: row.get(name) for name in names} for row in rows])
    with writing(path):
        pyarrow.parquet.write_table(table, path, write_page_checksum=True)


def score_column(metric: str) -> str:
    """Return the column whose mean is the metric."""
    return _MEAN_OF.get(metric, metric)
