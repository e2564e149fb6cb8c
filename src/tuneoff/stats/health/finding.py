"""What is said of a run, and what it is judged by."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from tuneoff.results import CurvePoint, RunRecord
from tuneoff.spec import NoneSpec
from tuneoff.stats.answers import Answers
from tuneoff.stats.health.pairs import Difference, paired_difference

Verdict = Literal[
    "diverged",
    "no effect",
    "collapsed",
    "worse than untouched",
    "worse than baseline",
    "contradictory",
    "unrelated to labels",
    "against labels",
    "splits overlap",
    "scores disagree",
    "metric broken",
    "same model",
    "undertrained",
    "overfitted",
    "worsened",
    "validation gap",
    "cut off",
    "unknown pieces",
    "looping",
    "empty texts",
    "references without words",
    "copied input",
    "too good",
    "contaminated",
    "repeated rows",
    "few rows",
    "one label",
    "same answers",
]
Severity = Literal["ill", "note"]
SEVERITY: Mapping[Verdict, Severity] = {
    "diverged": "ill",
    "no effect": "ill",
    "collapsed": "ill",
    "worse than untouched": "ill",
    "worse than baseline": "ill",
    "contradictory": "ill",
    "unrelated to labels": "ill",
    "against labels": "ill",
    "splits overlap": "ill",
    "scores disagree": "ill",
    "metric broken": "ill",
    "same model": "ill",
    "undertrained": "note",
    "overfitted": "note",
    "worsened": "note",
    "validation gap": "note",
    "cut off": "note",
    "unknown pieces": "note",
    "looping": "note",
    "empty texts": "note",
    "references without words": "note",
    "copied input": "note",
    "too good": "note",
    "contaminated": "note",
    "repeated rows": "note",
    "few rows": "note",
    "one label": "note",
    "same answers": "note",
}
"""`ill`: the number must not be used as a result of the method. `note`: it is read with care."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict with the numbers it rests on."""

    verdict: Verdict
    evidence: str
    """One sentence, without a full stop."""

    @property
    def severity(self) -> Severity:
        """How much the verdict weighs."""
        return SEVERITY[self.verdict]


class Evaluation(NamedTuple):
    """Validation scores at a step."""

    step: int
    loss: float
    metric: float
    """The task's main metric."""


@dataclass(frozen=True, eq=False)
class RunEvidence:
    """A run and all that it is judged by; what is absent is not judged."""

    record: RunRecord
    curve: tuple[CurvePoint, ...] = ()
    answers: Answers | None = None
    untouched: Answers | None = None
    """Those of the untouched model for the same task."""
    baseline: tuple[str, Answers] | None = None
    """Name and answers of the strongest baseline of the task that is no upper bound."""

    @property
    def trained(self) -> bool:
        """Whether the run's method trains anything."""
        return not isinstance(self.record.spec.method, NoneSpec)

    @property
    def metric(self) -> str:
        """The task's main metric, as records and curves name it."""
        return self.record.spec.task.main_metric

    @cached_property
    def against_untouched(self) -> Difference | None:
        """The run's scores minus the untouched model's; None where one of them has no answers."""
        if self.answers is None or self.untouched is None:
            return None
        return paired_difference(self.answers, self.untouched, self.metric)

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
