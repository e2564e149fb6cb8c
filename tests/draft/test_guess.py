import pytest

from tuneoff.draft import Column, guess_task
from tuneoff.errors import DataError

TEXTS = Column("review", tuple(f"the film number {number} was rather long but fine" for number in range(40)))
NUMBERS = Column("id", tuple(map(str, range(40))))
LABELS = Column("label", ("0", "1") * 20)
DIALOGUES = Column("dialogue", tuple(" ".join(["word"] * 60) + f" {number}" for number in range(40)))
SUMMARIES = Column("summary", tuple(f"they talk about {number} words" for number in range(40)))


def test_few_different_answers_are_labels() -> None:
    guess = guess_task((NUMBERS, TEXTS, LABELS))
    assert (guess.kind, guess.target, guess.inputs) == ("classification", LABELS, (TEXTS,))
    assert guess.labels == ("0", "1")
    # an id beside the text, and labels without a word
    assert guess.unsure == ("inputs", "labels")


def test_labels_with_words_in_two_columns_leave_no_question() -> None:
    named = Column("sentiment", ("good", "bad") * 20)
    assert guess_task((TEXTS, named)).unsure == ()


def test_a_short_text_for_a_long_one_is_a_summary() -> None:
    guess = guess_task((DIALOGUES, SUMMARIES))
    assert (guess.kind, guess.target, guess.inputs) == ("summarization", SUMMARIES, (DIALOGUES,))
    assert guess.unsure == ()


def test_a_text_of_like_length_is_generated() -> None:
    german = Column("translation", tuple(f"der Film Nummer {number} war recht lang" for number in range(40)))
    assert guess_task((TEXTS, german)).kind == "generation"


def test_without_a_known_name_the_column_with_fewest_values_is_asked_for() -> None:
    guess = guess_task((TEXTS, Column("v1", ("ham", "spam") * 20)))
    assert guess.target.name == "v1"
    assert "target" in guess.unsure


def test_what_is_given_is_not_guessed() -> None:
    guess = guess_task((NUMBERS, TEXTS, LABELS), target="review", inputs=["id"], kind="generation")
    assert (guess.kind, guess.target, guess.inputs, guess.unsure) == ("generation", TEXTS, (NUMBERS,), ())


@pytest.mark.parametrize(
    ("columns", "given", "message"),
    [
        ((TEXTS, LABELS), {"target": "lable"}, "no column 'lable'; did you mean 'label'"),
        ((TEXTS, LABELS), {"inputs": ["txt"]}, "no column 'txt'"),
        ((TEXTS,), {}, "needs a column to read and one with the answer"),
    ],
)
def test_columns_that_are_not_there_are_refused(columns, given, message) -> None:
    with pytest.raises(DataError, match=message):
        guess_task(columns, **given)
