"""Labels: from rows, from generated text, and the scores of chosen ones."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache

from tuneoff.errors import DataError, shown
from tuneoff.spec import ClassificationSpec
from tuneoff.tasks.examples import Example
from tuneoff.tasks.table import Row

_INVALID = -1


def check_label_values(spec: ClassificationSpec) -> None:
    """Refuse a label that no row can have, since rows with an empty target are left out.

    Raises:
        DataError: a label's value is empty.
    """
    if not all(value.strip() for value in spec.labels):
        raise DataError(
            f"a label's value must not be empty, as rows without an answer are left out, but got "
            f"{shown(list(spec.labels))}; write a word into the data where the answer is missing"
        )


def label_of(spec: ClassificationSpec, row: Row) -> str:
    """The value of a row's label: the one of the spec that is written as in the row, else spelled alike.

    Spelled alike are the same decimal number (1, 1.0, 1e0, but not 01) and the same truth value (true, True,
    TRUE). What two values of the spec are spelled alike with is neither.

    Raises:
        DataError: the value is not one of the spec's labels.
    """
    cell = row.cells[spec.target]
    for value in (cell, cell.strip()):
        if value in spec.labels:
            return value
    known = _by_spelling(tuple(spec.labels)).get(spelling(cell), [])
    if len(known) == 1:
        return known[0]
    raise DataError(
        f"a label must be one of {shown(list(spec.labels))}, but column '{spec.target}' holds {shown(value)} "
        f"at {row.place}; add it to labels or correct the row"
    )


_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][-+]?[0-9]{1,3})?")


def spelling(value: str) -> str | Decimal:
    """What all spellings of a value have in common."""
    text = value.strip()
    if _NUMBER.fullmatch(text):
        return Decimal(text)
    return text.lower() if text.lower() in ("true", "false") else text


@lru_cache
def _by_spelling(values: tuple[str, ...]) -> Mapping[str | Decimal, list[str]]:
    found = defaultdict[str | Decimal, list[str]](list)
    for value in values:
        found[spelling(value)].append(value)
    return dict(found)


def match_label(text: str, *labels: Mapping[str, str]) -> str | None:
    """The value of the label that a generated text names, or None.

    Case, surrounding space and then final full stops and exclamation marks do not count. Several mappings
    from values to texts are ways to write the same labels, the surest first.
    """
    for plain in (_folded, _without_stop):
        for texts in labels:
            for value, label in texts.items():
                if plain(text) == plain(label):
                    return value
    return None


def _folded(text: str) -> str:
    return text.strip().casefold()


def _without_stop(text: str) -> str:
    return _folded(text).rstrip(".! ")


def classification_scores(
    spec: ClassificationSpec, examples: Sequence[Example], answers: Sequence[str | None]
) -> dict[str, float]:
    """Accuracy, macro-F1 and, with two labels, the F1 of the positive one; None is a wrong answer.

    Macro-F1 is the mean over the labels that occur among the rows or the answers, as in scikit-learn. Where
    answers are generated freely, also the share of None.
    """
    from sklearn.metrics import accuracy_score, f1_score

    codes = {value: code for code, value in enumerate(spec.labels)}
    truth = [codes[_label(example)] for example in examples]
    answered = [_INVALID if answer is None else codes[answer] for answer in answers]

    def f1(labels: list[int]) -> float:
        return float(f1_score(truth, answered, labels=labels, average="macro", zero_division=0))

    occurring = sorted({*truth, *answered} - {_INVALID})
    scores = {"eval_accuracy": float(accuracy_score(truth, answered)), "eval_f1_macro": f1(occurring)}
    if len(codes) == 2:
        scores["eval_f1"] = f1([codes[spec.positive or list(codes)[-1]]])
    if spec.scoring == "generate":
        scores["eval_invalid"] = answered.count(_INVALID) / len(answered)
    return scores


def classification_rows(examples: Sequence[Example], answers: Sequence[str | None]) -> list[dict[str, float]]:
    """Whether each answer is right, as 0 or 1."""
    pairs = zip(examples, answers, strict=True)
    return [{"correct": float(answer == _label(example))} for example, answer in pairs]


def _label(example: Example) -> str:
    if example.label is None:
        raise ValueError(f"an example of a classification must have a label, but row {example.row} has none")
    return example.label
