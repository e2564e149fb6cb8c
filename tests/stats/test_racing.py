"""Races: their course is a function of the results alone, shares one error over looks, and never hangs."""

import json
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pytest

from helpers import fabricated as made
from tuneoff.spec import SeedRange, StudySpec, expand
from tuneoff.stats import Course, Entrants, Look, RunResult, TaskSize, decide, needed_runs, race, shared_looks
from tuneoff.stats.examples import RunScores, Scores
from tuneoff.stats.racing import within_budget

SEEDS = tuple(range(12))
LOOKS = shared_looks((3, 5, 8, 12))
Results = dict[str, dict[int, RunResult | None]]


def _results(
    accuracies: Mapping[str, float], *, rows: int = 150, noise: float = 0.01, random: int = 0
) -> Results:
    """All results of trained methods, and of a base model at 0.5."""
    generator = np.random.default_rng(random)
    difficulty = generator.random(rows)
    found: Results = {}
    for name, accuracy in accuracies.items():
        own = difficulty + generator.normal(0, 0.1, rows)
        levels = accuracy + generator.normal(0, noise, len(SEEDS))
        found[name] = {
            seed: RunResult(RunScores(np.arange(rows), (own < level).astype(float)), 1.0, ())
            for seed, level in zip(SEEDS, levels, strict=True)
        }
    found["base"] = {0: RunResult(RunScores(np.arange(rows), (difficulty < 0.5).astype(float)), 0.0, ())}
    return found


def _race(results: Mapping[str, Mapping[int, RunResult | None]], margin: float = 0.02) -> Course:
    entrants = Entrants(results, untrained=("base",), margin=margin, prefer="score")
    return race(entrants, SEEDS, LOOKS)


def _course_of(course: Course) -> tuple[object, ...]:
    """What is done and said, without the numbers."""
    decision = course.decision
    said = decision and (decision.recommended, decision.state)
    return dict(course.seeds), course.look, dict(course.dropped), course.end, said


def _run_as_asked(results: Results, generator: np.random.Generator) -> list[Course]:
    """The courses as a runner sees them, which does the runs that are asked for one by one, in any order."""
    present: Results = {name: {} for name in results}
    present["base"] = results["base"]
    courses = [_race(present)]
    while courses[-1].end is None:
        asked = [
            (name, seed)
            for name, number in courses[-1].seeds.items()
            for seed in SEEDS[:number]
            if seed not in present[name]
        ]
        name, seed = asked[generator.integers(len(asked))]
        present[name][seed] = results[name][seed]
        courses.append(_race(present))
    return courses


KINDS = {
    "near": {"a": 0.80, "b": 0.78, "c": 0.77, "d": 0.74},
    "far": {"a": 0.85, "b": 0.75, "c": 0.6},
    "equal": {"a": 0.8, "b": 0.8},
}


@pytest.mark.parametrize(
    ("first", "last", "looks"),
    [
        (3, 12, (3, 5, 8, 12)),
        (2, 12, (2, 3, 5, 8, 12)),
        (3, 20, (3, 5, 8, 12, 20)),
        (3, 4, (3, 4)),
        (99, 100, (99, 100)),
        (2, 5, (2, 3, 5)),
    ],
)
def test_looks_grow_by_about_1_6(first: int, last: int, looks: tuple[int, ...]) -> None:
    assert SeedRange.model_validate({"from": first, "to": last}).looks == looks


@pytest.mark.parametrize("first", range(2, 20))
def test_looks_rise_from_first_to_last(first: int) -> None:
    for last in range(first + 1, 80):
        looks = SeedRange.model_validate({"from": first, "to": last}).looks
        assert (looks[0], looks[-1]) == (first, last)
        assert list(looks) == sorted(set(looks))


def test_the_looks_share_one_error_in_proportion_to_their_seeds() -> None:
    assert sum(look.alpha for look in LOOKS) == pytest.approx(0.05)
    assert [look.alpha / LOOKS[0].alpha for look in LOOKS] == pytest.approx([1, 5 / 3, 8 / 3, 4])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_runs_done_one_by_one_in_any_order_come_to_the_course_of_all_results(kind: str) -> None:
    results = _results(KINDS[kind])
    whole = _race(results)
    courses = _run_as_asked(results, np.random.default_rng(1))
    assert _course_of(courses[-1]) == _course_of(whole)
    for earlier, later in pairwise(courses):
        assert all(later.seeds[name] >= number for name, number in earlier.seeds.items())
        assert earlier.dropped.items() <= later.dropped.items()


def test_the_order_of_results_does_not_matter() -> None:
    results = _results(KINDS["near"])
    turned = {name: dict(reversed(list(own.items()))) for name, own in results.items()}
    assert _race(turned) == _race(results)


def test_results_beyond_those_that_are_needed_change_nothing() -> None:
    results = _results(KINDS["far"])
    course = _race(results)
    assert max(course.seeds.values()) < 12
    needed = {
        name: {seed: one for seed, one in own.items() if seed < course.seeds.get(name, 1)}
        for name, own in results.items()
    }
    assert _race(needed) == course


@pytest.mark.slow
@pytest.mark.parametrize("random", range(4))
def test_runs_without_a_result_do_not_hang_a_race(random: int) -> None:
    results = _results(KINDS["near"], rows=80, random=random)
    generator = np.random.default_rng(random)
    for name in KINDS["near"]:
        for seed in SEEDS:
            if generator.random() < 0.3:
                results[name][seed] = None
    course = _run_as_asked(results, generator)[-1]
    assert course.end is not None
    assert _course_of(course) == _course_of(_race(results))


@pytest.mark.slow
@pytest.mark.parametrize("random", range(6))
def test_the_leader_of_a_look_is_not_dropped_at_it_and_no_dropped_method_is_recommended(random: int) -> None:
    results = _results({"a": 0.82, "b": 0.8, "c": 0.7, "d": 0.65}, noise=0.04, random=random)
    course = _race(results)
    assert course.decision is not None
    assert course.decision.recommended not in course.dropped
    for name, dropped in course.dropped.items():
        means = {
            other: np.mean([own[seed].scores.values for seed in SEEDS[: dropped.seeds]])
            for other, own in results.items()
            if other != "base" and course.seeds[other] >= dropped.seeds
        }
        assert means[name] < max(means.values()) - 0.02
        assert not course.decision[name].may_be_best
        assert course.seeds[name] == dropped.seeds


def test_a_decision_of_a_race_is_that_of_its_look_and_share() -> None:
    results = _results({"a": 0.85, "b": 0.75})
    course = _race(results)
    assert course.decision is not None and course.look is not None
    assert course.end == "shown"
    scores = {
        name: Scores(seeds, tuple(range(150)), np.stack([own[seed].scores.values for seed in seeds]))
        for name, own in results.items()
        for seeds in [(0,) if name == "base" else SEEDS[: course.look.seeds]]
    }
    alone = decide(scores, untrained=["base"], margin=0.02, alpha=0.05 * course.look.seeds / 28)
    for name in results:
        assert course.decision[name].costs_at_most == pytest.approx(alone[name].costs_at_most)
    assert alone["b"].costs_at_most > decide(scores, untrained=["base"], margin=0.02)["b"].costs_at_most


def test_methods_that_failed_a_check_or_have_no_result_get_no_further_seeds() -> None:
    results = _results({"a": 0.8, "b": 0.79, "c": 0.8, "d": 0.8})
    first = results["c"][1]
    assert first is not None
    results["c"][1] = first._replace(failed_checks=("collapsed",))
    results["d"] = dict.fromkeys(SEEDS)
    course = _race(results)
    assert course.dropped["c"] == (3, "failed check")
    assert course.dropped["d"] == (3, "no result")
    assert course.decision is not None
    assert {one.name for one in course.decision.candidates} == {"a", "b", "c", "base"}


def test_a_race_without_a_method_that_is_left_ends() -> None:
    results = _results({"a": 0.3, "b": 0.8}, noise=0.0)
    results["b"] = dict.fromkeys(SEEDS)
    course = _race(results)
    assert course.end in ("no method", "shown")
    assert course.seeds == {"a": 3, "b": 3}
    assert _race({"base": results["base"]}).end in ("no method", "shown")


def test_a_race_that_further_seeds_would_hardly_settle_ends_early() -> None:
    course = _race(_results({"a": 0.8, "b": 0.8}, rows=30))
    assert (course.end, course.look) == ("futile", LOOKS[0])


def test_a_race_waits_for_all_runs_of_a_look() -> None:
    results = _results(KINDS["near"])
    del results["b"][2]
    course = _race(results)
    assert (course.end, course.look, course.decision) == (None, None, None)
    assert course.seeds == dict.fromkeys("abcd", 3)


def _study(**changes: object) -> StudySpec:
    methods = {name: made.METHODS[name] for name in ("zero_shot", "full", "lora")}
    ablations = {"rank": {"of": "lora", "vary": {"rank": [2, 8]}}}
    return made.a_study(
        **({"methods": methods, "ablations": ablations, "seeds": {"from": 3, "to": 12}} | changes)
    )


def test_needed_runs_are_those_of_the_course_and_ablations_have_the_first_seeds() -> None:
    study = _study()
    courses = {TaskSize("sst2", "full"): Course({"full": 8, "lora": 3})}
    found = [(run.method_name, run.seed) for run in needed_runs(study, expand(study), courses)]
    expected = {"zero_shot": 1, "full": 8, "lora": 3, "lora-rank=2": 3}
    assert sorted(found) == sorted(
        (name, seed) for name, number in expected.items() for seed in range(number)
    )
    fixed = _study(seeds=[0, 1])
    assert needed_runs(fixed, expand(fixed), {}) == expand(fixed)


def test_seeds_of_a_race_are_those_that_no_search_uses() -> None:
    study = _study(search={"seeds": [1, 3, 1000]})
    assert study.all_seeds == (0, 2, *range(4, 14))


@pytest.mark.parametrize(
    ("hours", "end"), [(1.0, None), (0.47, None), (0.45, "budget"), (0.3, "budget"), (0.01, "budget")]
)
def test_a_look_that_would_exceed_the_budget_is_not_begun(hours: float, end: str | None) -> None:
    study = _study(budget={"hours": hours}, ablations={})
    place = TaskSize("sst2", "full")
    course = Course({"full": 5, "lora": 5}, look=Look(3, 0.01))
    # 7 runs of about 151 s are done, and 4 more are to be done: 0.29 h and 0.17 h
    records = [made.a_record(run) for run in expand(study) if run.seed < 3]
    found = within_budget({place: course}, study, records)[place]
    assert found.end == end
    assert found.seeds == dict.fromkeys(("full", "lora"), 3 if end else 5)
    # a look of which a run is done is completed
    begun = [*records, made.a_record(next(run for run in expand(study) if run.seed == 3))]
    assert within_budget({place: course}, study, begun)[place] == course
    # the first look is free
    first = Course({"full": 3, "lora": 3})
    assert within_budget({place: first}, study, [])[place] == first


def test_a_study_with_a_race_is_written_as_it_is_read() -> None:
    study = _study(budget={"hours": 6})
    written = json.dumps(study.model_dump(mode="json"))
    assert '"seeds": {"from": 3, "to": 12}' in written
    assert type(study).model_validate_json(written) == study
