"""Check metrics and runs over a whole study: scores that depend on one another, and identical runs."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import pandas as pd

from tuneoff.results import RunRecord, metric_name
from tuneoff.stats.answers import Answers
from tuneoff.stats.health.alike import alike
from tuneoff.stats.health.finding import Finding
from tuneoff.stats.health.pairs import paired
from tuneoff.words import sentences, spaced

FEWEST_RUNS = 3
"""Least number of different values: two runs can meet a relation by chance, and one meets many."""
EXACT = 1e-6
"""Largest deviation from a relation that holds exactly: six digits of a rounded report."""
DIFFERENT_SHARE = 0.1
"""Least share of different predictions between two runs for their equal scores to be no coincidence."""
SEVERAL_SENTENCES = 0.05
"""Share of references of several sentences at or above which rougeLsum has to differ from rougeL."""
SHORT = 10
"""Words up to which a text is so short that metrics of texts may agree: order hardly counts."""
_RIGHTLY_CONSTANT = frozenset({"eval_invalid"})


class _Relation(NamedTuple):
    """A function of one metric that another one must not be."""

    text: str
    function: Callable[[Any], Any]
    symmetric: bool
    """Whether it is its own inverse, so that each pair of metrics needs one test only."""


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
    """Return the findings about all complete runs of a study together, task by task.

    `answers_by_run` has predictions by run id.
    """
    tasks: dict[str, list[RunRecord]] = {}
    for record in sorted(records, key=lambda record: record.run_id):
        if record.state == "complete" and record.scores:
            tasks.setdefault(record.spec.task_name, []).append(record)
    found: list[Finding] = []
    for task, runs in tasks.items():
        broken = (*_dependent(runs, answers_by_run), *_constant(runs, answers_by_run))
        found += [Finding("broken metric", f"{task}: {one}") for one in broken]
        found += alike(task, runs, answers_by_run)
    return tuple(found)


def _dependent(runs: list[RunRecord], answers: Mapping[str, Answers]) -> Iterator[str]:
    """Yield metrics that are a function of another one over all runs."""
    scores = _scores(runs)
    for relation in _RELATIONS:
        pairs = itertools.combinations if relation.symmetric else itertools.permutations
        for one, other in pairs(sorted(scores), 2):
            both = scores[[one, other]].dropna()
            if both[one].round(6).nunique() < FEWEST_RUNS or _rightly_equal(one, other, runs, answers):
                continue
            if bool(((relation.function(both[one]) - both[other]).abs() <= EXACT).all()):
                told = relation.text.format(a=metric_name(one))
                yield f"{metric_name(other)} {told}, in all of {len(both)} runs"


def _rightly_equal(one: str, other: str, runs: list[RunRecord], answers: Mapping[str, Answers]) -> bool:
    """Return whether two metrics may be equal.

    These are rougeL and rougeLsum, where references are one sentence, and all those of texts, where they
    are a few words: of a single word they say the same.
    """
    if {one, other} == {"eval_rougeL", "eval_rougeLsum"}:
        return _few(runs, answers, lambda text: len(sentences(text)) > 1, SEVERAL_SENTENCES)
    return _are_short(runs, answers)


def _are_short(runs: list[RunRecord], answers: Mapping[str, Answers]) -> bool:
    """Return whether the answers of a task are texts, and its references a few words."""
    texts = runs[0].spec.task.answer == "text"
    return texts and _few(runs, answers, lambda text: len(spaced(text)) > SHORT, SEVERAL_SENTENCES)


def _few(
    runs: list[RunRecord], answers: Mapping[str, Answers], has: Callable[[str], bool], share: float
) -> bool:
    """Return whether less than a share of the references have something, or there are none."""
    references = [text for run in runs if run.run_id in answers for text in answers[run.run_id].references]
    return sum(map(has, references)) < share * len(references) or not references


def _constant(runs: list[RunRecord], answers: Mapping[str, Answers]) -> Iterator[str]:
    """Yield metrics that are the same in runs whose predictions differ."""
    different = _different([answers[run.run_id] for run in runs if run.run_id in answers])
    scores = _scores([run for run in runs if run.run_id in answers])
    if different < FEWEST_RUNS:
        return
    # of one word there are no pairs
    rightly_zero = {"eval_exact_match", *(["eval_rouge2"] if _are_short(runs, answers) else [])}
    for name in scores.columns.difference(list(_RIGHTLY_CONSTANT)):
        values = scores[name].dropna()
        if name in rightly_zero and values.max() == 0:
            continue
        if len(values) == len(scores) and values.max() - values.min() <= EXACT:
            yield (
                f"{metric_name(name)} is {values.iloc[0]:.3f} in all of {len(values)} runs, {different} of "
                "which have different predictions"
            )


def _different(answers: Iterable[Answers]) -> int:
    """Count the runs that differ from one another in more than a few predictions."""
    different: list[Answers] = []
    for one in answers:
        if all(_changed(one, other) >= DIFFERENT_SHARE for other in different):
            different.append(one)
    return len(different)


def _changed(one: Answers, other: Answers) -> float:
    ours, theirs = paired(one, other)
    return float((ours.predictions != theirs.predictions).mean()) if len(ours) else 0.0


def _scores(runs: Iterable[RunRecord]) -> pd.DataFrame:
    return pd.DataFrame([run.scores for run in runs])
