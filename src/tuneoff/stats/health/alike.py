"""Check for runs that should differ but give identical predictions."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tuneoff.results import RunRecord
from tuneoff.spec import NoneSpec
from tuneoff.stats.answers import Answers
from tuneoff.stats.health.finding import Finding

SAME_LOSS = 1e-6
"""Relative difference of a row's loss up to which two models are the same; other weights differ far more."""
FEWEST_WRONG = 8
"""Least number of wrong predictions: models that are nearly always right agree without being the same."""
MOST_NAMED = 8
"""Runs that a message names."""


def alike(task: str, runs: Sequence[RunRecord], answers: Mapping[str, Answers]) -> Iterator[Finding]:
    """Yield groups of trained runs of a task that are the same model, or have identical predictions."""
    groups: dict[tuple[object, ...], list[RunRecord]] = defaultdict(list)
    for run in runs:
        if not isinstance(run.spec.method, NoneSpec) and run.run_id in answers:
            own = answers[run.run_id]
            groups[own.rows.tobytes(), tuple(own.predictions)].append(run)
    for group in groups.values():
        if len(group) > 1:
            yield from _findings(task, group, answers)


def _findings(task: str, group: Sequence[RunRecord], answers: Mapping[str, Answers]) -> Iterator[Finding]:
    rows = len(answers[group[0].run_id])
    same = _same_losses(group, answers)
    for runs in same:
        if len(runs) > 1:
            yield Finding(
                "identical models",
                f"{task}: {_names(runs)} have the same {rows:,} test predictions with the same losses: "
                "they are one model and count as no more than one run",
            )
    if len(same) > 1 and _may_differ(group[0], answers[group[0].run_id]):
        yield Finding(
            "identical predictions", f"{task}: {_names(group)} have the same {rows:,} test predictions"
        )


def _same_losses(group: Sequence[RunRecord], answers: Mapping[str, Answers]) -> list[list[RunRecord]]:
    """Split a group into parts whose losses are equal row by row."""
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
    """Return whether two good models need not agree: on texts, and on labels or options if some are wrong.

    Runs that always predict one label are excepted: each is already called collapsed.
    """
    wrong = int((answers.predictions != answers.references).sum())
    several = run.spec.task.answer == "text" or len({*answers.predictions}) > 1
    return several and wrong >= FEWEST_WRONG


def _names(runs: Sequence[RunRecord]) -> str:
    more = len(runs) - MOST_NAMED
    return ", ".join(run.run_id for run in runs[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
