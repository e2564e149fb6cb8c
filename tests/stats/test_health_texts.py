"""What is said of generated texts: planted ones, and ordinary ones."""

import numpy as np
import pytest

from helpers.health_evidence import (
    LABELS,
    TEXTS,
    a_record,
    checks,
    evidence_of,
    judged,
    labelled,
    waves,
    written,
)
from tuneoff.stats.health.texts import loops

ORDINARY = (
    "Anna and Ben will meet at the station at nine and take the train to the lake.",
    "The committee approved the plan on Monday, and the committee will vote on the budget on Friday.",
    "She said that he said that they said it was fine, which it was not, as far as anybody could see.",
    "Yes, yes, yes, I know!",
    "明天上午九点在火车站见面然后一起去湖边钓鱼",
)


@pytest.mark.parametrize(
    "text",
    [
        "the cat sat the cat sat the cat sat the cat sat the cat sat.",
        "Anna will meet Ben at nine. " + "They will go, " * 5 + "and that is the end.",
        "They will go to the lake at nine. " * 2,
        "no no no no no no no no no no no no",
        "lalalalalalalalalalala",
        "!!!!!!!!!!!!!!!!!!!!",
        "明天见面" * 5,
    ],
)
def test_a_text_that_says_the_same_again_and_again_loops(text: str) -> None:
    assert loops(text)


@pytest.mark.parametrize("text", [*ORDINARY, "", "no no no"])
def test_ordinary_texts_do_not(text: str) -> None:
    assert not loops(text)


def test_loops_are_told_with_an_example_whether_they_end_or_not() -> None:
    texts = ["I will go and " * 6 + "stop." if row % 10 == 0 else f"text {row}" for row in range(300)]
    ended = judged(a_record(TEXTS), (), written(texts, waves(300, 0.3), cut=False))
    assert checks(ended) == ["looping"]
    told = evidence_of("looping", ended)
    assert told.startswith(
        "10.0% of 300 test predictions repeat themselves, such as 'I will go and I will go and"
    )
    unended = judged(a_record(TEXTS), (), written(texts, waves(300, 0.3), cut=True))
    assert checks(unended) == ["truncated", "looping"]


def test_texts_may_repeat_what_the_references_repeat() -> None:
    refrain = "sing it again and again and " * 4
    texts = written([f"{refrain} {row}" for row in range(300)], waves(300, 0.3))
    assert checks(judged(a_record(TEXTS), (), texts.assign(reference=texts["text"] + " and on"))) == []


def test_some_empty_texts_give_a_warning() -> None:
    texts = ["" if row % 10 == 0 else f"text {row}" for row in range(300)]
    found = judged(a_record(TEXTS), (), written(texts, waves(300, 0.3)))
    assert checks(found) == ["empty texts"]
    assert "10.0% of 300 test predictions are empty" in evidence_of("empty texts", found)
    few = ["" if row % 25 == 0 else f"text {row}" for row in range(300)]
    assert checks(judged(a_record(TEXTS), (), written(few, waves(300, 0.3)))) == []


def test_answers_taken_from_the_input_give_a_warning() -> None:
    texts = written([f"text {row}" for row in range(300)], waves(300, 0.3))
    copies = judged(a_record(TEXTS), (), texts.assign(copied=[row % 4 > 0 for row in range(300)]))
    assert checks(copies) == ["copied input"]
    assert "75.0% of 300 test predictions" in evidence_of("copied input", copies)
    some = judged(a_record(TEXTS), (), texts.assign(copied=[row % 4 == 0 for row in range(300)]))
    assert checks(some) == []


def test_answers_that_are_the_long_references_are_too_good() -> None:
    references = [f"what happened in the story number {row}" for row in range(300)]
    exact = written(references, np.ones(300).tolist()).assign(reference=references)
    found = judged(a_record(TEXTS), (), exact)
    assert checks(found) == ["too good"]
    assert "100.0% of 300 test predictions are the reference almost word for word" in evidence_of(
        "too good", found
    )
    most = exact.assign(eval_rougeL=[1.0 if row % 3 else 0.4 for row in range(300)])
    assert checks(judged(a_record(TEXTS), (), most)) == ["too good"]


@pytest.mark.parametrize(
    "references",
    [[f"{row} km" for row in range(300)], [f"the answer is number {row % 5}" for row in range(300)]],
)
def test_short_answers_and_stock_ones_may_be_right(references: list[str]) -> None:
    right = written(references, np.ones(300).tolist()).assign(reference=references)
    assert checks(judged(a_record(TEXTS), (), right)) == []


def test_labels_are_no_texts() -> None:
    right = labelled([0, 1] * 200, [0, 1] * 200)
    assert checks(judged(a_record(LABELS), (), right)) == []


def test_references_without_a_word_give_a_warning() -> None:
    texts = written([f"text {row}" for row in range(300)], waves(300, 0.3))
    some = texts.assign(reference=["\U0001f600!" if row % 10 == 0 else f"so {row}" for row in range(300)])
    found = judged(a_record(TEXTS), (), some)
    assert checks(found) == ["references without words"]
    assert "30 of 300 test references (10.0%)" in evidence_of("references without words", found)
    few = texts.assign(reference=["!" if row % 25 == 0 else f"\u732b {row}" for row in range(300)])
    assert checks(judged(a_record(TEXTS), (), few)) == []
