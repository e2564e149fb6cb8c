"""Records, curves and predictions made up by formula, to be diagnosed."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow

from tuneoff.results import CurvePoint, DataReport, RunRecord, SplitReport
from tuneoff.spec import StudySpec, expand
from tuneoff.stats.answers import Answers
from tuneoff.stats.health import RunEvidence, diagnose

SPLIT = SplitReport(
    read=1821,
    empty=0,
    duplicates=0,
    overlap=0,
    dropped_overlap=0,
    used=1821,
    truncated_inputs=0,
    truncated_targets=0,
)
LABELS: dict[str, Any] = {
    "kind": "classification",
    "source": {"files": {"train": "a.csv", "test": "b.csv"}},
    "prompt": "{x}",
    "target": "y",
    "labels": {"0": "bad", "1": "good"},
}
TEXTS: dict[str, Any] = {
    "kind": "summarization",
    "source": {"files": {"train": "a.csv", "test": "b.csv"}},
    "prompt": "{x}",
    "target": "y",
}
LORA = {"kind": "lora"}
ZERO_SHOT = {"kind": "none"}


def a_record(
    task: dict[str, Any] = LABELS,
    method: dict[str, Any] = LORA,
    *,
    name: str = "mine",
    model: str = "some/t5",
    seed: int = 0,
    splits: dict[str, dict[str, int]] | None = None,
    **changes: Any,
) -> RunRecord:
    study = {
        "name": "study",
        "model": {"id": model},
        "tasks": {name: task},
        "methods": {"m": method},
        "seeds": [seed],
        "training": {"max_steps": 1000},
    }
    (run,) = expand(StudySpec.model_validate_json(json.dumps(study)))
    reports = {"train": {}, "validation": {"used": 300}, "test": {}} | (splits or {})
    data = DataReport(
        **{split: SPLIT.model_copy(update=change) for split, change in reports.items()},
        carved_validation=False,
        revision=None,
        digests={},
    )
    values: dict[str, Any] = {"state": "complete", "best_step": 1000, "steps": 1000, "data": data}
    return RunRecord(run_id=run.run_id, spec=run, **(values | changes))


def labelled(references: Sequence[int], answers: Sequence[int | None], *, loss: float = 0.3) -> pd.DataFrame:
    rows = [
        {
            "row": row,
            "reference": str(reference),
            "prediction": None if answer is None else str(answer),
            "text": None,
            "loss": loss + 0.2 * math.sin(row),
            "correct": float(reference == answer),
        }
        for row, (reference, answer) in enumerate(zip(references, answers, strict=True))
    ]
    return pd.DataFrame(rows)


def written(
    answers: Sequence[str], rouge: Sequence[float], *, loss: float = 1.5, **columns: Any
) -> pd.DataFrame:
    rows = [
        {"row": row, "reference": f"reference {row}", "prediction": text, "text": text, "eval_rougeL": score}
        for row, (text, score) in enumerate(zip(answers, rouge, strict=True))
    ]
    return pd.DataFrame(rows).assign(loss=loss + 0.5 * np.sin(np.arange(len(rows))), **columns)


def answered(table: pd.DataFrame) -> Answers:
    return Answers.of_table(pyarrow.Table.from_pandas(table, preserve_index=False))


def judged(
    record: RunRecord,
    curve: Sequence[CurvePoint] = (),
    answers: pd.DataFrame | None = None,
    zero_shot: pd.DataFrame | None = None,
    baseline: tuple[str, pd.DataFrame] | None = None,
) -> RunEvidence:
    return RunEvidence(
        record,
        tuple(curve),
        None if answers is None else answered(answers),
        None if zero_shot is None else answered(zero_shot),
        None if baseline is None else (baseline[0], answered(baseline[1])),
    )


def waves(count: int, mean: float, *, phase: float = 0.0) -> list[float]:
    return [mean + 0.15 * math.sin(1.7 * row + phase) for row in range(count)]


def balanced(count: int) -> list[int]:
    return [row % 2 for row in range(count)]


def mostly_right(references: Sequence[int], *, wrong_every: int, start: int = 0) -> list[int]:
    return [1 - value if (row + start) % wrong_every < 1 else value for row, value in enumerate(references)]


def a_curve(
    losses: Sequence[float],
    metrics: Sequence[float],
    *,
    metric: str = "eval_accuracy",
    training: Sequence[float] = (),
    every: int = 100,
) -> tuple[CurvePoint, ...]:
    logged = [CurvePoint(step=(index + 1) * every, loss=loss) for index, loss in enumerate(training)]
    evaluated = [
        CurvePoint(step=index * every, scores={"eval_loss": loss, metric: score})
        for index, (loss, score) in enumerate(zip(losses, metrics, strict=True))
    ]
    return tuple(logged + evaluated)


def falling_together(task: dict[str, Any] = TEXTS) -> tuple[CurvePoint, ...]:
    """What the prefix runs of an earlier study looked like: the loss falls, and the score falls too."""
    metric = "eval_rougeL" if task["kind"] == "summarization" else "eval_accuracy"
    losses = [9.1, 8.2, 7.4, 6.9, 6.5, 6.3, 6.26]
    scores = [0.34, 0.29, 0.27, 0.22, 0.19, 0.16, 0.151]
    return a_curve(losses, scores, metric=metric)


def checks(evidence: RunEvidence) -> list[str]:
    return [finding.check for finding in diagnose(evidence)]


def evidence_of(check: str, evidence: RunEvidence) -> str:
    (finding,) = [finding for finding in diagnose(evidence) if finding.check == check]
    return finding.evidence


REFERENCES = balanced(1000)
GOOD = labelled(REFERENCES, mostly_right(REFERENCES, wrong_every=8))
WEAK = labelled(REFERENCES, mostly_right(REFERENCES, wrong_every=3, start=1))
RISING = a_curve(
    [0.9, 0.5, 0.4, 0.36, 0.35, 0.35, 0.36, 0.35, 0.36, 0.35, 0.36],
    [0.55, 0.7, 0.8, 0.84, 0.86, 0.87, 0.865, 0.87, 0.868, 0.872, 0.87],
    training=[0.8, 0.5, 0.4, 0.35, 0.3],
)
