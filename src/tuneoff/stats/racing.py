"""Race the methods of one task and train size: seeds are added where the decision needs them.

Results are looked at when every method that is left has, for instance, 3, 5, 8 and 12 seeds
(`SeedRange.looks`). At each look a decision is made, and

1. the race ends if it is shown, or if all further seeds would hardly show it (with a probability below
   `FUTILE`), as where the test set is too small;
2. methods are dropped that are shown to be worse than the leader by more than the margin, or that failed a
   health check, as they would never be recommended;
3. the others get the seeds of the next look.

Looking several times gives chance several opportunities, so the looks share the error of one decision in
proportion to their seeds: .05 becomes .0054, .0089, .0143 and .0214. All that is claimed at any look holds
together with probability .95, whatever happened before, as the level of a test never depends on how many
methods are left. `docs/statistics.md` has the measured error rates.

The course of a race is a pure function of the results: whoever has the records knows which runs are needed.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from tuneoff.results import RunRecord
from tuneoff.spec import Preference, RunSpec, StudySpec
from tuneoff.stats.cells import Cell, TaskSize
from tuneoff.stats.decide import Decision, Look, decide
from tuneoff.stats.examples import RunScores, Scores, joint_scores
from tuneoff.stats.intervals import ALPHA
from tuneoff.stats.prices import mean_price

Reason = Literal["behind", "failed check", "no result"]
"""Why a method was dropped: it is worse by more than the margin, failed a check, or has no complete run."""
End = Literal["shown", "futile", "no method", "all seeds", "budget"]
"""Why a race ended: its decision is shown; all seeds that are left would hardly show it; every method is
dropped; no seeds are left; or those of the next look would exceed the study's budget."""


class RunResult(NamedTuple):
    """What a decision needs of a complete run."""

    scores: RunScores | None
    """None if it left no predictions."""
    price: float | None
    """Of the preference; None if it was not measured."""
    failed_checks: Collection[str]


@dataclass(frozen=True)
class Entrants:
    """The candidates of one task and train size with their results, and what is asked of the best."""

    results: Mapping[str, Mapping[int, RunResult | None]]
    """Of each candidate by seed; None for a run that ended without a result, such as one that diverged."""
    untrained: Collection[str]
    """The base model and the baselines, which have one run."""
    margin: float
    prefer: Preference

    @property
    def trained(self) -> tuple[str, ...]:
        """The methods that can have further seeds."""
        return tuple(name for name in self.results if name not in self.untrained)

    def decision(
        self,
        seeds: Collection[int] | None = None,
        methods: Collection[str] | None = None,
        *,
        alpha: float = ALPHA,
        later: Look | None = None,
    ) -> Decision | None:
        """Decide among these methods, on their results with these seeds, and what is not trained.

        By default among all methods, with all seeds. If only some methods are given, the error is still
        shared by all. Candidates without scores are left out; None if there is no other.
        """
        scores: dict[str, Scores] = {}
        prices: dict[str, float | None] = {}
        findings: dict[str, Collection[str]] = {}
        for name, by_seed in self.results.items():
            fixed = name in self.untrained
            if methods is not None and name not in methods and not fixed:
                continue
            own = by_seed if fixed or seeds is None else [seed for seed in seeds if seed in by_seed]
            complete = {seed: one for seed in own if (one := by_seed[seed]) is not None}
            found = joint_scores({seed: one.scores for seed, one in complete.items() if one.scores})
            if found is not None:
                scores[name] = found
                prices[name] = mean_price([one.price for one in complete.values()])
                findings[name] = sorted({check for one in complete.values() for check in one.failed_checks})
        if not scores:
            return None
        return decide(
            scores,
            untrained=self.untrained,
            margin=self.margin,
            prefer=self.prefer,
            prices=prices,
            findings=findings,
            alpha=alpha,
            later=later,
            family=0 if methods is None else len(self.results),
        )


class Dropped(NamedTuple):
    """A method that gets no further seeds."""

    seeds: int
    """Of the look at which it was dropped."""
    reason: Reason


@dataclass(frozen=True)
class Course:
    """How the race of one task and train size has gone, and what is to be run next."""

    seeds: Mapping[str, int]
    """How many seeds each method is to have, the first ones of the study."""
    look: Look | None = None
    """The latest look; None before the first."""
    decision: Decision | None = None
    """Of that look. Dropped methods have the bounds of the look at which they were dropped."""
    dropped: Mapping[str, Dropped] = field(default_factory=dict)
    end: End | None = None
    """None while runs are to be done."""


def shared_looks(numbers: Sequence[int], alpha: float = ALPHA) -> tuple[Look, ...]:
    """Return looks at these numbers of seeds, which share an error in proportion to their seeds."""
    return tuple(Look(seeds, alpha * seeds / sum(numbers)) for seeds in numbers)


def race(entrants: Entrants, seeds: Sequence[int], looks: Sequence[Look]) -> Course:
    """Return the course of a race, as far as its results go; `seeds` are all seeds of the study, in order."""
    course = Course(dict.fromkeys(entrants.trained, looks[0].seeds))
    for look in looks:
        left = [name for name in entrants.trained if name not in course.dropped]
        course = replace(course, seeds={**course.seeds, **dict.fromkeys(left, look.seeds)})
        own = seeds[: look.seeds]
        if any(seed not in entrants.results[name] for name in left for seed in own):
            return course
        course = _looked(course, entrants, own, look, last=looks[-1])
        if course.end:
            return course
    return replace(course, end="all seeds")


def _looked(course: Course, entrants: Entrants, seeds: Sequence[int], look: Look, *, last: Look) -> Course:
    """Return the course after a look at complete results."""
    earlier = course.dropped
    left = [name for name in entrants.trained if name not in earlier]
    found = entrants.decision(seeds, left, alpha=look.alpha, later=last)
    dropped = {**earlier, **{name: Dropped(look.seeds, why) for name, why in _to_drop(left, found).items()}}
    course = replace(course, look=look, decision=_merged(course.decision, found, entrants), dropped=dropped)
    if found and found.state == "shown":
        return replace(course, end="shown", dropped=earlier)
    if len(dropped) == len(entrants.trained):
        return replace(course, end="no method")
    if found and not found.may_be_shown and look != last:
        return replace(course, end="futile", dropped=earlier)
    return course


def _to_drop(left: Sequence[str], decision: Decision | None) -> dict[str, Reason]:
    """Return which of the methods that are left need no further seeds, and why."""
    candidates = {one.name: one for one in decision.candidates} if decision else {}
    reasons: dict[str, Reason] = {}
    for name in left:
        one = candidates.get(name)
        if one is None:
            reasons[name] = "no result"
        elif one.findings:
            reasons[name] = "failed check"
        elif decision and one.lacks_at_least is not None and one.lacks_at_least > decision.margin:
            reasons[name] = "behind"
    return reasons


def _merged(earlier: Decision | None, found: Decision | None, entrants: Entrants) -> Decision | None:
    """Return a decision with the candidates that were dropped before it, as they were then."""
    if earlier is None or found is None:
        return found or earlier
    candidates = {one.name: replace(one, may_be_best=False) for one in earlier.candidates}
    candidates |= {one.name: one for one in found.candidates}
    in_order = (candidates[name] for name in entrants.results if name in candidates)
    return replace(found, candidates=tuple(in_order))


def needed_runs(
    study: StudySpec, plan: Iterable[RunSpec], courses: Mapping[TaskSize, Course]
) -> tuple[RunSpec, ...]:
    """Return the runs of a plan that are needed, done or not: all of them if the seeds are fixed.

    Ablation variants are in no race, and have the seeds of the first look.
    """
    if study.race is None:
        return tuple(plan)
    needed = []
    for run in plan:
        # what is not trained has one run, with the first seed
        course = courses.get(Cell.of(run).task_size)
        seeds = course.seeds.get(run.method_name, study.race.fewest) if course else 1
        if run.seed in study.all_seeds[:seeds]:
            needed.append(run)
    return tuple(needed)


def within_budget(
    courses: Mapping[TaskSize, Course], study: StudySpec, records: Iterable[RunRecord]
) -> dict[TaskSize, Course]:
    """End the races whose next look would exceed the study's budget, in the order of the study.

    A run is expected to take as long as those of its method on that task and train size did on average. The
    first look is free, and a look of which a run has been done is completed: so an interrupted study goes on
    as it would have.
    """
    if study.budget is None:
        return dict(courses)
    times: dict[Cell, dict[int, float]] = {}
    for record in records:
        own = times.setdefault(Cell.of(record.spec), {})
        own[record.spec.seed] = record.timings.total if record.timings else 0.0
    left = 3600 * study.budget.hours - sum(sum(own.values()) for own in times.values())
    bounded = {}
    for place, course in courses.items():
        bounded[place] = course
        if course.end or course.look is None:
            continue
        cost, begun = 0.0, False
        for method, number in course.seeds.items():
            of_runs = times.get(Cell(place.task, method, place.train_size), {})
            new = study.all_seeds[course.look.seeds : number]
            begun = begun or any(seed in of_runs for seed in new)
            mean = sum(of_runs.values()) / max(len(of_runs), 1)
            cost += mean * sum(seed not in of_runs for seed in new)
        if begun or cost <= left:
            left -= cost
        else:
            present = {name: min(number, course.look.seeds) for name, number in course.seeds.items()}
            bounded[place] = replace(course, seeds=present, end="budget")
    return bounded
