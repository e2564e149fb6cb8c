"""Labels: from rows, from generated text, and the scores of chosen ones."""

from collections.abc import Mapping, Sequence

from tuneoff.errors import DataError
from tuneoff.spec import ClassificationSpec
from tuneoff.tasks.examples import Example
from tuneoff.tasks.table import Row

_INVALID = -1


def label_of(spec: ClassificationSpec, row: Row) -> str:
    """The value of a row's label.

    Raises:
        DataError: the value is not one of the spec's labels.
    """
    value = row.cells[spec.target].strip()
    if value not in spec.labels:
        raise DataError(
            f"a label must be one of {list(spec.labels)}, but column '{spec.target}' holds '{value}' at "
            f"{row.place}; add it to labels or correct the row"
        )
    return value


def match_label(text: str, labels: Mapping[str, str]) -> str | None:
    """The value of the label that a generated text names, or None.

    Case, surrounding space and then final full stops and exclamation marks do not count.
    """
    for plain in (_folded, _without_stop):
        for value, label in labels.items():
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

    Where answers are generated freely, also the share of None.
    """
    from sklearn.metrics import accuracy_score, f1_score

    codes = {value: code for code, value in enumerate(spec.labels)}
    truth = [codes[_label(example)] for example in examples]
    answered = [_INVALID if answer is None else codes[answer] for answer in answers]

    def f1(labels: list[int]) -> float:
        return float(f1_score(truth, answered, labels=labels, average="macro", zero_division=0))

    scores = {"eval_accuracy": float(accuracy_score(truth, answered)), "eval_f1_macro": f1([*codes.values()])}
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
