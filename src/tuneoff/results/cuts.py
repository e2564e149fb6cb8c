"""How far a run's LoRA can be cut: the test scores of what is left of it, as a whole and by row."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow
import pyarrow.parquet

from tuneoff.errors import writing
from tuneoff.results.predictions import Prediction, score_column
from tuneoff.spec import Spec

SCHEMA = pyarrow.schema([("keep", pyarrow.float64()), ("row", pyarrow.int64()), ("score", pyarrow.float64())])
"""Of cuts.parquet: `row` is the number of a test example, `score` its own value of the main metric."""


class CutScore(Spec):
    """A run's method with its LoRA cut to a share of its stored parameters."""

    keep: float
    """The share that was allowed."""
    stored: int
    """Parameters that are left, as `Footprint.stored` counts them."""
    stored_bytes: int
    """Size of their tensors."""
    ranks: dict[str, int]
    """The rank of each layer that is left, by its name."""
    scores: dict[str, float]
    """Test scores, as those of the run."""


def write_cuts(path: Path, metric: str, predictions: Mapping[float, Iterable[Prediction]]) -> None:
    """Write the scores of single test examples, by share kept; pages carry checksums.

    Raises:
        StoreError: the file cannot be written.
    """
    rows = [
        {"keep": keep, "row": one.row, "score": float(one.scores[score_column(metric)])}
        for keep, own in predictions.items()
        for one in own
    ]
    with writing(path):
        pyarrow.parquet.write_table(
            pyarrow.Table.from_pylist(rows, schema=SCHEMA), path, write_page_checksum=True
        )
