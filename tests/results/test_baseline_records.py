"""The record of a baseline, as it is kept on disk."""

import pytest
from pydantic import ValidationError

from helpers.task_specs import classification
from tuneoff.results.baseline import BaselineRecord

FIELDS = {
    "task_name": "reviews",
    "name": "tfidf",
    "task": classification(),
    "train_size": 100,
    "seed": 0,
    "scores": {"eval_accuracy": 0.75},
    "seconds": 0.5,
    "upper_bound": False,
    "digests": {"test": "abc"},
    "packages": {"scikit-learn": "1.7"},
}


@pytest.mark.parametrize("size", [100, "full"])
def test_a_record_is_read_back_as_it_was_written(size: int | str) -> None:
    record = BaselineRecord.model_validate(FIELDS | {"train_size": size})
    assert BaselineRecord.model_validate_json(record.model_dump_json()) == record


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "../tfidf"),
        ("train_size", 0),
        ("seconds", -1.0),
        ("scores", {"eval_accuracy": float("nan")}),
        ("upper_bound", 1),
        ("method", "tfidf"),
    ],
)
def test_what_cannot_be_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        BaselineRecord.model_validate(FIELDS | {field: value})


@pytest.mark.parametrize("field", FIELDS)
def test_nothing_may_be_left_out(field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        BaselineRecord.model_validate({key: value for key, value in FIELDS.items() if key != field})
