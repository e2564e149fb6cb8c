"""Learning whose truth is known: curves on 300 validation rows, and thousands of rows to judge them by."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from helpers.health_evidence import LABELS, TEXTS, a_record, judged
from tuneoff.results import CurvePoint
from tuneoff.stats.health import RunEvidence

VALIDATION, TEST, ROWS = 300, 1000, 4300
Values = NDArray[np.float64]


class Learned(NamedTuple):
    """A training run: E evaluations of 4,300 rows that it has not seen."""

    times: Values
    """[E], from 0 to 1."""
    scores: Values
    """[E, rows]"""
    losses: Values
    """[E, rows]"""
    training_losses: Values
    """[E - 1]"""
    metric: str

    @property
    def late_gain(self) -> float:
        """What the last quarter of the steps has truly added to the best score before it."""
        true = self.scores[:, VALIDATION:].mean(axis=1)
        before = self.times <= max(0.75, self.times[1]) + 1e-9
        return float(true[-1] - true[before].max())

    @property
    def risen(self) -> float:
        """By what share the true loss ends above its minimum."""
        true = self.losses[:, VALIDATION:].mean(axis=1)
        return float(true[-1] / true.min() - 1)

    @property
    def evidence(self) -> RunEvidence:
        """What a run with this curve leaves: validation on the first rows, test on the next."""
        steps = np.rint(1000 * self.times).astype(int).tolist()
        seen = slice(0, VALIDATION)
        evaluated = [
            CurvePoint(step=step, scores={"eval_loss": float(loss.mean()), self.metric: float(score.mean())})
            for step, loss, score in zip(steps, self.losses[:, seen], self.scores[:, seen], strict=True)
        ]
        logged = [
            CurvePoint(step=step, loss=float(loss))
            for step, loss in zip(steps[1:], self.training_losses, strict=True)
        ]
        best = 1 + int(self.scores[1:, seen].mean(axis=1).argmax())
        labels = self.metric == "eval_accuracy"
        test = slice(VALIDATION, VALIDATION + TEST)
        predictions = pd.DataFrame(
            {
                "row": range(TEST),
                "reference": [str(row % 2 if labels else row) for row in range(TEST)],
                "prediction": [str(row % 2 if labels else row) for row in range(TEST)],
                "text": None,
                "loss": self.losses[best, test],
                "correct" if labels else self.metric: self.scores[best, test],
            }
        )
        record = a_record(LABELS if labels else TEXTS, best_step=steps[best])
        return judged(record, evaluated + logged, predictions)


def classifier(seed: int) -> Learned:
    """Logistic regression by gradient descent on batches of 16, of any length, rate and train size.

    The labels are drawn with the probabilities of a logistic model of 50 features.
    """
    rng = np.random.default_rng(seed)
    evaluations, steps = int(rng.choice([3, 4, 5, 10])), int(rng.choice([120, 240, 480]))
    rows, rate = int(rng.choice([100, 300, 1000, 3000])), float(10 ** rng.uniform(-1.5, 0.3))
    true = rng.normal(0, 2 / np.sqrt(50), 50)
    features, labels = _drawn(rng, true, rows)
    held_out, answers = _drawn(rng, true, ROWS)
    weights = rng.normal(0, 0.3 / np.sqrt(50), 50)
    curve = [_scored(held_out @ weights, answers)]
    training = []
    for step in range(1, steps + 1):
        batch = rng.integers(0, rows, 16)
        errors = 1 / (1 + np.exp(-features[batch] @ weights)) - labels[batch]
        weights = weights - rate * (1 - (step - 1) / steps) * features[batch].T @ errors / 16
        if step % (steps // evaluations) == 0:
            curve.append(_scored(held_out @ weights, answers))
            training.append(_scored(features @ weights, labels)[1].mean())
    scores, losses = (np.array(values) for values in zip(*curve, strict=True))
    return Learned(_times(evaluations), scores, losses, np.array(training), "eval_accuracy")


def writer(seed: int) -> Learned:
    """Scores like ROUGE and losses like a text's, saturating, by formula.

    Rows differ (deviation .15), a row's score varies from evaluation to evaluation (.10), and the model
    as a whole wavers (.006); the time constant is 4 to 30% of the run.
    """
    rng = np.random.default_rng(seed)
    evaluations = int(rng.choice([3, 4, 5, 10]))
    times = _times(evaluations)
    learned = 1 - np.exp(-times / rng.uniform(0.04, 0.3))
    start, end = rng.uniform(0.15, 0.35), rng.uniform(0.38, 0.6)
    wavering = rng.normal(0, 0.006, len(times))
    own = rng.normal(0, 0.15, ROWS) + rng.normal(0, 0.1, (len(times), ROWS))
    scores = np.clip((start + (end - start) * learned + wavering)[:, None] + own, 0, 1)
    high, low = rng.uniform(2, 4), rng.uniform(1.2, 1.8)
    mean = high + (low - high) * learned + rng.normal(0, 0.02, len(times))
    losses = mean[:, None] * np.exp(rng.normal(0, 0.25, ROWS) + rng.normal(0, 0.1, (len(times), ROWS)))
    return Learned(times, scores, losses, mean[1:], "eval_rougeL")


def _times(evaluations: int) -> Values:
    return np.arange(evaluations + 1) / evaluations


def _drawn(rng: np.random.Generator, true: Values, rows: int) -> tuple[Values, Values]:
    features = rng.normal(0, 1, (rows, len(true)))
    return features, (rng.random(rows) < 1 / (1 + np.exp(-features @ true))).astype(float)


def _scored(logits: Values, labels: Values) -> tuple[Values, Values]:
    """Whether each row is right, and its loss in nats."""
    signs = 2 * labels - 1
    return (logits * signs > 0).astype(float), np.logaddexp(0, -logits * signs)


class Finished(NamedTuple):
    """A trained classifier of a known quality, by formula: what it leaves after seven evaluations."""

    rows: int
    """Of test; validation has 300."""
    most_common: float
    """Share of the most common of two labels."""
    accuracy: float

    def evidence(self, seed: int) -> RunEvidence:
        """A run whose errors fall equally on both labels, so that answers are as frequent as labels.

        The curve saturates; a third of its rows waver between evaluations.
        """
        rng = np.random.default_rng(seed)
        test, test_right = self._answered(rng, self.rows)
        shares = 1 - np.exp(-np.arange(7) / 1.2)
        hard = rng.random(VALIDATION)
        start, curve = max(0.5, self.most_common - 0.05), []
        for step, share in enumerate(shares):
            wavering = hard + rng.normal(0, 0.04, VALIDATION)
            accuracy = float((wavering < start + (self.accuracy - start) * share).mean())
            loss = 0.7 - 0.35 * share + rng.normal(0, 0.01)
            curve.append(CurvePoint(step=100 * step, scores={"eval_loss": loss, "eval_accuracy": accuracy}))
            curve.append(CurvePoint(step=100 * step + 50, loss=loss + rng.normal(0, 0.05)))
        best = max(curve[2::2], key=lambda point: point.scores["eval_accuracy"])
        predictions = pd.DataFrame(
            {
                "row": range(self.rows),
                "reference": test.astype(str),
                "prediction": np.where(test_right, test, 1 - test).astype(str),
                "text": None,
                "loss": np.where(test_right, 0.2, 1.2) * rng.uniform(0.5, 1.5, self.rows),
                "correct": test_right.astype(float),
            }
        )
        record = a_record(
            splits={"test": {"read": self.rows, "used": self.rows}},
            validation=dict(best.scores),
            scores={
                "eval_accuracy": float(test_right.mean()),
                "eval_loss": float(predictions["loss"].mean()),
            },
            best_step=best.step,
        )
        return judged(record, curve, predictions)

    def _answered(self, rng: np.random.Generator, rows: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        labels = (rng.random(rows) < self.most_common).astype(int)
        errors = (1 - self.accuracy) / 2
        wrong = np.where(labels == 1, errors / self.most_common, errors / (1 - self.most_common))
        return labels, rng.random(rows) >= wrong


class Guessing(Finished):
    """One that answers with the labels' frequencies, without reading."""

    def _answered(self, rng: np.random.Generator, rows: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        labels, answers = (rng.random((2, rows)) < self.most_common).astype(int)
        return labels, labels == answers
