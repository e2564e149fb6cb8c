"""How often curves are accused, justly and not; docs/health.md quotes what this counts."""

from collections.abc import Callable
from functools import cache

import pytest

from learning import Learned, classifier, writer
from tuneoff.stats.health import diagnose

RUNS = 200
FINISHED = 0.01
"""The last quarter of the steps adds no more than a point: not undertrained."""
UNRISEN = 0.1
"""The loss ends no further above its minimum: not overfitted."""

Judged = list[tuple[Learned, set[str]]]


@cache
def judge(learn: Callable[[int], Learned]) -> Judged:
    runs = [learn(seed) for seed in range(RUNS)]
    return [(run, {finding.verdict for finding in diagnose(run.evidence)}) for run in runs]


@pytest.fixture(params=[classifier, writer])
def judged(request: pytest.FixtureRequest) -> Judged:
    return judge(request.param)


def share(verdict: str, judged: Judged) -> float:
    return sum(verdict in verdicts for _, verdicts in judged) / len(judged)


def test_learning_is_never_called_contradictory_or_diverged_and_the_answers_are_not_accused(
    judged: Judged,
) -> None:
    found = set().union(*(verdicts for _, verdicts in judged))
    assert found <= {"undertrained", "overfitted"}


def test_finished_runs_are_seldom_called_undertrained(judged: Judged) -> None:
    finished = [one for one in judged if one[0].late_gain <= FINISHED]
    assert len(finished) >= 0.6 * RUNS
    assert share("undertrained", finished) <= 0.04


def test_runs_whose_loss_stays_near_its_minimum_are_seldom_called_overfitted(judged: Judged) -> None:
    unrisen = [one for one in judged if one[0].risen <= UNRISEN]
    assert len(unrisen) >= 0.6 * RUNS
    assert share("overfitted", unrisen) <= 0.03


def test_classifiers_that_know_their_rows_by_heart_are_called_overfitted() -> None:
    risen = [one for one in judge(classifier) if one[0].risen > 0.3]
    assert len(risen) >= 20
    assert share("overfitted", risen) >= 0.9


def test_writers_that_still_gain_are_mostly_called_undertrained() -> None:
    gaining = [one for one in judge(writer) if one[0].late_gain > 0.02]
    assert len(gaining) >= 10
    assert share("undertrained", gaining) >= 0.5
