"""Texts that are nearly equal: inputs of several rows, and predictions copied from the input."""

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

from tuneoff.spec import SplitName
from tuneoff.tasks.examples import Example

COPIED_RUN = 20
"""Characters in a row that must occur in the input to count as copied: three or four words."""
COPIED_SHARE = 0.9
"""Share of copied characters at or above which a prediction is a copy: a word may differ."""
_PUNCTUATION = ".,;:!?\"'()[]"
_OTHER_PUNCTUATION = dict.fromkeys(map(ord, "\u2018\u2019“”„«»。、「」"))
"""Marks that Unicode's compatibility normalization does not map to the ones above."""


class SimilarInputs(NamedTuple):
    """Rows of a split whose input equals that of another row up to case, spaces and punctuation."""

    near_overlap: int
    """Equal in this way to one of train, but to none exactly (0 for train itself)."""
    repeated_inputs: int
    """Equal to an earlier one of the same split."""
    validation_overlap: int
    """For test: equal to one of validation."""


def similar_inputs(
    examples: Mapping[SplitName, Sequence[Example]], seen: Collection[str]
) -> dict[SplitName, SimilarInputs]:
    """Count similar inputs of each split; `seen` are the inputs (`Example.source`) of train."""
    keys = {split: [_key(example.text) for example in rows] for split, rows in examples.items()}
    train, validation = set(keys["train"]), set(keys["validation"])
    counts: dict[SplitName, SimilarInputs] = {}
    for split, rows in examples.items():
        pairs = zip(keys[split], rows, strict=True)
        near = sum(key in train and example.source not in seen for key, example in pairs)
        counts[split] = SimilarInputs(
            near_overlap=0 if split == "train" else near,
            repeated_inputs=len(rows) - len(set(keys[split])),
            validation_overlap=sum(key in validation for key in keys[split]) if split == "test" else 0,
        )
    return counts


def copied(example: Example, prediction: str | None) -> bool:
    """Return whether a prediction is copied from the example's text, and the reference is not.

    Case and spaces are ignored. A prediction of fewer than `COPIED_RUN` characters is no copy.
    """
    text = _folded(example.text)
    return _is_copied(text, prediction or "") and not _is_copied(text, example.target)


def _is_copied(text: str, prediction: str) -> bool:
    prediction = _folded(prediction)
    # a window of COPIED_RUN characters moves over the prediction: covered is what the text contains of it
    covered = [False] * len(prediction)
    for start in range(len(prediction) - COPIED_RUN + 1):
        if prediction[start : start + COPIED_RUN] in text:
            covered[start : start + COPIED_RUN] = [True] * COPIED_RUN
    return len(prediction) >= COPIED_RUN and sum(covered) >= COPIED_SHARE * len(prediction)


def _key(text: str) -> bytes:
    """Return a digest that is equal for texts that differ in case, spaces and punctuation only."""
    folded = _composed(text).casefold()
    plain = folded if folded.isascii() else folded.translate(_OTHER_PUNCTUATION)
    # bytes are ten times as fast as str; in UTF-8 no byte of another character looks like ASCII
    words = b" ".join(plain.encode().translate(None, _PUNCTUATION.encode()).split())
    # a text of punctuation alone is equal to itself only
    return blake2b(words or text.encode(), digest_size=16).digest()


def _folded(text: str) -> str:
    return " ".join(_composed(text).casefold().split())


def _composed(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFKC", text)
