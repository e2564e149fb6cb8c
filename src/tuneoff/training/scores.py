"""A run's scores and rows of predictions, from a model's answers."""

from collections.abc import Sequence

from tuneoff.results.predictions import Prediction
from tuneoff.spec import Task
from tuneoff.tasks import Example, copied, score, score_rows
from tuneoff.training.batches import Encoded
from tuneoff.training.decode import Answer


def scores_of(
    task: Task, examples: Sequence[Example], encoded: Sequence[Encoded], answers: Sequence[Answer]
) -> dict[str, float]:
    """Compute the task's metrics, and `eval_loss`: nats per target token over the whole split."""
    tokens = sum(len(row.labels) for row in encoded)
    loss = sum(answer.loss for answer in answers) / tokens
    return {"eval_loss": loss} | score(task, examples, [answer.prediction for answer in answers])


def predictions_of(
    task: Task, examples: Sequence[Example], encoded: Sequence[Encoded], answers: Sequence[Answer]
) -> list[Prediction]:
    """Return the prediction for each example, with its loss and its own scores."""
    rows = score_rows(task, examples, [answer.prediction for answer in answers])
    return [
        Prediction(
            row=example.row,
            reference=example.reference,
            prediction=answer.prediction,
            text=answer.text,
            loss=answer.loss / len(tokens.labels),
            cut=answer.cut,
            copied=copied(example, answer.text) if task.answer == "text" else None,
            log_likelihoods=answer.log_likelihoods,
            scores=scores,
        )
        for example, tokens, answer, scores in zip(examples, encoded, answers, rows, strict=True)
    ]
