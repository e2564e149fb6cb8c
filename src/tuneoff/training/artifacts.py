"""What a run leaves in its folder besides its record: the curve and the predictions."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from tuneoff.errors import writing
from tuneoff.spec import CurvePoint, SummarizationSpec, Task
from tuneoff.spec.results import CURVE_FILE, PREDICTIONS_FILE
from tuneoff.tasks import Example, copied, score, score_rows
from tuneoff.training.batches import Encoded
from tuneoff.training.decode import Answer


def append_point(folder: Path, point: CurvePoint) -> None:
    """Adds a line to the run's curve.

    Raises:
        StoreError: the folder cannot be written.
    """
    path = folder / CURVE_FILE
    with writing(path), path.open("a", encoding="utf-8") as file:
        file.write(point.model_dump_json(exclude_none=True) + "\n")


def write_predictions(
    folder: Path,
    task: Task,
    examples: Sequence[Example],
    encoded: Sequence[Encoded],
    answers: Sequence[Answer],
) -> None:
    """Writes a row for each example: what was wanted, what was answered, its loss and its own scores.

    Where text was generated, `cut` tells whether it reached the limit of tokens without an end; for a
    summarization, `copied` tells whether it is taken from the input word for word while the reference is not.

    Raises:
        StoreError: the folder cannot be written.
    """
    rows = score_rows(task, examples, [answer.prediction for answer in answers])
    table = [
        {
            "row": example.row,
            "reference": example.reference,
            "prediction": answer.prediction,
            "text": answer.text,
            "loss": answer.loss / len(tokens.labels),
            **({} if answer.cut is None else {"cut": answer.cut}),
            **({"copied": copied(example, answer.text)} if isinstance(task, SummarizationSpec) else {}),
            **{f"log_likelihood.{label}": value for label, value in answer.log_likelihoods.items()},
            **scores,
        }
        for example, tokens, answer, scores in zip(examples, encoded, answers, rows, strict=True)
    ]
    with writing(folder / PREDICTIONS_FILE):
        pyarrow.parquet.write_table(
            pa.Table.from_pylist(table), folder / PREDICTIONS_FILE, write_page_checksum=True
        )


def scores_of(
    task: Task, examples: Sequence[Example], encoded: Sequence[Encoded], answers: Sequence[Answer]
) -> dict[str, float]:
    """The task's metrics, and `eval_loss`: nats per target token over the whole split."""
    tokens = sum(len(row.labels) for row in encoded)
    loss = sum(answer.loss for answer in answers) / tokens
    return {"eval_loss": loss} | score(task, examples, [answer.prediction for answer in answers])
