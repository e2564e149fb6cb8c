import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tuneoff.errors import DamagedError, StoreError
from tuneoff.results import RunRecord
from tuneoff.spec import StudySpec, expand
from tuneoff.stats import judge, read_evidence
from tuneoff.stats.answers import answers_of, read_answers
from tuneoff.stats.examples import RunScores, Scores, joint_scores

REVIEWS = {
    "kind": "classification",
    "source": {"hub": "SetFit/sst2"},
    "prompt": "{text}",
    "target": "label",
    "labels": {"0": "negative", "1": "positive"},
}
DIALOGUES = {
    "kind": "summarization",
    "source": {"hub": "knkarthick/samsum"},
    "prompt": "{dialogue}",
    "target": "summary",
}
ROUGE = ("eval_rouge1", "eval_rouge2", "eval_rougeL", "eval_rougeLsum")


def a_study(task: Mapping[str, Any], seeds: Sequence[int]) -> StudySpec:
    study = {
        "name": "small",
        "model": {"id": "google/flan-t5-small"},
        "tasks": {"mine": task},
        "methods": {"lora": {"kind": "lora"}},
        "seeds": list(seeds),
        "training": {"max_steps": 10},
    }
    return StudySpec.model_validate_json(json.dumps(study))


def runs(task: Mapping[str, Any] = REVIEWS, *, seeds: Sequence[int] = (0, 1, 2)) -> list[RunRecord]:
    plan = expand(a_study(task, seeds))
    return [RunRecord(run_id=run.run_id, spec=run, state="complete") for run in plan]


def write(folder: Path, record: RunRecord, **columns: Sequence[Any]) -> Path:
    path = folder / "runs" / record.run_id / "predictions.parquet"
    path.parent.mkdir(parents=True)
    pd.DataFrame(columns).to_parquet(path)
    return path


def joint(folder: Path, records: Sequence[RunRecord]) -> Scores | None:
    """The scores of records of one cell, as read from the folder."""
    read = {record.spec.seed: (record, answers_of(folder, record)) for record in records}
    return joint_scores(
        {
            seed: RunScores(answers.rows, answers.scores(record.spec.task.main_metric))
            for seed, (record, answers) in read.items()
            if answers is not None
        }
    )


def test_predictions_are_read_in_the_order_of_their_rows(tmp_path: Path) -> None:
    (record,) = runs(seeds=[0])
    columns = {"row": [5, 3, 4], "prediction": ["1", None, "0"], "correct": [0.0, 1.0, 0.0]}
    path = write(tmp_path, record, **columns, cut=[True, None, False])
    read = answers_of(tmp_path, record)
    assert read is not None
    assert read.rows.tolist() == [3, 4, 5]
    assert read.predictions.tolist() == ["", "0", "1"]
    assert read.scores("eval_accuracy").tolist() == [1.0, 0.0, 0.0]
    np.testing.assert_array_equal(read.numbers("cut"), [np.nan, 0, 1])
    assert read.at(np.array([3, 5])).predictions.tolist() == ["", "1"]
    np.testing.assert_array_equal(read_answers(path, "eval_accuracy").rows, read.rows)


def test_a_run_that_left_no_predictions_has_none(tmp_path: Path) -> None:
    (record,) = runs(seeds=[0])
    assert answers_of(tmp_path, record) is None


def test_damaged_predictions_are_named_with_the_reason(tmp_path: Path) -> None:
    (record,) = runs(seeds=[0])
    path = write(tmp_path, record, row=[0], correct=[1.0])
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DamagedError, match=f"{record.run_id}.* cannot be read: Parquet"):
        answers_of(tmp_path, record)


def test_predictions_without_the_metric_are_refused(tmp_path: Path) -> None:
    (record,) = runs(DIALOGUES, seeds=[0])
    write(tmp_path, record, row=[0], correct=[1.0])
    with pytest.raises(StoreError, match=record.run_id):
        answers_of(tmp_path, record)


def test_a_cell_is_a_row_per_seed_and_a_column_per_example(tmp_path: Path) -> None:
    records = runs(seeds=[4, 2])
    write(tmp_path, records[0], row=[0, 1, 2], correct=[1.0, 0.0, 1.0])
    write(tmp_path, records[1], row=[0, 1, 2], correct=[0.0, 0.0, 1.0])
    scores = joint(tmp_path, records)
    assert scores is not None
    assert (scores.seeds, scores.rows) == ((4, 2), (0, 1, 2))
    np.testing.assert_array_equal(scores.values, [[1, 0, 1], [0, 0, 1]])


def test_summaries_are_scored_by_their_main_metric(tmp_path: Path) -> None:
    records = runs(DIALOGUES, seeds=[0])
    write(tmp_path, records[0], row=[7], **{name: [0.1 * place] for place, name in enumerate(ROUGE)})
    scores = joint(tmp_path, records)
    assert scores is not None
    assert scores.values.tolist() == [[0.2]]


def test_only_examples_that_all_runs_answered_are_kept_whatever_their_order(tmp_path: Path) -> None:
    records = runs(seeds=[0, 1])
    write(tmp_path, records[0], row=[0, 1, 2, 3], correct=[0.0, 0.1, 0.2, 0.3])
    write(tmp_path, records[1], row=[3, 9, 1], correct=[1.3, 1.9, 1.1])
    scores = joint(tmp_path, records)
    assert scores is not None
    assert dict(zip(scores.rows, scores.values.T.tolist(), strict=True)) == {1: [0.1, 1.1], 3: [0.3, 1.3]}


def test_runs_that_are_not_complete_do_not_count(tmp_path: Path) -> None:
    complete, diverged, unpredicted = runs()
    diverged = diverged.model_copy(update={"state": "diverged"})
    for record in (complete, diverged):
        columns = {"reference": ["0", "1"], "prediction": ["0", "0"], "loss": [0.1, 0.9]}
        write(tmp_path, record, row=[0, 1], correct=[1.0, 0.0], **columns)
    study = a_study(REVIEWS, (0, 1, 2))
    records = (complete, diverged, unpredicted)
    judged = judge(study, records, read_evidence(tmp_path, records, ()))
    ((cell, one),) = judged.intervals.items()
    assert (cell, one.seeds) == (("mine", "lora", "full"), 1)
    assert one.mean == pytest.approx(0.5)


def test_a_cell_without_runs_or_without_common_examples_has_no_scores(tmp_path: Path) -> None:
    records = runs(seeds=[0, 1])
    assert joint(tmp_path, records) is None
    write(tmp_path, records[0], row=[0], correct=[1.0])
    write(tmp_path, records[1], row=[1], correct=[1.0])
    assert joint(tmp_path, records) is None


def test_scores_are_picked_by_seed_and_row(tmp_path: Path) -> None:
    records = runs(seeds=[4, 2])
    for record in records:
        write(
            tmp_path, record, row=[10, 20, 30], correct=[record.spec.seed + part for part in (0.1, 0.2, 0.3)]
        )
    scores = joint(tmp_path, records)
    assert scores is not None
    np.testing.assert_allclose(scores.at([2, 4], [30, 10]), [[2.3, 2.1], [4.3, 4.1]])
