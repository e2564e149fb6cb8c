"""Say how the race of each task has gone: its looks, the methods that were dropped, and why it ended."""

from collections.abc import Mapping

from tuneoff.reporting.formatting import listed, plural
from tuneoff.spec import SeedRange, StudySpec
from tuneoff.stats import Course, Look, Reason, TaskSize, shared_looks
from tuneoff.stats.decide import FUTILE
from tuneoff.stats.intervals import ALPHA

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
        f"The methods were raced: results were looked at with {numbers} seeds, with the levels {levels}, "
        f"which add up to {ALPHA:g}, so that what is said at any look holds with 95% confidence together. "
        "Methods got further seeds until the decision was shown, or could hardly be. Adjusted p-values of "
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
