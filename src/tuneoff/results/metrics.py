"""Names of metrics for readers: records and files say `eval_rougeL`, whatever people read says `ROUGE-L`."""

_NAMES = {
    "eval_accuracy": "accuracy",
    "eval_bleu": "corpus BLEU",
    "eval_chrf": "corpus chrF",
    "eval_exact_match": "exact match",
    "eval_f1": "F1",
    "eval_f1_macro": "macro F1",
    "eval_invalid": "invalid answers",
    "eval_loss": "loss",
    "eval_mixture": "mean over the mixture",
    "eval_mcc": "Matthews correlation",
    "eval_rouge1": "ROUGE-1",
    "eval_rouge2": "ROUGE-2",
    "eval_rougeL": "ROUGE-L",
    "eval_rougeLsum": "ROUGE-Lsum",
    "eval_runtime": "test seconds",
    "eval_samples_per_second": "answers per second",
    "eval_sentence_bleu": "sentence BLEU",
    "eval_sentence_chrf": "sentence chrF",
    "eval_steps_per_second": "batches per second",
    "eval_token_f1": "token F1",
}
_UNITS = {"eval_loss": "nats per token", "eval_mcc": "-1 to 1"}
LOWER_IS_BETTER = ("eval_loss", "eval_invalid")
"""Scores of which less is better; of all others more is."""
RIGHT_OR_WRONG = frozenset({"eval_accuracy", "eval_exact_match"})
"""Metrics that are shares of right answers: each row has 0 or 1."""


def metric_name(field: str) -> str:
    """Return the name of a record's score or speed, given its field; other names are returned as they are.

    `task/eval_loss`, of another task of a mixture, is its `loss on task`.
    """
    task, _, field = field.rpartition("/")
    name = _NAMES.get(field, field.removeprefix("eval_"))
    return f"{name} on {task}" if task else name


def metric_title(field: str) -> str:
    """Return the name of a score with its unit, as axes have it."""
    return f"{metric_name(field)} ({_UNITS.get(field, 'fraction')})"
