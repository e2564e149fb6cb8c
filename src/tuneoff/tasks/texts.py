"""Scores of predicted texts: of each row, and over a split."""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from types import MappingProxyType

from tuneoff.spec import TextTask
from tuneoff.spec.tasks import TextMetric
from tuneoff.tasks.bleu import bleu, chrf, corpus_score, row_scores, signature
from tuneoff.tasks.examples import Example
from tuneoff.tasks.rouge import rouge_rows
from tuneoff.tasks.squad import exact_match_rows, token_f1_rows

RowScores = list[dict[str, float]]
"""The scores of each row."""


def _bleu_rows(task: TextTask, examples: Sequence[Example], predictions: Sequence[str | None]) -> RowScores:
    scores = row_scores(bleu(task.bleu_tokenizer, of_rows=True), examples, predictions)
    return [{"eval_sentence_bleu": score} for score in scores]


def _chrf_rows(task: TextTask, examples: Sequence[Example], predictions: Sequence[str | None]) -> RowScores:
    return [{"eval_sentence_chrf": score} for score in row_scores(chrf(), examples, predictions)]


_ROWS: Mapping[TextMetric, Callable[[TextTask, Sequence[Example], Sequence[str | None]], RowScores]] = (
    MappingProxyType(
        {
            "rouge": lambda task, examples, predictions: rouge_rows(examples, predictions),
            "bleu": _bleu_rows,
            "chrf": _chrf_rows,
            "exact_match": lambda task, examples, predictions: exact_match_rows(examples, predictions),
            "token_f1": lambda task, examples, predictions: token_f1_rows(examples, predictions),
        }
    )
)


def text_rows(task: TextTask, examples: Sequence[Example], predictions: Sequence[str | None]) -> RowScores:
    """Compute the scores of each row, by all metrics of the task."""
    rows: RowScores = [{} for _ in examples]
    for metric in task.metrics:
        for row, scores in zip(rows, _ROWS[metric](task, examples, predictions), strict=True):
            row |= scores
    return rows


def text_scores(
    task: TextTask, examples: Sequence[Example], predictions: Sequence[str | None]
) -> dict[str, float]:
    """Compute the means of the rows' scores, and BLEU and chrF of the whole split."""
    rows = text_rows(task, examples, predictions)
    scores = {name: fmean(row[name] for row in rows) for name in rows[0]}
    if "bleu" in task.metrics:
        scores["eval_bleu"] = corpus_score(bleu(task.bleu_tokenizer), examples, predictions)
    if "chrf" in task.metrics:
        scores["eval_chrf"] = corpus_score(chrf(), examples, predictions)
    return scores


def signatures(task: TextTask) -> dict[str, str]:
    """Return sacrebleu's signatures of the metrics of a task that it computes."""
    found = {}
    if "bleu" in task.metrics:
        found["bleu"] = signature(bleu(task.bleu_tokenizer))
    if "chrf" in task.metrics:
        found["chrf"] = signature(chrf())
    return found
