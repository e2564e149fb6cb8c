"""ROUGE of written texts against the wanted ones."""

import re
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

from tuneoff.tasks.examples import Example

ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


def rouge_rows(examples: Sequence[Example], answers: Sequence[str | None]) -> list[dict[str, float]]:
    """The ROUGE F-measures of each answer, in 0..1, with Porter stemming; None counts as an empty answer.

    rougeLsum compares sentence by sentence, so both sides are split into sentences.
    """
    return [dict(_rouge(one.target, answer or "")) for one, answer in zip(examples, answers, strict=True)]


@lru_cache(maxsize=2**14)
def _rouge(target: str, answer: str) -> Mapping[str, float]:
    """Kept for a while: a run's answers are scored for its record and once more for its predictions."""
    # line breaks change nothing for the other three
    scores = _scorer().score(_by_lines(target), _by_lines(answer))
    return {f"eval_{name}": float(scores[name].fmeasure) for name in ROUGE}


@cache
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(ROUGE, use_stemmer=True)


def sentences(text: str) -> list[str]:
    """The sentences of a text: its lines, split further after `.`, `!` or `?` before a space."""
    return [sentence.strip() for sentence in _SENTENCE_END.split(text) if sentence.strip()]


def _by_lines(text: str) -> str:
    return "\n".join(sentences(text))
