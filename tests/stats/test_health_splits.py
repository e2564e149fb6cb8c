"""What is said of splits that share rows, repeat them, or have few."""

from typing import Any

import pytest

from helpers.health_evidence import ZERO_SHOT, a_record, checks, evidence_of, judged
from tuneoff.stats.health import RunEvidence

ALONE = {"near_overlap": 0, "repeated_inputs": 0, "validation_overlap": 0}


def a_run(*, method: dict[str, Any] | None = None, digests: dict[str, str] | None = None, **splits: Any):
    """Splits of 300 rows that share and repeat none, but for changes."""
    rows = {"read": 300, "used": 300}
    reports = {split: rows | ALONE | splits.get(split, {}) for split in ("train", "validation", "test")}
    record = a_record(splits=reports, **({} if method is None else {"method": method}))
    assert record.data is not None
    data = record.data.model_copy(update={"digests": digests or {}})
    return judged(record.model_copy(update={"data": data}))


def test_splits_that_are_apart_have_no_findings() -> None:
    assert checks(a_run(digests={"train": "a", "validation": "b", "test": "c"})) == []


@pytest.mark.parametrize(
    ("run", "told"),
    [
        (a_run(digests={"train": "a", "validation": "b", "test": "b"}), "equal digests"),
        (a_run(test={"validation_overlap": 300}), "300 of 300 test rows (100%) have an input of validation"),
        (a_run(test={"validation_overlap": 150}), "150 of 300 test rows (50%) have an input of validation"),
        (a_run(validation={"overlap": 300}), "300 of 300 validation rows (100%) have an input of train"),
        (a_run(validation={"near_overlap": 290}), "290 of 300 validation rows (97%)"),
        (a_run(test={"overlap": 300}), "300 of 300 test rows (100%) have an input of train"),
        (a_run(test={"near_overlap": 300}), "300 of 300 test rows (100%) have an input of train"),
        (a_run(test={"overlap": 100, "near_overlap": 60}), "160 of 300 test rows (53%)"),
    ],
    ids=[
        "validation is test",
        "test is validation in another order",
        "half",
        "validation is train",
        "validation is train in other case",
        "test is train",
        "test is train in other case",
        "test is train in part in other case",
    ],
)
def test_a_split_that_is_mostly_another_one_is_ill(run: RunEvidence, told: str) -> None:
    assert checks(run) == ["overlapping splits"]
    assert told in evidence_of("overlapping splits", run)


@pytest.mark.parametrize(
    ("run", "told"),
    [
        (a_run(test={"overlap": 1}), "1 of 300 test rows (0.33%) have an input that also occurs in train"),
        (
            a_run(test={"near_overlap": 30}),
            "30 of 300 test rows (10.00%) have an input that occurs",
        ),
        (a_run(validation={"overlap": 60}), "60 of 300 validation rows (20.00%) have an input of train"),
        (a_run(test={"validation_overlap": 60}), "60 of 300 test rows (20.00%) have an input of validation"),
    ],
    ids=["test in train", "nearly test in train", "validation in train", "test in validation"],
)
def test_some_shared_rows_give_a_warning(run: RunEvidence, told: str) -> None:
    assert checks(run) == ["contaminated"]
    assert told in evidence_of("contaminated", run)


def test_what_short_texts_share_by_nature_gives_no_warning() -> None:
    few = a_run(
        validation={"overlap": 12}, test={"near_overlap": 3, "validation_overlap": 12, "repeated_inputs": 12}
    )
    assert checks(few) == []


def test_rows_that_were_dropped_do_not_overlap() -> None:
    assert checks(a_run(test={"overlap": 200, "dropped_overlap": 200})) == []


def test_the_base_model_chose_and_learned_nothing() -> None:
    shared = a_run(
        method=ZERO_SHOT,
        test={"overlap": 300},
        validation={"overlap": 300},
        digests={"validation": "b", "test": "b"},
    )
    assert checks(shared) == []


@pytest.mark.parametrize("counted", [{"repeated_inputs": 225}, {"repeated_inputs": None, "duplicates": 225}])
def test_repeated_test_rows_are_told_with_the_number_that_they_are_worth(counted: dict[str, Any]) -> None:
    for method in (None, ZERO_SHOT):
        run = a_run(method=method, test=counted)
        assert checks(run) == ["repeated test rows"]
        assert "225 of 300 test rows have the input of an earlier one, so they are worth at most 75" in (
            evidence_of("repeated test rows", run)
        )


def test_sixteen_training_rows_are_few() -> None:
    run = a_run(train={"used": 16})
    assert checks(run) == ["few rows"]
    assert "16 training rows" in evidence_of("few rows", run)
    assert checks(a_run(train={"used": 50})) == []
    assert checks(a_run(method=ZERO_SHOT, train={"used": 16})) == []
