"""Classical baselines: what counting words and copying achieve on a task, without a neural network.

A baseline is a function from the training examples, the test examples and the task's spec to a prediction
for each test example, in their order. None of them draws a random number.

Summaries are copied in parts: turns (lines) if the texts are dialogues, else sentences. Texts are dialogues
if most of the test split have more lines than the prompt has columns; a text among them with fewer lines is
split into sentences.
"""

import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from itertools import chain, islice
from typing import Any, NamedTuple

from tuneoff.results.baseline import BaselineRecord
from tuneoff.results.predictions import Prediction
from tuneoff.spec import (
    LETTERS,
    ClassificationSpec,
    GenerationSpec,
    MultipleChoiceSpec,
    SummarizationSpec,
    Task,
    TextTask,
    TrainSize,
    prompt_columns,
)
from tuneoff.tasks.examples import Example, TaskData
from tuneoff.tasks.metrics import score, score_rows, scoring, tokenizer_versions
from tuneoff.tasks.rouge import f_measure
from tuneoff.tasks.subsequences import common_length, places_in
from tuneoff.words import sentences, spaced, stems, words

Predictions = list[str | None]
ORACLE_PARTS = 3
"""The most turns or sentences that the oracle copies."""
_COMPARED = 256
"""Test rows that are compared with all training rows at a time."""
_PACKAGES = ("tuneoff", "scikit-learn", "rouge-score")


def majority(
    train: Sequence[Example], test: Sequence[Example], task: ClassificationSpec | MultipleChoiceSpec
) -> Predictions:
    """Predict the most frequent training label, or letter of an option; of equal ones the first."""
    counts = Counter(example.label for example in train)
    values = task.labels if isinstance(task, ClassificationSpec) else LETTERS
    most_common = max(values, key=lambda value: counts[value])
    return [most_common] * len(test)


def tfidf(
    train: Sequence[Example], test: Sequence[Example], task: ClassificationSpec, *, longest: int = 2
) -> Predictions:
    """Predict labels by a logistic regression on TF-IDF weights of words and word pairs.

    It reads `Example.text`, never the prompt. `longest` is the length of the longest n-grams in words. If the
    training examples have one label only, or no word but single ASCII letters and digits, the predictions are
    those of `majority`.
    """
    labels = [example.label for example in train]
    if len(set(labels)) < 2 or not any(counted_words(example.text) for example in train):
        return majority(train, test, task)
    model = _fitted([example.text for example in train], labels, longest=longest)
    return [str(prediction) for prediction in model.predict([example.text for example in test])]


def _fitted(texts: Sequence[str], classes: Sequence[object], *, longest: int) -> Any:
    """Fit a logistic regression on TF-IDF weights."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(_weights(longest), LogisticRegression(max_iter=1000))
    with warnings.catch_warnings():
        # with many labels on few rows, scikit-learn warns that this looks like a regression
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        return model.fit(texts, classes)


def _weights(longest: int) -> Any:
    """Return what makes TF-IDF weights of texts, of unit length, from n-grams of up to `longest` words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(
        ngram_range=(1, longest),
        sublinear_tf=True,
        lowercase=False,
        tokenizer=counted_words,
        token_pattern=None,
    )


def counted_words(text: str) -> list[str]:
    """Return the words of a text but for single ASCII letters and digits, as scikit-learn does in English."""
    return [word for word in words(text) if len(word) > 1 or not word.isascii()]


def options_only(train: Sequence[Example], test: Sequence[Example], task: MultipleChoiceSpec) -> Predictions:
    """Choose the option that looks most like right ones, without the input that it belongs to.

    By a logistic regression on TF-IDF weights of single options, right or wrong. What it finds is in how the
    options were written. Without a word to learn from it takes the first option.
    """
    options = [option for example in train for option in example.options]
    right = [option == example.target for example in train for option in example.options]
    if not any(counted_words(option) for option in options):
        return [LETTERS[0]] * len(test)
    model = _fitted(options, right, longest=2)
    scores = iter(model.decision_function([option for example in test for option in example.options]))
    return [_highest(list(islice(scores, len(example.options)))) for example in test]


def nearest_option(
    train: Sequence[Example], test: Sequence[Example], task: MultipleChoiceSpec
) -> Predictions:
    """Choose the option whose words are most like those of the input, by TF-IDF; of equal ones the first."""
    texts = [text for example in train for text in (example.text, *example.options)]
    if not any(map(counted_words, texts)):
        return [LETTERS[0]] * len(test)
    weights = _weights(1).fit(texts)
    return [
        _highest((weights.transform(example.options) @ weights.transform([example.text]).T).toarray()[:, 0])
        for example in test
    ]


def _highest(scores: Sequence[float]) -> str:
    return LETTERS[max(range(len(scores)), key=lambda place: scores[place])]


def copy(train: Sequence[Example], test: Sequence[Example], task: GenerationSpec) -> Predictions:
    """Copy the whole input, without the words of the prompt."""
    return [example.text for example in test]


def most_common(train: Sequence[Example], test: Sequence[Example], task: GenerationSpec) -> Predictions:
    """Write the most frequent training target; of equally frequent ones, the first."""
    counts = Counter(example.target for example in train)
    return [max(counts, key=counts.__getitem__)] * len(test)


def nearest(train: Sequence[Example], test: Sequence[Example], task: GenerationSpec) -> Predictions:
    """Write the target of the training row whose input is most alike, by TF-IDF; of equal ones the first."""
    if not any(counted_words(example.text) for example in train):
        return most_common(train, test, task)
    weights = _weights(1)
    known = weights.fit_transform([example.text for example in train])
    found = weights.transform([example.text for example in test])
    # a part at a time: the product has a number for each pair of rows
    parts = (found[start : start + _COMPARED] @ known.T for start in range(0, len(test), _COMPARED))
    return [train[place].target for part in parts for place in part.toarray().argmax(axis=1)]


def lead_3(train: Sequence[Example], test: Sequence[Example], task: SummarizationSpec) -> Predictions:
    """Copy the first three turns or sentences of each text."""
    return ["\n".join(parts[:3]) for parts in _parts(test, task)]


def lead_1(train: Sequence[Example], test: Sequence[Example], task: SummarizationSpec) -> Predictions:
    """Copy the first turn or sentence of each text."""
    return [parts[0] for parts in _parts(test, task)]


def longest_turn(train: Sequence[Example], test: Sequence[Example], task: SummarizationSpec) -> Predictions:
    """Copy the turn or sentence with the most words of each text (characters, in scripts without spaces).

    Of equally long ones, the first.
    """
    return [max(parts, key=lambda part: len(spaced(part))) for parts in _parts(test, task)]


def oracle(train: Sequence[Example], test: Sequence[Example], task: TextTask) -> Predictions:
    """Copy one to three turns or sentences of each text, those with the best rougeL against its reference.

    They are chosen greedily: the part that raises rougeL most is added, in the order of the text, until none
    raises it; of equal ones, the first. It sees the reference and so bounds what copying parts can reach,
    apart from the difference between a greedy and a full search.
    """
    predictions: Predictions = []
    for example, parts in zip(test, _parts(test, task), strict=True):
        chosen = greedy_choice([stems(part) for part in parts], stems(example.target))
        predictions.append("\n".join(parts[index] for index in chosen))
    return predictions


Baseline = Callable[[Sequence[Example], Sequence[Example], Any], Predictions]

BASELINES: Mapping[str, Mapping[str, Baseline]] = {
    "classification": {"majority": majority, "tfidf": tfidf},
    "multiple_choice": {
        "majority": majority,
        "options_only": options_only,
        "nearest_option": nearest_option,
    },
    "summarization": {"lead_3": lead_3, "lead_1": lead_1, "longest_turn": longest_turn, "oracle": oracle},
    "generation": {"copy": copy, "most_common": most_common, "nearest": nearest, "oracle": oracle},
}
"""The baselines by kind of task and name."""
UPPER_BOUNDS = frozenset({"oracle"})
"""Baselines that see the references."""
FITTED = frozenset({"majority", "tfidf", "options_only", "nearest_option", "most_common", "nearest"})
"""Baselines that see the training examples; the others predict the same at every train size."""


def baseline_names(task: Task, test: Sequence[Example]) -> tuple[str, ...]:
    """Return the baselines of a task: `longest_turn` is for dialogues, `lead_1` for all other texts.

    `oracle` bounds ROUGE-L, and is left out where another metric decides.
    """
    unsuitable = {"lead_1" if are_dialogues(test, task) else "longest_turn"}
    if task.main_metric != "eval_rougeL":
        unsuitable.add("oracle")
    return tuple(name for name in BASELINES[task.kind] if name not in unsuitable)


class BaselineResult(NamedTuple):
    """A baseline's record and what it predicted."""

    record: BaselineRecord
    predictions: list[Prediction]


def run_baseline(
    name: str, data: TaskData, train: Sequence[Example], *, task_name: str, train_size: TrainSize, seed: int
) -> BaselineResult:
    """Run a baseline on the test split of a task; `train` is the subset that `seed` draws."""
    started = time.perf_counter()
    predictions = BASELINES[data.spec.kind][name](train, data.test, data.spec)
    seconds = time.perf_counter() - started
    record = BaselineRecord(
        task_name=task_name,
        name=name,
        task=data.spec,
        train_size=train_size,
        seed=seed,
        scores=score(data.spec, data.test, predictions),
        seconds=seconds,
        upper_bound=name in UPPER_BOUNDS,
        digests=dict(data.digests),
        packages={package: version(package) for package in _PACKAGES},
        all_names=baseline_names(data.spec, data.test),
        scoring=baseline_scoring(data.spec),
    )
    return BaselineResult(record, baseline_predictions(data.spec, data.test, predictions))


def baseline_scoring(task: Task) -> dict[str, str]:
    """Return what else decides a baseline's scores: all count words, as most texts are compared."""
    return tokenizer_versions() | scoring(task)


def baseline_predictions(
    task: Task, examples: Sequence[Example], answers: Sequence[str | None]
) -> list[Prediction]:
    """Return what was predicted for each example, with its own scores."""
    rows = score_rows(task, examples, answers)
    return [
        Prediction(row=example.row, reference=example.reference, prediction=answer, scores=scores)
        for example, answer, scores in zip(examples, answers, rows, strict=True)
    ]


def are_dialogues(examples: Sequence[Example], task: Task) -> bool:
    """Return whether most texts have turns: more lines than the prompt has columns."""
    return 2 * sum(_has_turns(example.text, task) for example in examples) > len(examples)


def _parts(examples: Sequence[Example], task: TextTask) -> list[list[str]]:
    dialogues = are_dialogues(examples, task)
    texts = [example.text for example in examples]
    return [_lines(text) if dialogues and _has_turns(text, task) else sentences(text) for text in texts]


def _has_turns(text: str, task: Task) -> bool:
    return len(_lines(text)) > len(set(prompt_columns(task.prompt)))


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


def greedy_choice(parts: Sequence[Sequence[str]], reference: Sequence[str]) -> tuple[int, ...]:
    """Return the indices, in order, of the parts that `oracle` chooses; parts and reference are tokens."""
    rouge_l = rouge_l_against(reference)

    def value(choice: tuple[int, ...]) -> float:
        return rouge_l([*chain.from_iterable(parts[index] for index in choice)])

    chosen, best = tuple[int, ...](), -1.0
    while len(chosen) < min(ORACLE_PARTS, len(parts)):
        # every choice with one part more, in the order of the text; `max` returns the first of equal ones
        wider = [tuple(sorted((*chosen, index))) for index in range(len(parts)) if index not in chosen]
        candidate = max(wider, key=value)
        if (raised := value(candidate)) <= best:
            break
        chosen, best = candidate, raised
    return chosen


def rouge_l_against(reference: Sequence[str]) -> Callable[[Sequence[str]], float]:
    """Return a function from the tokens of a text to its rougeL F-measure against the reference."""
    places = places_in(reference)

    def rouge_l(tokens: Sequence[str]) -> float:
        return f_measure(common_length(places, len(reference), tokens), len(reference), len(tokens))

    return rouge_l
