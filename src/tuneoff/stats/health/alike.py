"""Runs that should differ and give the same answers."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tuneoff.spec import ClassificationSpec, NoneSpec, RunRecord
from tuneoff.stats.answers import Answers
from tuneoff.stats.health.finding import Finding

SAME_LOSS = 1e-6
"""Relative difference of a row's loss up to which two models are one; other weights differ by far more."""
FEWEST_WRONG = 8
"""Answers that are not the reference, at least: all right or nearly so, good models agree."""
MOST_NAMED = 8
"""Runs that a sentence names."""


def alike(task: str, runs: Sequence[RunRecord], answers: Mapping[str, Answers]) -> Iterator[Finding]:
    """Trained runs of a task that are one model, or give the same answers to all rows."""
    groups: dict[tuple[object, ...], list[RunRecord]] = defaultdict(list)
    for run in runs:
        if not isinstance(run.spec.method, NoneSpec) and run.run_id in answers:
            own = answers[run.run_id]
            groups[own.rows.tobytes(), tuple(own.predictions)].append(run)
    for group in groups.values():
        if len(group) > 1:
            yield from _judged(task, group, answers)


def _judged(task: str, group: Sequence[RunRecord], answers: Mapping[str, Answers]) -> Iterator[Finding]:
    rows = len(answers[group[0].run_id])
    same = _same_losses(group, answers)
    for runs in same:
        if len(runs) > 1:
            yield Finding(
                "identical models",
                f"{task}: {_named(runs)} give the same {rows:,} test answers with the same losses: "
                "they are one model and say no more than one run",
            )
    if len(same) > 1 and _may_differ(group[0], answers[group[0].run_id]):
        yield Finding("identical predictions", f"{task}: {_named(group)} give the same {rows:,} test answers")


def _same_losses(group: Sequence[RunRecord], answers: Mapping[str, Answers]) -> list[list[RunRecord]]:
    """The group in parts whose losses are equal row by row."""
    parts: list[list[RunRecord]] = []
    for run in group:
        losses = answers[run.run_id].numbers("loss")
        for part in parts:
            others = answers[part[0].run_id].numbers("loss")
            if np.allclose(losses, others, rtol=SAME_LOSS, atol=0, equal_nan=True):
                part.append(run)
                break
        else:
            parts.append([run])
    return parts


def _may_differ(run: RunRecord, answers: Answers) -> bool:
    """Whether two good models need not agree: texts have many ways, labels where some are wrong.

    Answers of one label are called collapsed, each run by itself.
    """
    wrong = int((answers.predictions != answers.references).sum())
    several = not isinstance(run.spec.task, ClassificationSpec) or len({*answers.predictions}) > 1
    return several and wrong >= FEWEST_WRONG


def _named(runs: Sequence[RunRecord]) -> str:
    more = len(runs) - MOST_NAMED
    return ", ".join(run.run_id for run in runs[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
