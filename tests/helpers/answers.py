"""Answers made up by formula: accuracies by method, difficulties of examples, seeds that differ a little."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from tuneoff.results import BaselineRecord, CutScore, RunFolder, RunRecord, read_records
from tuneoff.results.cuts import write_cuts
from tuneoff.results.format import dump_json, file_checksum
from tuneoff.results.predictions import Prediction
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


def add_cuts(folder: Path, accuracies: Mapping[float, float], stored_bytes: int) -> None:
    """Give runs on disk that ask for cuts what is left of them: an accuracy by the share that is kept."""
    for record in (one for one in read_records(folder) if one.spec.cuts and one.state == "complete"):
        assert record.footprint is not None
        place = RunFolder(folder / "runs" / record.run_id)
        seed = record.spec.seed + 10 * sum(map(ord, record.spec.method_name))  # as of the whole
        scores = {keep: correct(accuracies[keep], seed=seed) for keep in record.spec.cuts}
        predictions = {
            keep: [
                Prediction(row=row, reference="0", prediction="0", scores={"correct": bool(one)})
                for row, one in enumerate(right)
            ]
            for keep, right in scores.items()
        }
        write_cuts(place.cuts, "eval_accuracy", predictions)
        cuts = tuple(
            CutScore(
                keep=keep,
                stored=int(keep * stored_bytes) // 4,
                stored_bytes=int(keep * stored_bytes),
                ranks={"q": 1},
                scores={"eval_accuracy": float(right.mean())},
            )
            for keep, right in scores.items()
        )
        changes = {
            "cuts": cuts,
            "footprint": record.footprint.model_copy(update={"stored_bytes": stored_bytes}),
            "files": record.files | {place.cuts.name: file_checksum(place.cuts)},
        }
        place.record.write_text(dump_json(record.model_copy(update=changes)), encoding="utf-8")


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
