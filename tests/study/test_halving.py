"""Successive halving: which trials go on is decided by their scores alone, equally for every search."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from tuneoff.results import Trial
from tuneoff.spec.search import Rung, rungs
from tuneoff.study.halving import ended_trials, next_training

Score = Callable[[int, int], float | None]
"""From a trial's number and the place of a rung to the score there; None if the trial diverges."""


def _searched(plan: Sequence[Rung], score: Score, done: Sequence[Trial] = ()) -> list[Trial]:
    """The trainings of a search, after those that are done."""
    trainings = list(done)
    while training := next_training(plan, trainings):
        value = score(training.number, training.rung)
        state = "diverged" if value is None else "complete"
        trainings.append(
            Trial(number=training.number, values={"learning_rate": 0.1}, state=state, score=value)
        )
    return trainings


@pytest.mark.parametrize(
    ("trials", "expected"),
    [
        (1, [(1, 1)]),
        (2, [(9, 2), (1, 1)]),
        (3, [(9, 3), (1, 1)]),
        (4, [(9, 4), (3, 2), (1, 1)]),
        (8, [(9, 8), (3, 3), (1, 1)]),
        (9, [(9, 9), (3, 3), (1, 1)]),
        (27, [(9, 27), (3, 9), (1, 3)]),
    ],
)
def test_a_third_goes_on_each_time_and_no_rung_stops_nothing(
    trials: int, expected: list[tuple[int, int]]
) -> None:
    assert list(rungs(trials, "halving")) == expected


@pytest.mark.parametrize("pruner", ["none", "median"])
def test_without_halving_every_trial_is_whole(pruner: str) -> None:
    assert rungs(8, pruner) == ((1, 8),)  # type: ignore[arg-type]


def test_a_rung_has_its_share_of_the_steps_rounded_up() -> None:
    assert [rung.steps(112) for rung in rungs(9, "halving")] == [13, 38, 112]
    assert [rung.steps(1) for rung in rungs(9, "halving")] == [1, 1, 1]


@pytest.mark.parametrize("seed", range(20))
def test_the_best_of_each_rung_go_on_and_the_others_are_stopped_there(seed: int) -> None:
    random = np.random.default_rng(seed)
    trials = int(random.integers(1, 30))
    # few different scores, so that many are equal: the earlier trial is preferred then
    scores = random.integers(0, 4, size=(trials, 3)) / 4
    plan = rungs(trials, "halving")
    ended = ended_trials(plan, _searched(plan, lambda number, rung: float(scores[number, rung])))

    going_on = list(range(trials))
    for place, rung in enumerate(plan):
        going_on = going_on[: rung.trials]
        if len(plan) > 1:
            assert sum(len(one.rung_scores) > place for one in ended) == rung.trials
        # by Python's stable sort, in which equal ones keep their order
        going_on.sort(key=lambda number, place=place: -scores[number, place])  # type: ignore[misc]
    finalists = {one.number for one in ended if one.state == "complete"}
    assert {one.state for one in ended} <= {"complete", "pruned"}
    assert finalists == set(going_on)
    assert all((one.score is None) == (one.state == "pruned") for one in ended)
    if len(plan) > 1:
        for one in ended:
            assert one.rung_scores == tuple(scores[one.number, : len(one.rung_scores)])


def test_a_trial_that_ends_without_a_score_is_replaced_by_the_next_best() -> None:
    plan = rungs(9, "halving")

    def score(number: int, rung: int) -> float | None:
        # the best is lost at the last rung, the second best at the second one, the worst at the first
        return None if (number, rung) in {(8, 2), (7, 1), (0, 0)} else number / 10

    done = _searched(plan, score)
    assert [one.number for one in done] == [*range(9), 8, 7, 6, 5, 8, 6]
    ended = {one.number: (one.state, one.rung_scores) for one in ended_trials(plan, done)}
    assert ended[8] == ("diverged", (0.8, 0.8))
    assert ended[7] == ("diverged", (0.7,))
    assert ended[6] == ("complete", (0.6, 0.6, 0.6))
    assert ended[5] == ("pruned", (0.5, 0.5))
    assert ended[4] == ("pruned", (0.4,))
    assert ended[0] == ("diverged", ())


def test_a_search_of_which_every_trial_diverges_ends() -> None:
    plan = rungs(9, "halving")
    assert len(_searched(plan, lambda number, rung: None)) == 9
    at_the_end = _searched(plan, lambda number, rung: None if rung == 2 else 0.5)
    assert [one.state for one in ended_trials(plan, at_the_end)] == ["diverged"] * 3 + ["pruned"] * 6


def test_the_course_depends_on_what_is_done_alone() -> None:
    plan, random = rungs(9, "halving"), np.random.default_rng(0)
    scores = random.random((9, 3))

    def score(number: int, rung: int) -> float | None:
        return None if scores[number, rung] < 0.2 else float(scores[number, rung])

    whole = _searched(plan, score)
    for done in range(len(whole)):
        assert _searched(plan, score, whole[:done]) == whole
