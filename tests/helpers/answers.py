"""Answers made up by formula: accuracies by method, difficulties of examples, seeds that differ a little."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from tuneoff.results import BaselineRecord, RunRecord
from tuneoff.results.format import dump_json, file_checksum
from tuneoff.spec import StudySpec

ROWS = 800


def correct(accuracy: float, *, seed: int, rows: int = ROWS) -> np.ndarray:
    """Which of the rows a model of an accuracy gets right: the easier ones, but for the noise of a seed."""
    difficulty = np.random.default_rng(99).random(rows)
    noise = np.random.default_rng(1000 + seed).normal(0, 0.05, rows)
    return difficulty + noise < accuracy


def write_answers(folder: Path, record: RunRecord, accuracy: float, *, seed: int | None = None) -> None:
    """The predictions of a run on balanced labels, and the score that they have."""
    own = record.spec.seed + 10 * sum(map(ord, record.spec.method_name))
    right = correct(accuracy, seed=own if seed is None else seed)
    place = folder / "runs" / record.run_id
    answers(right).to_parquet(place / "predictions.parquet")
    assert record.data is not None
    tested = record.data.test.model_copy(update={"used": len(right)})
    changes = {
        "scores": record.scores | {"eval_accuracy": float(right.mean())},
        "data": record.data.model_copy(update={"test": tested}),
        "files": {name: file_checksum(place / name) for name in ("curve.jsonl", "predictions.parquet")},
    }
    (place / "record.json").write_text(dump_json(record.model_copy(update=changes)), encoding="utf-8")


def write_baseline(folder: Path, study: StudySpec, task: str, name: str, accuracy: float) -> None:
    """A baseline of an accuracy."""
    place = folder / "baselines" / f"{task}.nfull"
    place.mkdir(parents=True, exist_ok=True)
    right = correct(accuracy, seed=77)
    answers(right).to_parquet(place / f"{name}.parquet")
    record = BaselineRecord(
        task_name=task,
        name=name,
        task=study.tasks[task],
        train_size="full",
        seed=study.all_seeds[0],
        scores={"eval_accuracy": float(right.mean())},
        seconds=1.0,
        upper_bound=False,
        digests={},
        packages={},
    )
    (place / f"{name}.json").write_text(dump_json(record), encoding="utf-8")


def answers(right: np.ndarray) -> pd.DataFrame:
    """Predictions that are right in these rows."""
    reference = np.arange(len(right)) % 2
    given = np.where(right, reference, 1 - reference)
    return pd.DataFrame(
        {
            "row": np.arange(len(right)),
            "reference": reference.astype(str),
            "prediction": given.astype(str),
            "loss": np.where(right, 0.2, 1.2),
            "correct": right.astype(float),
        }
    )


def write_all(folder: Path, records: tuple[RunRecord, ...], accuracies: Mapping[str, float]) -> None:
    """The predictions of all complete runs, by method."""
    for record in records:
        if record.state == "complete":
            write_answers(folder, record, accuracies[record.spec.method_name])
