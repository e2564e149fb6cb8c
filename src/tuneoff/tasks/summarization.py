"""ROUGE of written texts against the wanted ones: rouge-score's values, for words of any script."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any

from tuneoff.tasks.examples import Example
from tuneoff.tasks.subsequences import common_length, places_in, union_counts
from tuneoff.words import sentences, stems


def rouge_rows(examples: Sequence[Example], answers: Sequence[str | None]) -> list[dict[str, float]]:
    """The ROUGE F-measures of each answer, in 0..1, on `tuneoff.words.stems`; None counts as an empty answer.

    rougeLsum compares sentence by sentence, so both sides are split into sentences.
    """
    return [dict(_rouge(one.target, answer or "")) for one, answer in zip(examples, answers, strict=True)]


@lru_cache(maxsize=2**14)
def _rouge(target: str, answer: str) -> Mapping[str, float]:
    """Kept for a while: a run's answers are scored for its record and once more for its predictions."""
    wanted_sentences, given_sentences = ([stems(one) for one in sentences(text)] for text in (target, answer))
    wanted, given = [*chain.from_iterable(wanted_sentences)], [*chain.from_iterable(given_sentences)]
    common = common_length(places_in(wanted), len(wanted), given)
    union, given_counts = union_counts(wanted_sentences, given_sentences), Counter(given)
    return {
        "eval_rouge1": _overlap(Counter(wanted), given_counts),
        "eval_rouge2": _overlap(Counter(pairwise(wanted)), Counter(pairwise(given))),
        "eval_rougeL": f_measure(common, len(wanted), len(given)),
        "eval_rougeLsum": f_measure((union & given_counts).total(), len(wanted), len(given)),
    }


def _overlap(wanted: Counter[Any], given: Counter[Any]) -> float:
    return f_measure((wanted & given).total(), wanted.total(), given.total())


def f_measure(common: int, wanted: int, given: int) -> float:
    """The F-measure of so many common ones, to the last digit as rouge-score computes it."""
    if not common:
        return 0.0
    precision, recall = common / given, common / wanted
    return 2 * precision * recall / (precision + recall)
