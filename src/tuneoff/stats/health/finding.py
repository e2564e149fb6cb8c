"""Findings of health checks, and the evidence that the checks use."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from tuneoff.results import CurvePoint, RunRecord, metric_name
from tuneoff.spec import NoneSpec
from tuneoff.stats.answers import Answers
from tuneoff.stats.health.pairs import Difference, paired_difference

Check = Literal[
    "diverged",
    "no effect",
    "collapsed",
    "worse than zero-shot",
    "worse than baseline",
    "contradictory",
    "chance level",
    "below chance",
    "overlapping splits",
    "score mismatch",
    "broken metric",
    "identical models",
    "undertrained",
    "overfitted",
    "worsened",
    "validation gap",
    "truncated",
    "unknown tokens",
    "looping",
    "empty texts",
    "references without words",
    "copied input",
    "too good",
    "contaminated",
    "repeated test rows",
    "few rows",
    "single label",
    "identical predictions",
]
Level = Literal["error", "warning"]
LEVELS: Mapping[Check, Level] = {
    "diverged": "error",
    "no effect": "error",
    "collapsed": "error",
    "worse than zero-shot": "error",
    "worse than baseline": "error",
    "contradictory": "error",
    "chance level": "error",
    "below chance": "error",
    "overlapping splits": "error",
    "score mismatch": "error",
    "broken metric": "error",
    "identical models": "error",
    "undertrained": "warning",
    "overfitted": "warning",
    "worsened": "warning",
    "validation gap": "warning",
    "truncated": "warning",
    "unknown tokens": "warning",
    "looping": "warning",
    "empty texts": "warning",
    "references without words": "warning",
    "copied input": "warning",
    "too good": "warning",
    "contaminated": "warning",
    "repeated test rows": "warning",
    "few rows": "warning",
    "single label": "warning",
    "identical predictions": "warning",
}
"""error: the score must not be used as a result of the method. warning: interpret the score with care."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A check that gave an error or a warning, with the numbers that show it."""

    check: Check
    evidence: str
    """One sentence, without a full stop."""

    @property
    def level(self) -> Level:
        """Whether the finding is an error or a warning."""
        return LEVELS[self.check]


class Evaluation(NamedTuple):
    """Validation scores at a step."""

    step: int
    loss: float
    metric: float
    """The task's main metric."""


@dataclass(frozen=True, eq=False)
class RunEvidence:
    """A run with the data that its checks use; a check without its data is skipped."""

    record: RunRecord
    curve: tuple[CurvePoint, ...] = ()
    answers: Answers | None = None
    zero_shot: Answers | None = None
    """Predictions of the base model (zero-shot) for the same task."""
    baseline: tuple[str, Answers] | None = None
    """Name and predictions of the strongest baseline of the task that is no upper bound."""

    @property
    def trained(self) -> bool:
        """Whether the run's method trains anything."""
        return not isinstance(self.record.spec.method, NoneSpec)

    @property
    def metric(self) -> str:
        """The task's main metric, as records and curves name it."""
        return self.record.spec.task.main_metric

    @property
    def metric_name(self) -> str:
        """The same, as evidence has it."""
        return metric_name(self.metric)

    @cached_property
    def against_zero_shot(self) -> Difference | None:
        """The run's scores minus the base model's; None where one of them has no predictions."""
        if self.answers is None or self.zero_shot is None:
            return None
        return paired_difference(self.answers, self.zero_shot, self.metric)

    @cached_property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """The evaluated points of the curve, in the order of their steps."""
        scored = [(point.step, point.scores) for point in self.curve if point.scores]
        return tuple(
            Evaluation(step, scores["eval_loss"], scores[self.metric])
            for step, scores in sorted(scored, key=lambda point: point[0])
            if {"eval_loss", self.metric} <= scores.keys()
        )

    @cached_property
    def training_losses(self) -> tuple[float, ...]:
        """The logged training losses, in the order of their steps."""
        points = sorted(self.curve, key=lambda point: point.step)
        return tuple(point.loss for point in points if point.loss is not None)
