"""Names of metrics for readers: records and files say `eval_rougeL`, whatever people read says `ROUGE-L`."""

_NAMES = {
    "eval_accuracy": "accuracy",
    "eval_f1": "F1",
    "eval_f1_macro": "macro F1",
    "eval_invalid": "invalid answers",
    "eval_loss": "loss",
    "eval_rouge1": "ROUGE-1",
    "eval_rouge2": "ROUGE-2",
    "eval_rougeL": "ROUGE-L",
    "eval_rougeLsum": "ROUGE-Lsum",
    "eval_runtime": "test seconds",
    "eval_samples_per_second": "answers per second",
    "eval_steps_per_second": "batches per second",
}
_UNITS = {"eval_loss": "nats per token"}


def metric_name(field: str) -> str:
    """Return the name of a record's score or speed, given its field; other names are returned as they are."""
    return _NAMES.get(field, field.removeprefix("eval_"))


def metric_title(field: str) -> str:
    """Return the name of a score with its unit, as axes have it."""
    return f"{metric_name(field)} ({_UNITS.get(field, 'fraction')})"
