"""BLEU and chrF by sacrebleu: of each row, and of a whole split.

A split's BLEU (and chrF) counts the pieces of all texts together, so it is no mean over rows: no interval
and no paired test can be made of it. What is compared is therefore the mean of the rows' own values,
`sentence BLEU`; the split's value stands beside it, as papers report it. All are fractions, where sacrebleu
has percent.
"""

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from tuneoff.tasks.examples import Example

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric


def bleu(tokenizer: str, *, of_rows: bool = False) -> "Metric":
    """Return sacrebleu's BLEU; of single rows without the n-grams that a short text cannot have."""
    from sacrebleu.metrics.bleu import BLEU

    # force: no messages about texts that look tokenized
    return BLEU(tokenize=tokenizer, effective_order=of_rows, force=True)


def chrf() -> "Metric":
    """Return sacrebleu's chrF2."""
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()


def row_scores(
    metric: "Metric", examples: Sequence[Example], predictions: Sequence[str | None]
) -> list[float]:
    """Return the score of each prediction against its references, in 0..1; None counts as empty."""
    pairs = zip(examples, predictions, strict=True)
    scores = (metric.sentence_score(text or "", example.references).score for example, text in pairs)
    return [min(score / 100, 1.0) for score in scores]  # rounding takes it beyond 1


def corpus_score(metric: "Metric", examples: Sequence[Example], predictions: Sequence[str | None]) -> float:
    """Return the score of all predictions together, in 0..1; None counts as empty."""
    # sacrebleu takes the first references of all rows, then the second ones, with None where a row has fewer
    references = list(zip_longest(*(example.references for example in examples)))
    return min(metric.corpus_score([text or "" for text in predictions], references).score / 100, 1.0)


def signature(metric: "Metric") -> str:
    """Return what decides a score, as sacrebleu writes it: tokenizer, smoothing and its own version."""
    metric.corpus_score(["a"], [["a"]])  # it tells only after use
    # the number of references, which comes first, is the data's and not the metric's
    return str(metric.get_signature()).partition("|")[2]
