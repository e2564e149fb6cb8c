"""Print how often the claims of a raced study are right, and what the race saves, on simulated studies.

    python benchmarks/calibration_racing.py [--repetitions 400]

The studies are those of `calibration_decision.py`: six trained methods, a base model and a baseline on one
task, with crossed seeds and examples. Each is raced from 3 to 12 seeds, and beside it decided with 12 seeds
for all. A row of the tables is a kind of true means and of scores.

First table: how often a claim at any look of a race was wrong. "best lost": the best candidate was dropped,
or said not to be the best. "bound": a candidate costs more than its bound. "shown": it is shown that a
candidate costs at most the margin, but it costs more. Last, how often a method within the margin of the best
is dropped, of which nothing is promised. Second table: runs per race (72 without one), the share that is
saved, methods that are left in the end, how the race ended, how often the decision is shown and what the
recommended candidate truly costs; in brackets with the fixed 12 seeds.

Tests are done by their p-values, which is much faster than by bounds; the first races of each kind are also
done by `tuneoff.stats.race`, which must agree.
"""

import argparse
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from calibration_decision import (
    CANDIDATES,
    CHEAPEST_FIRST,
    NAMES,
    TRAINED,
    Design,
    Generator,
    Studies,
    simulate,
    table,
)
from tuneoff.spec import SeedRange
from tuneoff.stats import Entrants, Look, RunResult, bounded, race, shared_looks
from tuneoff.stats.compare import typical_change
from tuneoff.stats.decide import FUTILE
from tuneoff.stats.examples import RunScores
from tuneoff.stats.intervals import ALPHA, Spread, spread, tail
from tuneoff.stats.pooling import usual_variance

Floats = NDArray[np.float64]
MARGIN = 0.01
SEEDS = SeedRange.model_validate({"from": 3, "to": 12})
LOOKS = shared_looks(SEEDS.looks)
CHECKED = 3
"""Races of each kind that `race` does as well."""
_SLIGHTLY = 1e-12

_NEXT_TO_NOTHING = 1e-9
"""By this the best of equal candidates leads: to keep it is hardest then."""
MEANS = {
    "equal": (0.0, *(_NEXT_TO_NOTHING,) * 7),
    "others lower by the margin": (0.0, *(0.01 * (1 + 1e-9),) * 7),
    "near": (0.0, 0.02, 0.02, 0.04, 0.04, 0.06, 0.25, 0.2),
    "others lower by 0.05": (0.0, *(0.05,) * 5, 0.25, 0.2),
    "far": (0.0, 0.05, 0.08, 0.1, 0.15, 0.2, 0.25, 0.2),
    "five equal, one far": (0.0, *(_NEXT_TO_NOTHING,) * 4, 0.1, 0.25, 0.2),
}
"""By how much each candidate is lower than the best one."""
_EQUAL, _CLOSE, _NEAR, _APART, _FAR, _ = MEANS
SCORES = {
    Generator("accuracy", 0.75): tuple(MEANS),
    Generator("accuracy, seed sd 0.03", 0.75, seed_sd=0.03): (_EQUAL, _NEAR, _APART, _FAR),
    Generator("ROUGE-like", 0.35, graded=True): (_EQUAL, _CLOSE, _NEAR, _APART),
    Generator("heavy-tailed seeds", 0.75, heavy=True): (_EQUAL, _APART),
    Generator("the best has noisy seeds", 0.75, noisy=4.0): (_EQUAL, _CLOSE, _APART),
    Generator("near the ceiling", 0.98, seed_sd=0.003): (_EQUAL, _CLOSE, _APART),
}
"""Kinds of scores, and the true means that each is tried with."""


def kinds() -> Iterator[tuple[str, Generator]]:
    """Yield the kinds of studies by name."""
    for scores, names in SCORES.items():
        for name in names:
            yield f"{name}; {scores.name}", scores._replace(gaps=MEANS[name])


class Study(NamedTuple):
    """One simulated study."""

    studies: Studies
    place: int

    def of(self, candidate: int, seeds: int) -> Floats:
        """Return the scores of a candidate, [R, N] or [1, N]."""
        return self.studies.of(candidate)[self.place][:seeds]

    @property
    def costs(self) -> Floats:
        """What each candidate truly costs."""
        truth = self.studies.truth[self.place]
        return truth.max() - truth


class Tests:
    """The tests of all pairs of some candidates with a number of seeds."""

    def __init__(self, study: Study, candidates: Sequence[int], seeds: int) -> None:
        self.study, self.candidates, self.seeds = study, candidates, seeds
        self.means = {one: float(study.of(one, seeds).mean()) for one in candidates}
        self.gaps: dict[tuple[int, int], Floats] = {}
        self.parts: dict[tuple[int, int], Spread] = {}
        self.df: dict[tuple[int, int], int] = {}
        self.crossed: dict[float, dict[tuple[int, int], float]] = {}
        """By value, the p-values of the crossed test of each pair with a trained method."""
        trained = sum(one < TRAINED for one in candidates)
        for both in (True, False):
            pairs = [(i, j) for i, j in combinations(candidates, 2) if i < TRAINED and (j < TRAINED) == both]
            if not pairs:
                continue
            gaps = np.stack([study.of(i, seeds) - study.of(j, seeds) for i, j in pairs])
            parts, df = spread(gaps), seeds - 1
            usual = usual_variance(parts.seeds, methods=trained, seeds=seeds)
            if usual is not None:
                parts, df = parts._replace(seeds=np.maximum(parts.seeds, usual)), 2 * df
            for place, pair in enumerate(pairs):
                self.gaps[pair], self.gaps[pair[::-1]] = gaps[place], -gaps[place]
                own = Spread(*(part[place] for part in parts))
                self.parts[pair] = self.parts[pair[::-1]] = own
                self.df[pair] = self.df[pair[::-1]] = df
        for i, j in combinations([one for one in candidates if one >= TRAINED], 2):
            self.gaps[i, j] = study.of(i, 1) - study.of(j, 1)
            self.gaps[j, i] = -self.gaps[i, j]
            self.parts[i, j] = self.parts[j, i] = spread(self.gaps[i, j], seeded=False)

    def below(self, pair: tuple[int, int], value: float, level: float) -> bool:
        """Return whether the upper bound of the first's mean minus the second's is at most a value."""
        parts = self.parts[pair]
        if value - float(self.gaps[pair].mean()) < 0 or self._crossed(value).get(pair, 0.0) > level:
            return False
        size = typical_change(self.gaps[pair])
        assert size is not None
        extra = float(parts.beyond_examples)
        values = self.gaps[pair].mean(0)
        return bounded.p_at_least(values, value, added_value=size, extra_variance=extra) <= level

    def _crossed(self, value: float) -> dict[tuple[int, int], float]:
        if value not in self.crossed:
            found = self.crossed[value] = {}
            for df in set(self.df.values()):
                pairs = [pair for pair in self.gaps if self.df.get(pair) == df]
                parts = Spread(*(np.array([self.parts[pair][one] for pair in pairs]) for one in range(3)))
                distances = value - np.array([self.gaps[pair].mean() for pair in pairs])
                p_values = tail(distances, parts, seeds=df + 1, examples=self.gaps[pairs[0]].shape[1])
                found.update(zip(pairs, p_values.tolist(), strict=True))
        return self.crossed[value]

    def may_be_best(self, level: float) -> list[int]:
        """Return the candidates of which none other is shown to be better."""
        found = []
        for one in self.candidates:
            others = (other for other in self.candidates if other != one)
            if not any(self.below((one, other), -_SLIGHTLY, level) for other in others):
                found.append(one)
        return found

    def costs_at_most(self, one: int, rivals: Collection[int], value: float, level: float) -> bool:
        """Return whether a candidate's bound of costs is at most a value."""
        return all(self.below((rival, one), value, level) for rival in rivals if rival != one)

    def may_settle(self, rivals: Collection[int], later: Look) -> bool:
        """Return whether a later look may show some candidate, by the rule of `decide`."""
        level = later.alpha / (CANDIDATES - 1)
        return any(
            all(self._may_settle((rival, one), later.seeds, level) for rival in rivals if rival != one)
            for one in self.candidates
        )

    def _may_settle(self, pair: tuple[int, int], seeds: int, level: float) -> bool:
        gaps, parts = self.gaps[pair], self.parts[pair]
        examples = gaps.shape[1]
        later = Spread(parts.seeds * self.seeds / seeds, parts.beyond_seeds, np.zeros(()))
        change = float(np.sqrt(np.maximum(parts.seeds - later.seeds, 0)))
        favorable = MARGIN - float(gaps.mean()) + float(ndtri(1 - FUTILE)) * change
        added = min(1.0, 2 * float(gaps.std())) / examples
        exact = added + float(ndtri(1 - level)) * float(np.hypot(np.sqrt(later.total), added))
        if favorable < exact:
            return False
        df = self.df.get(pair, 1) * (seeds - 1) // (self.seeds - 1)
        return float(tail(favorable, later, seeds=max(df, 1) + 1, examples=examples)) <= level


@dataclass
class Outcome:
    """What became of a study."""

    shown: bool = False
    recommended: int = 0
    runs: int = 0
    left: list[int] = field(default_factory=list)
    """Trained methods that were not dropped."""
    end: str = "all seeds"
    best_lost: bool = False
    bound_broken: bool = False
    kept_too_few: bool = False
    """A method that truly costs at most the margin was dropped."""


def raced(study: Study, looks: Sequence[Look]) -> Outcome:
    """Race a study; with a single look it is the fixed design."""
    found = Outcome(left=list(range(TRAINED)))
    costs = study.costs
    seeds = [looks[0].seeds] * TRAINED
    for look in looks:
        for one in found.left:
            seeds[one] = look.seeds
        level = look.alpha / (CANDIDATES - 1)
        tests = Tests(study, [*found.left, *range(TRAINED, CANDIDATES)], look.seeds)
        best = tests.may_be_best(level)
        found.best_lost = found.best_lost or not any(costs[one] <= 0 for one in best)
        found.bound_broken = found.bound_broken or any(
            tests.costs_at_most(one, best, float(costs[one]) - _SLIGHTLY, level)
            for one in tests.candidates
            if costs[one] > _SLIGHTLY
        )
        leader = max(tests.candidates, key=lambda one: (tests.means[one], -one))
        within = (
            one
            for one in CHEAPEST_FIRST
            if one in tests.candidates and tests.costs_at_most(one, best, MARGIN, level)
        )
        first = next(within, None)
        found.shown, found.recommended = first is not None, leader if first is None else first
        if found.shown:
            found.end = "shown"
            break
        left = [
            one
            for one in found.left
            if one == leader or not tests.below((one, leader), -MARGIN - _SLIGHTLY, level)
        ]
        if not left:
            found.left, found.end = left, "no method"
            break
        if look != looks[-1] and not tests.may_settle(best, looks[-1]):
            found.end = "futile"
            break
        found.kept_too_few = found.kept_too_few or any(
            costs[one] <= MARGIN for one in found.left if one not in left
        )
        found.left = left
    found.runs = sum(seeds)
    return found


def check(study: Study, found: Outcome) -> None:
    """Compare with what `race` makes of the study."""
    results: dict[str, dict[int, RunResult | None]] = {}
    for place, name in enumerate(NAMES):
        values = study.of(place, SEEDS.to)
        price = float(CHEAPEST_FIRST.index(place))
        rows = np.arange(values.shape[1])
        results[name] = {
            seed: RunResult(RunScores(rows, own), price, ()) for seed, own in enumerate(values.astype(float))
        }
    entrants = Entrants(results, untrained=NAMES[TRAINED:], margin=MARGIN, prefer="stored")
    course = race(entrants, range(SEEDS.to), LOOKS)
    assert course.decision is not None
    left = [name for name in entrants.trained if name not in course.dropped]
    assert (course.end, sum(course.seeds.values()), course.decision.state == "shown", left) == (
        found.end,
        found.runs,
        found.shown,
        [NAMES[one] for one in found.left],
    ), (course, found)
    assert not found.shown or course.decision.recommended == NAMES[found.recommended]


def row(
    random: np.random.Generator, generator: Generator, examples: int, repetitions: int
) -> tuple[list[str], list[str]]:
    """Simulate studies of one kind; return its cells of both tables."""
    races: list[Outcome] = []
    fixed: list[Outcome] = []
    wrong = regret = regret_fixed = 0.0
    for studies in simulate(random, generator, Design(SEEDS.to, examples), repetitions):
        for place in range(len(studies.truth)):
            study = Study(studies, place)
            found, whole = raced(study, LOOKS), raced(study, [Look(SEEDS.to, ALPHA)])
            if len(races) < CHECKED:
                check(study, found)
            races.append(found)
            fixed.append(whole)
            wrong += found.shown and bool(study.costs[found.recommended] > MARGIN)
            regret += float(study.costs[found.recommended]) / repetitions
            regret_fixed += float(study.costs[whole.recommended]) / repetitions
    runs = float(np.mean([one.runs for one in races]))
    most = TRAINED * SEEDS.to
    left = np.mean([len(one.left) for one in races])
    ends = [sum(one.end == end for one in races) / len(races) for end in ("shown", "futile", "all seeds")]
    errors = [
        f"{np.mean([one.best_lost for one in races]):.3f}",
        f"{np.mean([one.bound_broken for one in races]):.3f}",
        f"{wrong / repetitions:.3f}",
        f"{np.mean([one.kept_too_few for one in races]):.3f}",
    ]
    gains = [
        f"{runs:.0f}",
        f"{1 - runs / most:.0%}",
        f"{max(one.runs for one in races)}",
        f"{left:.1f}",
        " ".join(f"{end:.2f}" for end in ends),
        f"{np.mean([one.shown for one in races]):.2f} ({np.mean([one.shown for one in fixed]):.2f})",
        f"{regret:.4f} ({regret_fixed:.4f})",
    ]
    return errors, gains


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="What racing costs and saves.")
    parser.add_argument("--repetitions", type=int, default=400, help="simulated studies per row")
    parser.add_argument("--examples", type=int, nargs="+", default=[200, 1000], help="test rows")
    parser.add_argument("--only", default="", help="kinds of studies whose name has this text")
    options = parser.parse_args()
    random = np.random.default_rng(0)
    errors, gains = [], []
    for name, generator in kinds():
        if options.only not in name:
            continue
        for examples in options.examples:
            wrong, gained = row(random, generator, examples, options.repetitions)
            place = f"{name}, {examples:,} rows"
            errors.append([place, *wrong])
            gains.append([place, *gained])
            print(place, *wrong, *gained, sep=" | ", file=sys.stderr, flush=True)
    table(["wrong at any look", "best lost", "bound", "shown", "within the margin, dropped"], errors)
    table(
        [
            "race of 3 to 12 seeds (fixed 12)",
            *("runs of 72", "saved", "most", "methods left", "ended: shown, futile, all seeds"),
            *("shown", "costs"),
        ],
        gains,
    )


if __name__ == "__main__":
    main()
