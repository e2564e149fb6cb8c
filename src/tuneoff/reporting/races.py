"""Say how the race of each task has gone: its looks, the methods that were dropped, and why it ended."""

from collections.abc import Callable, Mapping, Sequence

from tuneoff.phrases import listed, plural
from tuneoff.reporting.formatting import duration
from tuneoff.reporting.power import typical_components
from tuneoff.spec import NoneSpec, RunSpec, SeedRange, StudySpec
from tuneoff.stats import Course, Look, Reason, TaskSize, shared_looks
from tuneoff.stats.decide import FUTILE
from tuneoff.stats.intervals import ALPHA
from tuneoff.stats.race_length import DIFFERENCES, likely_runs

_BASELINES = 2
"""Simple baselines that a task usually has."""
_REASONS: dict[Reason, str] = {
    "behind": "it is worse than the leader by more than the margin",
    "failed check": "it failed a health check",
    "no result": "none of its runs is complete",
}


def race_sentence(study: StudySpec, course: Course) -> str:
    """Return how far a race is, or why it ended, and which methods were dropped.

    For instance `the race ended after 5 seeds: the decision is shown. lora was dropped after 3 seeds (...).`
    """
    parts = [_state(study, course)]
    for name, dropped in course.dropped.items():
        reason = _REASONS[dropped.reason]
        parts.append(f"{name} was dropped after {plural(dropped.seeds, 'seed')} ({reason}).")
    return " ".join(parts)


def _state(study: StudySpec, course: Course) -> str:
    assert study.race
    left = [name for name in course.seeds if name not in course.dropped]
    if course.look is None:
        first = plural(study.race.fewest, "seed")
        return f"the race has not reached its first look, with {first} of every method."
    after = plural(course.look.seeds, "seed")
    match course.end:
        case None:
            to_have = max(course.seeds[name] for name in left)
            return f"the race goes on after {after}, up to {to_have} with {listed(left)}."
        case "shown":
            reason = "the decision is shown"
        case "futile":
            reason = f"{study.race.to} seeds would hardly show it (probability below {FUTILE:.0%})"
        case "no method":
            reason = "every method was dropped"
        case "all seeds":
            reason = "no further seeds are allowed"
        case "budget":
            hours = study.budget.hours if study.budget else 0.0
            reason = f"those of the next look would exceed the budget of {hours:g} hours"
    return f"the race ended after {after}: {reason}."


def race_note(race: SeedRange) -> str:
    """Return what a reader has to know of a race's statistics."""
    looks = shared_looks(race.looks)
    numbers, levels = listed(str(one.seeds) for one in looks), listed(map(_level, looks))
    return (
        f"The methods are raced: results are looked at with {numbers} seeds, with the levels {levels}, "
        f"which add up to {ALPHA:g}, so that what is said at any look holds with 95% confidence together. "
        "Methods get further seeds until the decision is shown, or could hardly be. Adjusted p-values of "
        "comparisons allow for the looks, too; intervals do not."
    )


def _level(look: Look) -> str:
    return f"{look.alpha:.2g}"


def race_lines(study: StudySpec, courses: Mapping[TaskSize, Course]) -> list[str]:
    """Return a line for each race of a study."""
    several = len(study.train_sizes) > 1
    return [
        f"{task}{f' with {size} training rows' if several else ''}: {race_sentence(study, course)}"
        for (task, size), course in courses.items()
    ]


def race_plan(
    study: StudySpec, plan: Sequence[RunSpec], *, seconds: Mapping[str, float], examples: Mapping[str, int]
) -> str:
    """Return how many runs a study's races take at fewest, likely and at most, and how long.

    `seconds` has the time of each run by id, `examples` the number of test rows of each task.
    """
    race = study.race
    assert race
    trained = [name for name, method in study.methods.items() if not isinstance(method, NoneSpec)]
    likely = {
        task: likely_runs(
            shared_looks(race.looks),
            methods=len(trained),
            candidates=len(study.methods) + _BASELINES,
            examples=examples[task],
            components=typical_components(study.tasks[task]),
            margin=study.decision_margin,
        )
        for task in study.tasks
        if trained
    }

    def sizes(share_of_seeds: Callable[[str], float]) -> str:
        """Return the number of runs and their time if races of a task take this share of all seeds."""
        runs = time = 0.0
        for run in plan:
            is_raced = run.method_name in trained
            is_in_no_race = not is_raced and run.seed in study.all_seeds[: race.fewest]
            share = share_of_seeds(run.task_name) if is_raced else float(is_in_no_race)
            runs, time = runs + share, time + share * seconds[run.run_id]
        return f"{plural(round(runs), 'run')} ({duration(time)})"

    most = len(trained) * race.to
    budget = f"; no look is begun that would exceed {study.budget.hours:g} hours" if study.budget else ""
    fewest, all_runs = sizes(lambda task: race.fewest / race.to), sizes(lambda task: 1.0)
    return (
        f"a race: {fewest} at fewest, about {sizes(lambda task: likely[task] / most)} likely, {all_runs} at "
        f"most{budget} (likely: in simulations where methods' true scores have the standard deviation "
        f"{DIFFERENCES:g})"
    )
