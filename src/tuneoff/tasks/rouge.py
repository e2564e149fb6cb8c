"""ROUGE of predicted texts against references: rouge-score's values, for words of any script."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any

from tuneoff.tasks.examples import Example
from tuneoff.tasks.subsequences import common_length, places_in, union_counts
from tuneoff.words import sentences, stems


def rouge_rows(examples: Sequence[Example], predictions: Sequence[str | None]) -> list[dict[str, float]]:
    """Compute the ROUGE F-measures of each prediction, in 0..1, on `words.stems`; None counts as empty.

    rougeLsum compares sentence by sentence, so both sides are split into sentences. Of several references,
    each measure is that of the reference for which it is highest.
    """
    return [
        _best([_rouge(reference, prediction or "") for reference in one.references])
        for one, prediction in zip(examples, predictions, strict=True)
    ]


def _best(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: max(one[name] for one in scores) for name in scores[0]}


# cached, since a run's predictions are scored twice: for its record, and row by row for its predictions
@lru_cache(maxsize=2**14)
def _rouge(target: str, prediction: str) -> Mapping[str, float]:
    target_sentences = [stems(sentence) for sentence in sentences(target)]
    predicted_sentences = [stems(sentence) for sentence in sentences(prediction)]
    reference = [*chain.from_iterable(target_sentences)]
    predicted = [*chain.from_iterable(predicted_sentences)]
    common = common_length(places_in(reference), len(reference), predicted)
    union, predicted_counts = union_counts(target_sentences, predicted_sentences), Counter(predicted)
    return {
        "eval_rouge1": _overlap(Counter(reference), predicted_counts),
        "eval_rouge2": _overlap(Counter(pairwise(reference)), Counter(pairwise(predicted))),
        "eval_rougeL": f_measure(common, len(reference), len(predicted)),
        "eval_rougeLsum": f_measure((union & predicted_counts).total(), len(reference), len(predicted)),
    }


def _overlap(reference: Counter[Any], predicted: Counter[Any]) -> float:
    return f_measure((reference & predicted).total(), reference.total(), predicted.total())


def f_measure(common: int, reference: int, predicted: int) -> float:
    """Compute the F-measure of counts, to the last digit as rouge-score does."""
    if not common:
        return 0.0
    precision, recall = common / predicted, common / reference
    return 2 * precision * recall / (precision + recall)
