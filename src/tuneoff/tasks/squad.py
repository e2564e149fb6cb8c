"""Exact match and F1 of short answers, as in SQuAD's evaluation (Rajpurkar et al. 2016), in any script."""

import string
import unicodedata
from collections import Counter
from collections.abc import Sequence

from tuneoff.tasks.examples import Example
from tuneoff.tasks.rouge import f_measure
from tuneoff.words import spaced

_ARTICLES = frozenset({"a", "an", "the"})


def exact_match_rows(
    examples: Sequence[Example], predictions: Sequence[str | None]
) -> list[dict[str, float]]:
    """Return whether each prediction has the words of one of its references, as 0 or 1; None is empty."""
    return [
        {"eval_exact_match": max(float(words == answer_words(one)) for one in example.references)}
        for example, words in _answered(examples, predictions)
    ]


def token_f1_rows(examples: Sequence[Example], predictions: Sequence[str | None]) -> list[dict[str, float]]:
    """Return the F-measure of the words that each prediction shares with a reference, the best of them."""
    return [
        {"eval_token_f1": max(_f1(answer_words(one), words) for one in example.references)}
        for example, words in _answered(examples, predictions)
    ]


def _answered(
    examples: Sequence[Example], predictions: Sequence[str | None]
) -> list[tuple[Example, list[str]]]:
    pairs = zip(examples, predictions, strict=True)
    return [(example, answer_words(prediction or "")) for example, prediction in pairs]


def _f1(reference: list[str], predicted: list[str]) -> float:
    # two texts without words are equal
    if not reference or not predicted:
        return float(reference == predicted)
    return f_measure((Counter(reference) & Counter(predicted)).total(), len(reference), len(predicted))


def answer_words(text: str) -> list[str]:
    """Return the words of an answer in lower case, without punctuation and English articles.

    Of ASCII text they are those of SQuAD's evaluation. In other text punctuation is what Unicode calls so,
    equal spellings are equal, and scripts without spaces are split into characters.
    """
    if text.isascii():
        plain = text.lower().translate(_PUNCTUATION)
    else:
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        plain = "".join(
            letter
            for letter in folded
            if letter not in string.punctuation and unicodedata.category(letter)[0] != "P"
        )
    return [word for word in spaced(plain) if word not in _ARTICLES]


_PUNCTUATION = str.maketrans("", "", string.punctuation)
