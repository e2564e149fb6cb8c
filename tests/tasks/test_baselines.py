"""Baselines on cases worked out by hand, and the oracle against rouge-score and a full search."""

import unicodedata
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from helpers.task_specs import classification, example, files, generation, summarization, written
from tuneoff.spec import Task
from tuneoff.tasks import Example, TaskData, load_task, score, score_rows, train_subset
from tuneoff.tasks.baselines import (
    BASELINES,
    FITTED,
    UPPER_BOUNDS,
    BaselineResult,
    are_dialogues,
    baseline_names,
    baseline_predictions,
    counted_words,
    lead_1,
    lead_3,
    longest_turn,
    majority,
    oracle,
    rouge_l_against,
    run_baseline,
    tfidf,
)
from tuneoff.words import stems

DIALOGUE = "Ann: hi\n\nBen: shall we meet at noon?\n Ann: yes \nBen: bye"
ARTICLE = "It rained. It rained all day long. Then it stopped. Nobody knew."
RATED = [
    *(example(text, label="1") for text in ("great film", "a great and fine cast", "fine work", "great")),
    *(example(text, label="0") for text in ("dull film", "a dull and poor cast", "poor work", "dull")),
]
UNSEEN = [example("what great work"), example("a poor story"), example("dull stuff"), example("fine")]


def _texts(*texts: str) -> list[Example]:
    return [example(text, row=row) for row, text in enumerate(texts)]


def _copied(parts: Sequence[str], target: str) -> str:
    answer = oracle([], [example("\n".join(parts), target)], summarization())[0]
    assert answer is not None
    return answer


def test_the_majority_is_the_most_frequent_training_label() -> None:
    train = [example("a", label=label) for label in "0110111"]
    assert majority(train, _texts("x", "y"), classification()) == ["1", "1"]


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_equally_frequent_labels_are_told_apart_by_the_order_of_labels(order: str) -> None:
    train = [example("t", label=label) for label in "abba"]
    spec = classification(labels={label: label.upper() for label in order})
    assert majority(train, _texts("x"), spec) == [order[0]]


def test_tfidf_learns_which_words_go_with_a_label() -> None:
    assert tfidf(RATED, UNSEEN, classification()) == ["1", "0", "0", "1"]


def test_tfidf_learns_pairs_where_words_tell_nothing() -> None:
    train = [example(text, label=label) for text, label in (("not bad", "1"), ("bad not", "0"))] * 8
    test = _texts("not bad", "bad not")
    assert tfidf(train, test, classification()) == ["1", "0"]
    assert len(set(tfidf(train, test, classification(), longest=1))) == 1


def test_the_words_of_the_prompt_never_reach_tfidf(tmp_path: Path) -> None:
    rows = [{"text": rated.text, "label": rated.label} for rated in RATED]
    source = files(tmp_path, train=rows, validation=rows, test=[{"text": "great", "label": 1}])
    task = classification(source, prompt="Is it dull, poor, or what? {text}")
    test = load_task(task).test
    assert tfidf(RATED, test, task) == ["1"]
    assert tfidf(RATED, [example(one.source) for one in test], task) == ["0"]


def test_tfidf_reads_the_texts_alone() -> None:
    misleading = [Example(0, "dull poor " * 20, "great", "x", None), Example(1, "great", "dull", "x", None)]
    assert tfidf(RATED, misleading, classification()) == ["1", "0"]
    train = [Example(0, "dull poor", one.text, one.target, one.label) for one in RATED]
    assert tfidf(train, UNSEEN, classification()) == ["1", "0", "0", "1"]


@pytest.mark.parametrize(
    "train",
    [
        [example("good film", label="1"), example("bad film", label="1")],
        [example(".", label="1"), example("a b", label="1"), example("?", label="0")],
    ],
    ids=["one label", "no words"],
)
def test_where_nothing_can_be_fitted_tfidf_answers_as_the_majority_does(train: list[Example]) -> None:
    assert tfidf(train, UNSEEN, classification()) == majority(train, UNSEEN, classification())


def test_tfidf_reads_scripts_without_spaces() -> None:
    train = [example(text, label=label) for text, label in (("片子好", "1"), ("片子坏", "0"))] * 4
    assert tfidf(train, _texts("很好", "太坏了"), classification()) == ["1", "0"]


def test_tfidf_sees_the_words_of_english_that_scikit_learn_sees() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    text = "It's a GREAT film, I think: 10 of 10 - see it."
    assert counted_words(text) == TfidfVectorizer().build_analyzer()(text)


def test_tfidf_takes_many_labels_with_few_rows() -> None:
    labels = {str(label): f"label {label}" for label in range(30)}
    train = [example(f"word{label}", label=label) for label in labels]
    assert tfidf(train, train, classification(labels=labels)) == list(labels)


def test_lead_3_of_a_dialogue_is_its_first_three_turns() -> None:
    assert lead_3([], _texts(DIALOGUE), summarization()) == ["Ann: hi\nBen: shall we meet at noon?\nAnn: yes"]


def test_lead_3_of_an_article_is_its_first_three_sentences() -> None:
    copied = "It rained.\nIt rained all day long.\nThen it stopped."
    assert lead_3([], _texts(ARTICLE, "Short."), summarization()) == [copied, "Short."]


def test_lead_1_of_an_article_is_its_first_sentence() -> None:
    assert lead_1([], _texts(ARTICLE), summarization()) == ["It rained."]


def test_the_longest_turn_has_the_most_words_and_of_equals_is_the_first() -> None:
    texts = _texts(DIALOGUE, "A: a b\nB: supercalifragilistic c\nA: d e")
    assert longest_turn([], texts, summarization()) == ["Ben: shall we meet at noon?", "A: a b"]


def test_the_longest_turn_has_the_most_characters_where_a_script_has_no_spaces() -> None:
    assert longest_turn([], _texts("甲：好\n乙：我们明天见\n甲：ok ok"), summarization()) == [
        "乙：我们明天见"
    ]


def test_the_baselines_of_any_text_are_the_input_a_frequent_target_and_that_of_the_nearest_row() -> None:
    train = [example("red dog", "rot"), example("blue cat", "blau"), example("tall cat", "rot")]
    test = [example("the blue bird"), example("a dog"), example("???")]
    task = generation(metrics=["chrf"])
    answers = {name: BASELINES["generation"][name](train, test, task) for name in baseline_names(task, test)}
    assert answers == {
        "copy": ["the blue bird", "a dog", "???"],
        "most_common": ["rot"] * 3,
        "nearest": ["blau", "rot", "rot"],
    }


def test_where_no_input_has_a_word_the_nearest_target_is_the_most_frequent_one() -> None:
    train = [example("?", "a"), example("!", "b"), example("!!", "b")]
    assert BASELINES["generation"]["nearest"](train, _texts("x"), generation()) == ["b"]


def test_the_nearest_rows_of_many_are_found_in_parts() -> None:
    train = [example(f"word{number}", f"target {number}") for number in range(300)]
    test = [example(f"word{number} word0{number}") for number in reversed(range(300))]
    found = BASELINES["generation"]["nearest"](train, test, generation())
    assert found == [f"target {number}" for number in reversed(range(300))]


def test_most_texts_decide_whether_a_task_is_one_of_dialogues() -> None:
    assert are_dialogues(_texts(DIALOGUE, DIALOGUE, ARTICLE), summarization())
    assert not are_dialogues(_texts(DIALOGUE, ARTICLE), summarization())


def test_a_line_for_each_column_of_the_prompt_makes_no_dialogue() -> None:
    titled = summarization(prompt="{title}: {article} (on {title})")
    texts = _texts(f"Rain\n{ARTICLE}")
    assert not are_dialogues(texts, titled)
    assert lead_3([], texts, titled) == ["Rain\nIt rained.\nIt rained all day long."]


def test_a_single_line_among_dialogues_is_cut_into_sentences() -> None:
    test = _texts(DIALOGUE, DIALOGUE, ARTICLE)
    assert longest_turn([], test, summarization())[2] == "It rained all day long."


def test_a_dialogue_among_articles_is_cut_into_sentences() -> None:
    test = _texts(ARTICLE, ARTICLE, "A: One. Two\nB: Three")
    assert lead_1([], test, summarization())[2] == "A: One."


@pytest.mark.parametrize(
    ("task", "text", "names"),
    [
        (classification(), "any", ("majority", "tfidf")),
        (summarization(), DIALOGUE, ("lead_3", "longest_turn", "oracle")),
        (summarization(), ARTICLE, ("lead_3", "lead_1", "oracle")),
        (generation(metrics=["rouge", "bleu"]), ARTICLE, ("copy", "most_common", "nearest", "oracle")),
        (generation(metrics=["bleu", "rouge"]), ARTICLE, ("copy", "most_common", "nearest")),
    ],
)
def test_a_task_has_the_baselines_that_suit_its_texts(task: Task, text: str, names: tuple[str, ...]) -> None:
    assert baseline_names(task, _texts(text)) == names


def test_the_oracle_takes_what_raises_rouge_l_in_the_order_of_the_text() -> None:
    # "d e f" alone: 3 of 3 against 6; with "a b c" in front of it all 6 of 6
    assert _copied(["a b c", "x y", "d e f", "c d"], "a b c d e f") == "a b c\nd e f"


def test_the_oracle_takes_three_parts_at_most() -> None:
    assert _copied(["a", "b", "c", "d"], "a b c d") == "a\nb\nc"


def test_the_oracle_stops_where_nothing_raises_rouge_l() -> None:
    assert _copied(["a b", "a b", "x"], "a b") == "a b"


def test_the_oracle_is_greedy() -> None:
    # "a b c x" has .75 and no other part raises it, though "a b" and "c d" together have 1
    assert _copied(["a b", "c d", "a b c x"], "a b c d") == "a b c x"


def test_the_oracle_reads_any_script() -> None:
    assert _copied(["Пётр спит", "Анна купила хлеб"], "Анна купила хлеб") == "Анна купила хлеб"


def test_the_oracle_copies_the_first_part_where_none_helps() -> None:
    assert _copied(["x y", "z"], "a b") == "x y"
    assert _copied(["x y", "z"], "...") == "x y"


WORDS = st.sampled_from(["eat", "eating", "EATS!", "dog", "dogs", "it's", "é", "?"])
TEXT = st.lists(WORDS, min_size=1, max_size=7).map(" ".join)
PARTS = st.lists(TEXT, min_size=2, max_size=6)


class _Stems:
    """The tokenizer, as rouge-score takes one."""

    def tokenize(self, text: str) -> list[str]:
        return stems(text)


SCORER = RougeScorer(["rougeL"], tokenizer=_Stems())


def _rouge_l(target: str, parts: Sequence[str]) -> float:
    return float(SCORER.score(target, "\n".join(parts))["rougeL"].fmeasure)


def _plain_greedy(parts: Sequence[str], target: str) -> str:
    """Make the greedy choice by whole texts and the library's own scores."""
    chosen: list[int] = []
    for _ in range(3):
        scores = {
            index: _rouge_l(target, [parts[one] for one in sorted([*chosen, index])])
            for index in range(len(parts))
            if index not in chosen
        }
        new = max(scores, key=scores.__getitem__, default=None)
        now = _rouge_l(target, [parts[one] for one in chosen])
        if new is None or (chosen and scores[new] <= now):
            break
        chosen = sorted([*chosen, new])
    return "\n".join(parts[index] for index in chosen)


@given(PARTS, TEXT)
def test_the_oracle_chooses_as_a_plain_greedy_search_with_the_library_does(
    parts: list[str], target: str
) -> None:
    assert _copied(parts, target) == _plain_greedy(parts, target)


@given(PARTS, TEXT)
def test_the_oracle_lies_between_every_single_part_and_the_best_of_all_choices(
    parts: list[str], target: str
) -> None:
    value = _rouge_l(target, [_copied(parts, target)])
    choices = [choice for size in (1, 2, 3) for choice in combinations(parts, size)]
    assert max(_rouge_l(target, [part]) for part in parts) <= value
    assert value <= max(_rouge_l(target, choice) for choice in choices)


@given(st.text("abcd", max_size=70), st.text("abcd", max_size=70))
def test_rouge_l_is_that_of_the_library(reference: str, answer: str) -> None:
    expected = SCORER.score(" ".join(reference), " ".join(answer))["rougeL"].fmeasure
    assert rouge_l_against(reference)(answer) == expected


def test_the_table_has_the_scores_of_each_example() -> None:
    examples = written("a b", "c")
    predictions = baseline_predictions(summarization(), examples, ["a b", None])
    assert [one.columns() for one in predictions] == [
        {"row": 0, "reference": "a b", "prediction": "a b"}
        | dict.fromkeys(("eval_rouge1", "eval_rouge2", "eval_rougeL", "eval_rougeLsum"), 1.0),
        {"row": 1, "reference": "c", "prediction": None}
        | dict.fromkeys(("eval_rouge1", "eval_rouge2", "eval_rougeL", "eval_rougeLsum"), 0.0),
    ]


def test_the_reference_of_a_classification_is_the_label_and_not_its_text() -> None:
    examples = [example("t", target="positive", label="1", row=4)]
    (prediction,) = baseline_predictions(classification(), examples, ["0"])
    assert prediction.columns() == {"row": 4, "reference": "1", "prediction": "0", "correct": 0.0}


@pytest.fixture
def reviews(tmp_path: Path) -> TaskData:
    rows = [{"text": f"{text} {row}", "label": row % 2} for row, text in enumerate(["poor", "great"] * 10)]
    return load_task(classification(files(tmp_path, train=rows, validation=rows[:2], test=rows[:5])))


@pytest.fixture
def chats(tmp_path: Path) -> TaskData:
    rows = [{"dialogue": f"A: hello\nB: {row} is my number", "summary": f"It is {row}."} for row in range(4)]
    return load_task(summarization(files(tmp_path, train=rows, validation=rows, test=rows)))


def _result(name: str, data: TaskData) -> BaselineResult:
    train = train_subset(data.train, 4, seed=1)
    return run_baseline(name, data, train, task_name="mine", train_size=4, seed=1)


def test_a_record_has_the_scores_of_the_answers_in_its_table(reviews: TaskData) -> None:
    record, predictions = _result("tfidf", reviews)
    table = [one.columns() for one in predictions]
    answers = tfidf(train_subset(reviews.train, 4, seed=1), reviews.test, reviews.spec)
    assert [row["prediction"] for row in table] == answers
    assert [row["row"] for row in table] == [example.row for example in reviews.test]
    assert record.scores == score(reviews.spec, reviews.test, answers)
    assert [row["correct"] for row in table] == [
        row["correct"] for row in score_rows(reviews.spec, reviews.test, answers)
    ]


def test_a_record_tells_what_was_done(reviews: TaskData) -> None:
    record = _result("majority", reviews).record
    assert (record.task_name, record.name, record.train_size, record.seed) == ("mine", "majority", 4, 1)
    assert (record.task, record.digests) == (reviews.spec, reviews.digests)
    assert {"scikit-learn", "rouge-score"} <= set(record.packages)
    assert record.scoring == {"tokenizer": "tuneoff-words-1", "unicode": unicodedata.unidata_version}


def test_only_the_oracle_is_an_upper_bound(chats: TaskData) -> None:
    bounds = {
        name: _result(name, chats).record.upper_bound for name in baseline_names(chats.spec, chats.test)
    }
    assert bounds == {"lead_3": False, "longest_turn": False, "oracle": True}


@pytest.mark.parametrize("kind", ["reviews", "chats"])
def test_equal_data_gives_equal_results_but_for_the_time(kind: str, request: pytest.FixtureRequest) -> None:
    data = request.getfixturevalue(kind)
    for name in baseline_names(data.spec, data.test):
        one, other = _result(name, data), _result(name, data)
        assert one.predictions == other.predictions
        assert one.record == other.record.model_copy(update={"seconds": one.record.seconds})


def test_baselines_that_are_not_fitted_do_not_read_the_training_rows(chats: TaskData) -> None:
    assert set(BASELINES["classification"]) <= FITTED
    for answer in BASELINES["summarization"].values():
        assert answer([], chats.test, chats.spec) == answer(chats.train, chats.test, chats.spec)


def test_no_baseline_but_the_upper_bounds_sees_a_reference(reviews: TaskData, chats: TaskData) -> None:
    for data in (reviews, chats):
        hidden = [example(one.text, "?", "?" if one.label else None, row=one.row) for one in data.test]
        for name in BASELINES[data.spec.kind].keys() - UPPER_BOUNDS:
            answer = BASELINES[data.spec.kind][name]
            assert answer(data.train, hidden, data.spec) == answer(data.train, data.test, data.spec)
