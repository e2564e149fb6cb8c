"""Scores and runs that say nothing of their own, seen over all runs of a study."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import pandas as pd

from tuneoff.spec import RunRecord
from tuneoff.stats.answers import Answers
from tuneoff.stats.health.alike import alike
from tuneoff.stats.health.finding import Finding
from tuneoff.stats.health.pairs import paired
from tuneoff.words import sentences

FEWEST_RUNS = 3
"""Different values, at least: two runs can meet a relation by chance, and one meets many."""
EXACT = 1e-6
"""How far a score may lie from a relation that holds exactly: six digits of a rounded report."""
DIFFERENT_SHARE = 0.1
"""Answers that differ between two runs, at least, for their equal scores to be no coincidence."""
SEVERAL_SENTENCES = 0.05
"""Share of references of several sentences from which on rougeLsum has to differ from rougeL."""
_RIGHTLY_CONSTANT = frozenset({"eval_invalid"})


class _Relation(NamedTuple):
    told: str
    of: Callable[[Any], Any]
    symmetric: bool


_RELATIONS = (
    _Relation("equals {a}", lambda a: a, True),
    _Relation("is 1 minus {a}", lambda a: 1 - a, True),
    _Relation(
        "is 2a / (1 + a) of {a}, as an F1 of right-or-wrong flags is (or of references of one label)",
        lambda a: 2 * a / (1 + a),
        False,
    ),
)


def diagnose_study(
    records: Iterable[RunRecord], answers_by_run: Mapping[str, Answers]
) -> tuple[Finding, ...]:
    """What is wrong with the metrics and the runs of a study together, task by task; answers are by run id.

    Runs that are not complete do not count.
    """
    tasks: dict[str, list[RunRecord]] = {}
    for record in sorted(records, key=lambda record: record.run_id):
        if record.state == "complete" and record.scores:
            tasks.setdefault(record.spec.task_name, []).append(record)
    found: list[Finding] = []
    for task, runs in tasks.items():
        told = (*_dependent(runs, answers_by_run), *_constant(runs, answers_by_run))
        found += [Finding("broken metric", f"{task}: {one}") for one in told]
        found += alike(task, runs, answers_by_run)
    return tuple(found)


def _dependent(runs: list[RunRecord], answers: Mapping[str, Answers]) -> Iterator[str]:
    """Metrics that are a function of another one over all runs."""
    scores = _scores(runs)
    for relation in _RELATIONS:
        pairs = itertools.combinations if relation.symmetric else itertools.permutations
        for one, other in pairs(sorted(scores), 2):
            both = scores[[one, other]].dropna()
            if both[one].round(6).nunique() < FEWEST_RUNS or _rightly_equal(one, other, runs, answers):
                continue
            if bool(((relation.of(both[one]) - both[other]).abs() <= EXACT).all()):
                yield f"{other} {relation.told.format(a=one)}, in all of {len(both)} runs"


def _rightly_equal(one: str, other: str, runs: list[RunRecord], answers: Mapping[str, Answers]) -> bool:
    if {one, other} != {"eval_rougeL", "eval_rougeLsum"}:
        return False
    references = [text for run in runs if run.run_id in answers for text in answers[run.run_id].references]
    several = sum(len(sentences(text)) > 1 for text in references)
    return several < SEVERAL_SENTENCES * len(references) or not references


def _constant(runs: list[RunRecord], answers: Mapping[str, Answers]) -> Iterator[str]:
    """Metrics that are the same in runs whose answers differ."""
    different = _different([answers[run.run_id] for run in runs if run.run_id in answers])
    scores = _scores([run for run in runs if run.run_id in answers])
    if different < FEWEST_RUNS:
        return
    for name in scores.columns.difference(list(_RIGHTLY_CONSTANT)):
        values = scores[name].dropna()
        if len(values) == len(scores) and values.max() - values.min() <= EXACT:
            runs_told = f"{len(values)} runs, {different} of which answer differently"
            yield f"{name} is {values.iloc[0]:.3f} in all of {runs_told}"


def _different(answers: Iterable[Answers]) -> int:
    """How many of the runs differ from one another in more than a few answers."""
    kept: list[Answers] = []
    for one in answers:
        if all(_changed(one, other) >= DIFFERENT_SHARE for other in kept):
            kept.append(one)
    return len(kept)


def _changed(one: Answers, other: Answers) -> float:
    ours, theirs = paired(one, other)
    return float((ours.predictions != theirs.predictions).mean()) if len(ours) else 0.0


def _scores(runs: Iterable[RunRecord]) -> pd.DataFrame:
    return pd.DataFrame([run.scores for run in runs])
