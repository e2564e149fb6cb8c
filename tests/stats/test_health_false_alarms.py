"""How often curves get findings, rightly and wrongly; docs/health.md quotes what this counts."""

from collections.abc import Callable
from functools import cache

import pytest

from helpers.learning import Finished, Guessing, Learned, classifier, writer
from tuneoff.stats.health import LEVELS, diagnose

pytestmark = pytest.mark.slow
RUNS = 200
FINISHED = 0.01
"""The last quarter of the steps adds no more than a point: not undertrained."""
UNRISEN = 0.1
"""The loss ends no further above its minimum: not overfitted."""

Judged = list[tuple[Learned, set[str]]]


@cache
def judge(learn: Callable[[int], Learned]) -> Judged:
    runs = [learn(seed) for seed in range(RUNS)]
    return [(run, {finding.check for finding in diagnose(run.evidence)}) for run in runs]


@pytest.fixture(params=[classifier, writer])
def judged(request: pytest.FixtureRequest) -> Judged:
    return judge(request.param)


def share(check: str, judged: Judged) -> float:
    return sum(check in checks for _, checks in judged) / len(judged)


def test_learning_is_never_called_contradictory_or_diverged_and_get_no_other_findings(
    judged: Judged,
) -> None:
    found = set().union(*(checks for _, checks in judged))
    assert found <= {"undertrained", "overfitted", "worsened"}


def test_learning_is_hardly_ever_called_worsened(judged: Judged) -> None:
    assert share("worsened", judged) <= 0.01


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


HEALTHY = (
    Finished(1000, 0.5, 0.88),
    Finished(200, 0.5, 0.80),
    Finished(60, 0.5, 0.80),
    Finished(30, 0.5, 0.80),
    Finished(20, 0.5, 0.80),
    Finished(1000, 0.8, 0.90),
    Finished(200, 0.8, 0.86),
    Finished(60, 0.8, 0.86),
    Finished(200, 0.9, 0.93),
    Finished(1000, 0.9, 0.93),
    Finished(2000, 0.95, 0.955),
    Finished(200, 0.5, 0.90),
)
"""Test rows, share of the most common label and accuracy."""
FEW = 50
"""Runs of each; docs/health.md has the counts of 200."""


@pytest.mark.parametrize("run", HEALTHY, ids=str)
def test_healthy_classifiers_are_not_ill_however_skewed_their_labels_or_few_their_rows(run: Finished) -> None:
    found = [finding for seed in range(FEW) for finding in diagnose(run.evidence(seed))]
    assert [one for one in found if LEVELS[one.check] == "error"] == []


@pytest.mark.parametrize("run", [one for one in HEALTHY if one.rows >= 200], ids=str)
def test_healthy_classifiers_with_test_rows_enough_seldom_get_a_warning(run: Finished) -> None:
    found = [{one.check for one in diagnose(run.evidence(seed))} for seed in range(FEW)]
    # undertrained and overfitted are about a curve that may deserve it
    assert sum(bool(checks - {"undertrained", "overfitted"}) for checks in found) <= 0.06 * FEW


@pytest.mark.parametrize(
    ("rows", "most_common"), [(1000, 0.5), (200, 0.5), (200, 0.8), (200, 0.9), (2000, 0.95)]
)
def test_answers_drawn_without_reading_are_found(rows: int, most_common: float) -> None:
    runs = [Guessing(rows, most_common, 0.9).evidence(seed) for seed in range(FEW)]
    found = [{one.check for one in diagnose(run)} for run in runs]
    assert sum("chance level" in checks for checks in found) >= 0.85 * FEW


@pytest.mark.parametrize(("rows", "most_common"), [(20, 0.5), (30, 0.5), (60, 0.8)])
def test_of_test_rows_too_few_to_tell_nothing_is_called_ill(rows: int, most_common: float) -> None:
    runs = [Guessing(rows, most_common, 0.9).evidence(seed) for seed in range(FEW)]
    found = [{one.check for one in diagnose(run)} for run in runs]
    assert not any(check in checks for checks in found for check in ("chance level", "collapsed"))
    assert sum("few rows" in checks for checks in found) >= 0.85 * FEW
