"""Scores of texts against sacrebleu's own functions, and against SQuAD's rules worked out by hand."""

import re
import string
from collections import Counter
from dataclasses import replace
from statistics import fmean

import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from helpers.task_specs import generation, summarization, written
from tuneoff.spec.tasks import MAIN_SCORES
from tuneoff.tasks import Example, score, score_rows, scoring
from tuneoff.tasks.squad import answer_words

REFERENCES = ["The cat sat on the mat.", "Two dogs run.", "Nobody knows the answer to it all."]
ANSWERS = ["A cat sat on a mat.", "two dogs are running", None]
ALL = tuple(MAIN_SCORES)


def _several(*references: tuple[str, ...]) -> list[Example]:
    examples = written(*(first for first, *_ in references))
    return [
        replace(example, alternatives=tuple(others))
        for example, (_, *others) in zip(examples, references, strict=True)
    ]


@pytest.mark.parametrize("metric", ALL)
def test_the_main_metric_is_the_mean_of_the_rows(metric: str) -> None:
    task = generation(metrics=[metric])
    rows = score_rows(task, written(*REFERENCES), ANSWERS)
    mean = fmean(row[task.main_metric] for row in rows)
    assert score(task, written(*REFERENCES), ANSWERS)[task.main_metric] == pytest.approx(mean)
    assert all(0 <= row[task.main_metric] <= 1 for row in rows)
    assert max(row[task.main_metric] for row in rows) > 0 or metric == "exact_match"


@pytest.mark.parametrize("metric", ALL)
def test_the_reference_itself_has_the_highest_score_and_nothing_the_lowest(metric: str) -> None:
    task = generation(metrics=[metric])
    rows = score_rows(task, written(*REFERENCES[:2]), [REFERENCES[0], ""])
    assert [row[task.main_metric] for row in rows] == pytest.approx([1.0, 0.0])
    assert rows[0][task.main_metric] <= 1


def test_the_first_metric_is_the_main_one() -> None:
    assert generation(metrics=["token_f1", "rouge"]).main_metric == "eval_token_f1"
    assert score(generation(metrics=["chrf", "bleu"]), written("a"), ["a"]).keys() == {
        *("eval_sentence_chrf", "eval_sentence_bleu", "eval_bleu", "eval_chrf")
    }


def test_bleu_and_chrf_are_those_of_sacrebleu() -> None:
    task = generation(metrics=["bleu", "chrf"])
    answers = [answer or "" for answer in ANSWERS]
    rows = score_rows(task, written(*REFERENCES), ANSWERS)
    for row, reference, answer in zip(rows, REFERENCES, answers, strict=True):
        bleu, chrf = (
            getattr(sacrebleu, name)(answer, [reference]).score for name in ("sentence_bleu", "sentence_chrf")
        )
        assert row == pytest.approx({"eval_sentence_bleu": bleu / 100, "eval_sentence_chrf": chrf / 100})
    scores = score(task, written(*REFERENCES), ANSWERS)
    assert scores["eval_bleu"] == pytest.approx(sacrebleu.corpus_bleu(answers, [REFERENCES]).score / 100)
    assert scores["eval_chrf"] == pytest.approx(sacrebleu.corpus_chrf(answers, [REFERENCES]).score / 100)
    assert scores["eval_bleu"] != pytest.approx(scores["eval_sentence_bleu"])


def test_bleu_of_several_references_is_that_of_sacrebleu_where_rows_have_as_many() -> None:
    first, second = ["the cat sat on the mat", "go away now please"], ["a cat is on it", "please do leave us"]
    answers = ["a cat sat on the mat", "please leave us now"]
    found = score(generation(metrics=["bleu"]), _several(*zip(first, second, strict=True)), answers)
    assert found["eval_bleu"] == pytest.approx(sacrebleu.corpus_bleu(answers, [first, second]).score / 100)


def test_rows_may_have_different_numbers_of_references() -> None:
    examples = _several(("one", "this one has more words"), ("three is a number",))
    found = score(generation(metrics=ALL), examples, ["this one has more words", "three is a number"])
    assert {*MAIN_SCORES.values(), "eval_bleu", "eval_chrf"} < found.keys()
    assert found == pytest.approx(dict.fromkeys(found, 1.0))


def test_the_best_reference_counts() -> None:
    (row,) = score_rows(
        generation(metrics=["exact_match", "token_f1", "rouge"]), _several(("x", "a b c d")), ["b c"]
    )
    assert row["eval_exact_match"] == 0
    # "a" is an article, so three words count against two
    assert row["eval_token_f1"] == pytest.approx(2 * 2 / (3 + 2))
    assert row["eval_rouge1"] == pytest.approx(2 * 2 / (4 + 2))


def test_chinese_is_cut_into_characters_where_the_study_says_so() -> None:
    reference, answer = "我们明天一起去买面包吧", "我们明天一起去买牛奶吧"
    plain, cut = (
        score(generation(metrics=["bleu"], bleu_tokenizer=name), written(reference), [answer])
        for name in ("13a", "zh")
    )
    assert plain["eval_sentence_bleu"] == 0 < cut["eval_sentence_bleu"]
    expected = sacrebleu.sentence_bleu(answer, [reference], tokenize="zh").score / 100
    assert cut["eval_sentence_bleu"] == pytest.approx(expected)


def test_a_record_says_what_decided_the_scores() -> None:
    found = scoring(generation(metrics=["rouge", "bleu", "chrf"]))
    version = sacrebleu.__version__
    assert found["bleu"] == f"case:mixed|eff:no|tok:13a|smooth:exp|version:{version}"
    assert found["chrf"].endswith(f"version:{version}")
    assert scoring(summarization()).keys() == {"tokenizer", "unicode"}


def _official_words(text: str) -> list[str]:
    """Normalize an answer by the four rules of SQuAD's evaluation, in their order."""
    without_marks = "".join(letter for letter in text.lower() if letter not in set(string.punctuation))
    return re.sub(r"\b(a|an|the)\b", " ", without_marks).split()


_PRINTABLE = st.text(st.sampled_from("aAn the.,'-_ $x1\t"), max_size=30)


@given(_PRINTABLE)
def test_words_of_ascii_answers_are_those_of_squad(text: str) -> None:
    assert answer_words(text) == _official_words(text)


@given(_PRINTABLE, _PRINTABLE)
def test_exact_match_and_f1_of_ascii_answers_are_those_of_squad(reference: str, answer: str) -> None:
    (row,) = score_rows(generation(metrics=["exact_match", "token_f1"]), written(reference), [answer])
    truth, predicted = _official_words(reference), _official_words(answer)
    common = sum((Counter(truth) & Counter(predicted)).values())
    assert row["eval_exact_match"] == (truth == predicted)
    if not truth or not predicted:
        assert row["eval_token_f1"] == (truth == predicted)
    else:
        assert row["eval_token_f1"] == pytest.approx(2 * common / (len(truth) + len(predicted)))


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("Денвер Бронкос", "денвер бронкос!"),
        ("丹佛野马队", "丹佛 野马队。"),
        ("It’s 1969", "its 1969"),
        ("Ｄｅｎｖｅｒ", "denver"),
        ("café", "cafe\u0301"),
    ],
)
def test_an_answer_may_be_written_in_other_ways_in_any_script(reference: str, answer: str) -> None:
    assert score(generation(metrics=["exact_match"]), written(reference), [answer])["eval_exact_match"] == 1


def test_characters_of_a_script_without_spaces_are_its_words() -> None:
    found = score(generation(metrics=["token_f1"]), written("丹佛野马"), ["丹佛队"])
    assert found["eval_token_f1"] == pytest.approx(2 * 2 / (4 + 3))
