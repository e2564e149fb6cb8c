"""The generated data: pinned, distinct, and answerable."""

import pytest

from tasks.specs import classification, summarization
from tuneoff.errors import DataError
from tuneoff.spec import BuiltinSource, Task
from tuneoff.tasks import load_task

TASKS: dict[str, Task] = {
    "reviews": classification(BuiltinSource(builtin="reviews")),
    "dialogues": summarization(BuiltinSource(builtin="dialogues"), prompt="{dialogue}"),
}
PINNED = {
    "reviews": {"train": "8148c456125b9d15", "validation": "d951cd59aef60df9", "test": "ebaa4a5186fe96dc"},
    "dialogues": {"train": "f47989547ae57247", "validation": "ac9a107108fef9b3", "test": "245b978de86cea8f"},
}


@pytest.mark.parametrize("name", TASKS)
def test_generated_data_never_changes(name: str) -> None:
    assert {split: digest[:16] for split, digest in load_task(TASKS[name]).digests.items()} == PINNED[name]


@pytest.mark.parametrize("name", TASKS)
def test_no_generated_input_occurs_twice_in_or_across_splits(name: str) -> None:
    data = load_task(TASKS[name])
    assert (len(data.train), len(data.validation), len(data.test)) == (1200, 200, 200)
    inputs = [example.source for split in (data.train, data.validation, data.test) for example in split]
    assert len(set(inputs)) == len(inputs)


def test_both_labels_are_about_as_frequent() -> None:
    data = load_task(TASKS["reviews"])
    for split in (data.train, data.validation, data.test):
        assert 0.4 < sum(example.label == "1" for example in split) / len(split) < 0.6


def test_what_a_summary_says_stands_in_its_dialogue() -> None:
    for example in load_task(TASKS["dialogues"]).test:
        for word in example.target.rstrip(".").replace(",", "").split():
            assert word in {"and", "will", "at", "on", "bring"} or word in example.source


def test_an_unknown_name_gets_near_matches() -> None:
    with pytest.raises(DataError, match=r"unknown name 'review'; did you mean 'reviews'\?"):
        load_task(classification(BuiltinSource(builtin="review")))
