"""Scores against values worked out by hand, and against the libraries' own."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sklearn.metrics import f1_score, matthews_corrcoef

from helpers.task_specs import LABELS, classification, labelled, summarization, written
from tuneoff.tasks import match_label, score, score_rows
from tuneoff.words import sentences, stems

TRUTH = labelled("1", "1", "1", "0", "0", "0", "0", "0")
ANSWERS = ["1", "1", "0", "1", "0", "0", "0", None]
"""Label 1: 2 right, 1 missed, 1 false. Label 0: 3 right, 2 missed, 1 false."""
F1_OF_1 = 2 * 2 / (2 * 2 + 1 + 1)
F1_OF_0 = 2 * 3 / (2 * 3 + 2 + 1)


def test_accuracy_and_f1_follow_the_counts() -> None:
    assert score(classification(), TRUTH, ANSWERS) == pytest.approx(
        {"eval_accuracy": 5 / 8, "eval_f1_macro": (F1_OF_0 + F1_OF_1) / 2, "eval_f1": F1_OF_1}
    )


def test_f1_is_that_of_the_positive_label() -> None:
    assert score(classification(positive="0"), TRUTH, ANSWERS)["eval_f1"] == pytest.approx(F1_OF_0)


def test_f1_is_not_that_of_right_and_wrong() -> None:
    scores = score(classification(), labelled("1", "0", "0"), ["0", "0", "0"])
    assert scores == pytest.approx({"eval_accuracy": 2 / 3, "eval_f1_macro": 0.4, "eval_f1": 0.0})


def test_free_answers_count_the_invalid_ones() -> None:
    assert score(classification(scoring="generate"), TRUTH, ANSWERS)["eval_invalid"] == 1 / 8


def test_more_than_two_labels_have_no_positive_f1_and_an_absent_one_does_not_count() -> None:
    spec = classification(labels={"a": "A", "b": "B", "c": "C"})
    scores = score(spec, labelled("a", "a", "b"), ["a", "a", "b"])
    assert scores == pytest.approx({"eval_accuracy": 1.0, "eval_f1_macro": 1.0})


@pytest.mark.parametrize("labels", ["ab", "abc"])
def test_matthews_correlation_is_reported_where_a_study_asks_for_it(labels: str) -> None:
    spec = classification(labels={label: label.upper() for label in labels}, matthews=True)
    truth, answers = "aabab" + labels, "abbab" + labels[::-1]
    found = score(spec, labelled(*truth), [*answers])
    assert found["eval_mcc"] == pytest.approx(matthews_corrcoef([*truth], [*answers]))
    assert score(spec, labelled(*"aab"), [*"aaa"])["eval_mcc"] == 0


def test_matthews_correlation_of_two_labels_follows_the_counts() -> None:
    # of label 1: 2 right, 1 missed, 1 false, and 4 right of label 0
    spec = classification(matthews=True)
    found = score(spec, labelled(*"11100000"), [*"11010000"])["eval_mcc"]
    assert found == pytest.approx((2 * 4 - 1 * 1) / (3 * 3 * 5 * 5) ** 0.5)


_THREE = st.sampled_from("abc")


@given(st.lists(st.tuples(_THREE, _THREE), min_size=1, max_size=12))
def test_macro_f1_is_that_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    truth, answers = zip(*pairs, strict=True)
    spec = classification(labels={label: label.upper() for label in "abcd"})
    expected = f1_score(truth, answers, average="macro")
    assert score(spec, labelled(*truth), answers)["eval_f1_macro"] == pytest.approx(expected)


def test_invalid_answers_are_no_label_of_their_own() -> None:
    scores = score(classification(scoring="generate"), labelled("0", "1", "1"), ["0", "1", None])
    assert scores["eval_f1_macro"] == pytest.approx((1 + 2 / 3) / 2)


def test_only_invalid_answers_score_zero() -> None:
    scores = score(classification(), labelled("0", "1"), [None, None])
    assert scores == {"eval_accuracy": 0.0, "eval_f1_macro": 0.0, "eval_f1": 0.0}


_ANSWERED = st.lists(
    st.tuples(st.sampled_from(["0", "1"]), st.sampled_from(["0", "1", None])), min_size=1, max_size=30
)


@given(_ANSWERED)
def test_f1_of_two_labels_is_that_of_scikit_learn(pairs: list[tuple[str, str | None]]) -> None:
    truth, answers = zip(*pairs, strict=True)
    scores = score(classification(), labelled(*truth), answers)
    given = [answer or "none" for answer in answers]
    for name, labels in (("eval_f1", ["1"]), ("eval_f1_macro", sorted({*truth, *given} - {"none"}))):
        expected = f1_score(truth, given, labels=labels, average="macro", zero_division=0)
        assert scores[name] == pytest.approx(expected)


@given(_ANSWERED)
def test_accuracy_is_the_mean_of_the_rows(pairs: list[tuple[str, str | None]]) -> None:
    examples, answers = labelled(*(truth for truth, _ in pairs)), [answer for _, answer in pairs]
    rows = score_rows(classification(), examples, answers)
    assert {row["correct"] for row in rows} <= {0.0, 1.0}
    accuracy = score(classification(), examples, answers)["eval_accuracy"]
    assert sum(row["correct"] for row in rows) / len(rows) == pytest.approx(accuracy)


@pytest.mark.slow
@given(st.data(), _ANSWERED)
def test_the_order_of_examples_changes_no_score(
    data: st.DataObject, pairs: list[tuple[str, str | None]]
) -> None:
    shuffled = data.draw(st.permutations(pairs))
    scores = [
        score(classification(), labelled(*(truth for truth, _ in order)), [answer for _, answer in order])
        for order in (pairs, shuffled)
    ]
    assert scores[0] == pytest.approx(scores[1])


def test_answers_and_examples_must_be_as_many() -> None:
    with pytest.raises(ValueError, match=r"zip\(\)|inconsistent"):
        score(summarization(), written("a", "b"), ["a"])


def test_rouge_follows_the_overlaps() -> None:
    # six words against three: 3 words, 1 of 2 pairs (of 5) and a subsequence of 3 in common
    scores = score(summarization(), written("the cat sat on the mat"), ["the cat mat"])
    assert scores == pytest.approx(
        {
            "eval_rouge1": 2 * 3 / (6 + 3),
            "eval_rouge2": 2 * 1 / (5 + 2),
            "eval_rougeL": 2 * 3 / (6 + 3),
            "eval_rougeLsum": 2 * 3 / (6 + 3),
        }
    )


def test_rouge_stems_words() -> None:
    assert score(summarization(), written("She walked"), ["she WALKS!"])["eval_rouge1"] == 1.0


def test_rouge_lsum_compares_sentences_and_rouge_l_the_whole_text() -> None:
    scores = score(
        summarization(), written("Ann eats soup. Ben drinks tea."), ["Ben drinks tea. Ann eats soup."]
    )
    assert scores["eval_rouge1"] == scores["eval_rougeLsum"] == 1.0
    assert scores["eval_rougeL"] == 0.5


def test_no_answer_and_an_empty_one_score_zero() -> None:
    rows = score_rows(summarization(), written("a b", "a b"), [None, ""])
    assert rows[0] == rows[1] == dict.fromkeys(rows[0], 0.0)


def test_rouge_is_the_mean_of_the_rows_and_agrees_with_the_library() -> None:
    examples, answers = written("Ann eats. Ben sleeps.", "Tea at noon"), ["Ann eats soup", "tea at two"]
    rows = score_rows(summarization(), examples, answers)
    scores = score(summarization(), examples, answers)
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    for name in ("rouge1", "rouge2", "rougeL"):
        values = [
            scorer.score(example.target, answer)[name].fmeasure
            for example, answer in zip(examples, answers, strict=True)
        ]
        assert [row[f"eval_{name}"] for row in rows] == pytest.approx(values)
        assert scores[f"eval_{name}"] == pytest.approx(sum(values) / 2)


ASCII = st.lists(
    st.sampled_from([*"abc", "the", "running", "runs", "it's", ".", "!", "\n", ". ", "x_y"]), max_size=25
).map(" ".join)
MIXED = st.text("абв 我们。กิ \u0301e.\n！ ｶﾞ", max_size=25)


class _Stems:
    """The tokenizer, as rouge-score takes one."""

    def tokenize(self, text: str) -> list[str]:
        return stems(text)


def _library_scores(scorer: RougeScorer, target: str, answer: str) -> dict[str, float]:
    lines = ("\n".join(sentences(text)) for text in (target, answer))
    return {f"eval_{name}": value.fmeasure for name, value in scorer.score(*lines).items()}


ROUGE = ["rouge1", "rouge2", "rougeL", "rougeLsum"]


@given(ASCII, ASCII)
def test_rouge_of_ascii_text_is_that_of_the_library(target: str, answer: str) -> None:
    scores = score(summarization(), written(target), [answer])
    expected = _library_scores(RougeScorer(ROUGE, use_stemmer=True), target, answer)
    assert scores == pytest.approx(expected, rel=1e-15, abs=0)


@given(MIXED, MIXED)
def test_rouge_of_other_text_is_that_of_the_library_with_the_same_words(target: str, answer: str) -> None:
    expected = _library_scores(RougeScorer(ROUGE, tokenizer=_Stems()), target, answer)
    assert score(summarization(), written(target), [answer]) == pytest.approx(expected, rel=1e-15, abs=0)


def test_rouge_of_long_sentences_is_that_of_the_library() -> None:
    draw = random.Random(0)
    target, answer = (" ".join(draw.choices("abcdefgh", k=600)) for _ in range(2))
    expected = _library_scores(RougeScorer(ROUGE, use_stemmer=True), f"c b a. {target}", f"a b. {answer}")
    scores = score(summarization(), written(f"c b a. {target}"), [f"a b. {answer}"])
    assert scores == pytest.approx(expected, rel=1e-15, abs=0)


@pytest.mark.parametrize("text", ["Анна купила хлеб.", "我买了面包。", "प्रधानमंत्री ने कहा", "اشترت آنا الخبز"])
def test_a_summary_equal_to_its_reference_has_a_rouge_of_one_in_any_script(text: str) -> None:
    assert score(summarization(), written(text), [text]) == dict.fromkeys(
        (f"eval_{name}" for name in ROUGE), 1.0
    )


def test_texts_with_a_number_in_common_are_not_equal() -> None:
    scores = score(summarization(), written("Рейс отменён: 15:00"), ["Встреча в 15:00"])
    assert scores["eval_rouge1"] == pytest.approx(2 * 2 / (4 + 4))


def test_texts_of_a_hundred_thousand_words_are_scored() -> None:
    words = [f"w{number % 5000}" for number in range(100_000)]
    scores = score(summarization(), written(" ".join(words)), ["w7 w8. w6"])
    assert scores["eval_rougeL"] == pytest.approx(2 * 3 / 100_003)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("positive", "1"),
        (" Positive.\n", "1"),
        ("NEGATIVE!", "0"),
        ("positively", None),
        ("not positive", None),
        ("1", None),
        ("", None),
    ],
)
def test_a_generated_text_names_a_label_or_none(text: str, value: str | None) -> None:
    assert match_label(text, LABELS) == value


def test_a_label_with_a_stop_is_told_from_one_without() -> None:
    labels = {"a": "yes", "b": "yes!"}
    assert [match_label(text, labels) for text in ("yes", "Yes!", "yes.")] == ["a", "b", "a"]


def test_a_label_may_be_generated_as_its_pieces_are_joined() -> None:
    labels, generated = {"a": "non-toxic", "b": "toxic"}, {"a": "non - toxic", "b": "toxic"}
    texts = ("Non - toxic .", "non-toxic", "toxic", "- toxic")
    assert [match_label(text, generated, labels) for text in texts] == ["a", "a", "b", None]
