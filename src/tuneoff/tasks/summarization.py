"""ROUGE of written texts against the wanted ones."""

import re
from collections.abc import Sequence

from tuneoff.tasks.examples import Example

ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


def rouge_rows(examples: Sequence[Example], answers: Sequence[str | None]) -> list[dict[str, float]]:
    """The ROUGE F-measures of each answer, in 0..1, with Porter stemming; None counts as an empty answer.

    rougeLsum compares sentence by sentence, so both sides are split into sentences.
    """
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(ROUGE, use_stemmer=True)
    rows = []
    for example, answer in zip(examples, answers, strict=True):
        # line breaks change nothing for the other three
        scores = scorer.score(_by_lines(example.target), _by_lines(answer or ""))
        rows.append({f"eval_{name}": float(scores[name].fmeasure) for name in ROUGE})
    return rows


def sentences(text: str) -> list[str]:
    """The sentences of a text: its lines, split further after `.`, `!` or `?` before a space."""
    return [sentence.strip() for sentence in _SENTENCE_END.split(text) if sentence.strip()]


def _by_lines(text: str) -> str:
    return "\n".join(sentences(text))
