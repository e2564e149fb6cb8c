"""Labels: of rows, in generated text, and the scores of predicted ones."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from statistics import fmean

from tuneoff.errors import DataError, shown
from tuneoff.spec import ClassificationSpec
from tuneoff.tasks.examples import Example
from tuneoff.tasks.table import Row

_INVALID = -1
"""The code of a prediction that is no label."""


def check_label_values(spec: ClassificationSpec) -> None:
    """Refuse a label with an empty value, which no row can have: rows with an empty target are dropped.

    Raises:
        DataError: a label's value is empty.
    """
    if not all(value.strip() for value in spec.labels):
        raise DataError(
            f"a label's value must not be empty, but labels are {shown(list(spec.labels))}; rows without a "
            "target are dropped, so write a word into the data where the target is missing"
        )


def label_of(spec: ClassificationSpec, row: Row) -> str:
    """Return the label of a row: the value in the spec that equals the cell, or else is spelled alike.

    Spelled alike are the same decimal number (1, 1.0, 1e0, but not 01) and the same truth value (true, True,
    TRUE). A cell that is spelled alike with two values of the spec is neither of them.

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
        f"{row.place}: column '{spec.target}' holds {shown(value)}, which is none of the labels "
        f"{shown(list(spec.labels))}; add it to labels or correct the row"
    )


_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][-+]?[0-9]{1,3})?")


def spelling(value: str) -> str | Decimal:
    """Return a value that is equal for all spellings of a cell."""
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
    """Return the label whose text was generated, or None.

    Case and surrounding space are ignored; if no label matches then, so are final full stops and exclamation
    marks. Each mapping from values to texts is a way to write the labels; earlier ones take precedence.
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
    spec: ClassificationSpec, examples: Sequence[Example], predictions: Sequence[str | None]
) -> dict[str, float]:
    """Compute accuracy, macro-F1 and, with two labels, the F1 of the positive one; None counts as wrong.

    Macro-F1 is the mean over the labels that occur among references or predictions, as in scikit-learn. With
    `scoring: generate`, also the share of None; with `matthews`, the correlation of labels and predictions
    (-1..1, and 0 where either has one value only).
    """
    codes = {value: code for code, value in enumerate(spec.labels)}
    truth = [codes[_label(example)] for example in examples]
    predicted = [_INVALID if prediction is None else codes[prediction] for prediction in predictions]
    right = Counter(true for true, given in zip(truth, predicted, strict=True) if true == given)
    occurring = Counter(truth) + Counter(predicted)
    # of a label: true positives, twice, over those and false positives and negatives
    f1 = {code: 2 * right[code] / times for code, times in occurring.items() if code != _INVALID}
    scores = {"eval_accuracy": right.total() / len(truth), "eval_f1_macro": fmean(f1.values())}
    if len(codes) == 2:
        scores["eval_f1"] = f1.get(codes[spec.positive or list(codes)[-1]], 0.0)
    if spec.matthews:
        from sklearn.metrics import matthews_corrcoef

        scores["eval_mcc"] = float(matthews_corrcoef(truth, predicted))
    if spec.scoring == "generate":
        scores["eval_invalid"] = predicted.count(_INVALID) / len(predicted)
    return scores


def accuracy(examples: Sequence[Example], predictions: Sequence[str | None]) -> float:
    """Return the share of right predictions."""
    return fmean(row["correct"] for row in correct_rows(examples, predictions))


def correct_rows(examples: Sequence[Example], predictions: Sequence[str | None]) -> list[dict[str, float]]:
    """Return whether each predicted label or option is right, as 0 or 1."""
    pairs = zip(examples, predictions, strict=True)
    return [{"correct": float(prediction == _label(example))} for example, prediction in pairs]


def _label(example: Example) -> str:
    if example.label is None:
        raise ValueError(f"an example with a right answer must name it, but row {example.row} has none")
    return example.label
