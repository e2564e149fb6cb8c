"""Inputs that are nearly the same, and answers that are taken from the input."""

from pathlib import Path

import pytest

from helpers.task_specs import classification, example, files
from tuneoff.tasks import RowCounts, copied, load_task

DIALOGUE = (
    "Anna: Shall we meet at the station at nine?\nBen: Yes, and bring the tickets, please.\nAnna: I will."
)


def counts(folder: Path, train: list[str], validation: list[str], test: list[str]) -> RowCounts:
    rows = {
        split: [{"text": text, "label": number % 2} for number, text in enumerate(texts)]
        for split, texts in {"train": train, "validation": validation, "test": test}.items()
    }
    return load_task(classification(files(folder, **rows))).reports["test"]


def test_test_inputs_that_occur_in_train_but_for_case_spaces_and_punctuation_are_counted(
    tmp_path: Path,
) -> None:
    test = ["A FINE FILM", "a fine  film. ", "“A fine film”", "a fine film", "a fine plan", "x 3 y"]
    found = counts(tmp_path, ["a fine film", "x 4 y"], ["other"], test)
    assert (found.overlap, found.near_overlap) == (1, 3)


def test_composed_and_full_width_characters_are_their_plain_ones(tmp_path: Path) -> None:
    found = counts(
        tmp_path, ["café", "ABC"], ["other"], ["cafe\N{COMBINING ACUTE ACCENT}", "\uff21\uff22\uff23"]
    )
    assert found.near_overlap == 2


def test_texts_of_punctuation_alone_are_told_apart(tmp_path: Path) -> None:
    assert counts(tmp_path, ["?!", "a"], ["b"], ["!!", "...", "?"]).near_overlap == 0


def test_inputs_that_repeat_an_earlier_one_of_the_split_are_counted_whatever_the_target(
    tmp_path: Path,
) -> None:
    found = counts(tmp_path, ["t", "u"], ["v"], ["a", "a", "A!", "b", "c", "b"])
    assert (found.repeated_inputs, found.duplicates) == (3, 1)


def test_test_inputs_that_occur_in_validation_are_counted(tmp_path: Path) -> None:
    assert counts(tmp_path, ["t", "u"], ["a", "b"], ["B", "c", "a", "a"]).validation_overlap == 3


@pytest.mark.parametrize(
    "answer",
    [
        DIALOGUE,
        "anna: shall we meet at the station at nine? ben: yes, and br",
        "Yes, and bring the tickets, please. Shall we meet at the station at nine?",
    ],
    ids=["all", "cut within a word", "two pieces in another order"],
)
def test_an_answer_taken_from_the_input_is_copied(answer: str) -> None:
    assert copied(example(DIALOGUE, "They meet at the station."), answer)


@pytest.mark.parametrize("answer", ["Anna and Ben meet at the station at nine.", "the tickets", "", None])
def test_own_words_and_short_answers_are_not(answer: str | None) -> None:
    assert not copied(example(DIALOGUE, "They meet at the station."), answer)


def test_an_extract_is_no_copy_where_the_reference_is_one_too() -> None:
    assert not copied(example(DIALOGUE, "Shall we meet at the station at nine?"), DIALOGUE)


def test_a_script_without_spaces_is_copied_as_well() -> None:
    text = "会议将于明天上午九点在北京火车站附近的咖啡馆举行请所有同事准时参加并带上车票和身份证件"
    assert copied(example(text, "明天开会"), text[:30])
