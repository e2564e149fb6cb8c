"""Texts that are nearly the same: inputs of several rows, and answers that are taken from the input."""

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

from tuneoff.spec import SplitName
from tuneoff.tasks.examples import Example

COPIED_RUN = 20
"""Characters that must stand in the input in one piece to count as copied: three or four words."""
COPIED_SHARE = 0.9
"""Share of an answer in such pieces from which on it is a copy: a word may differ."""
_PUNCTUATION = ".,;:!?\"'()[]"
_OTHER_PUNCTUATION = dict.fromkeys(map(ord, "\u2018\u2019“”„«»。、「」"))
"""What Unicode's compatibility normalization does not turn into the above."""


class SimilarInputs(NamedTuple):
    """How many rows of a split have an input that is another row's but for case, spaces and punctuation."""

    near_overlap: int
    """As one in train has, where none of train is equal (0 for train itself)."""
    repeated_inputs: int
    """As an earlier one of the same split."""
    validation_overlap: int
    """For test: as one in validation."""


def similar_inputs(
    examples: Mapping[SplitName, Sequence[Example]], seen: Collection[str]
) -> dict[SplitName, SimilarInputs]:
    """The counts of each split; `seen` are the inputs (`Example.source`) of train."""
    keys = {split: [_key(example.text) for example in rows] for split, rows in examples.items()}
    train, validation = set(keys["train"]), set(keys["validation"])
    return {
        split: SimilarInputs(
            near_overlap=sum(
                split != "train" and key in train and example.source not in seen
                for key, example in zip(keys[split], rows, strict=True)
            ),
            repeated_inputs=len(rows) - len(set(keys[split])),
            validation_overlap=sum(key in validation for key in keys[split]) if split == "test" else 0,
        )
        for split, rows in examples.items()
    }


def copied(example: Example, answer: str | None) -> bool:
    """Whether an answer is taken from the example's text, and the reference is not.

    Case and spaces do not count. An answer of fewer than `COPIED_RUN` characters is none.
    """
    text = _folded(example.text)
    return _taken_from(text, answer or "") and not _taken_from(text, example.target)


def _taken_from(text: str, answer: str) -> bool:
    answer = _folded(answer)
    covered = [False] * len(answer)
    for start in range(len(answer) - COPIED_RUN + 1):
        if answer[start : start + COPIED_RUN] in text:
            covered[start : start + COPIED_RUN] = [True] * COPIED_RUN
    return len(answer) >= COPIED_RUN and sum(covered) >= COPIED_SHARE * len(answer)


def _key(text: str) -> bytes:
    """A digest that texts share if they differ in case, spaces and punctuation only."""
    folded = _composed(text).casefold()
    plain = folded if folded.isascii() else folded.translate(_OTHER_PUNCTUATION)
    # on bytes, since it is ten times as fast; UTF-8 has no ASCII byte within another character
    words = b" ".join(plain.encode().translate(None, _PUNCTUATION.encode()).split())
    return blake2b(words or text.encode(), digest_size=16).digest()


def _folded(text: str) -> str:
    return " ".join(_composed(text).casefold().split())


def _composed(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFKC", text)
