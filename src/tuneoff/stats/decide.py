"""Decide which candidate to use on one task and train size: what is recommended, and how sure that is.

Every candidate is tested against every other, one-sided at alpha / (M - 1) for M candidates, on the seeds and
examples that both have, as in `compare`. Only the M - 1 tests that the truly best candidate takes part in can
be wrong about it, so two claims hold together with probability 1 - alpha: the best is among those that may be
best, and no candidate is worse than it by more than its bound (multiple comparisons with the best, Hsu 1984).
As all bounds hold together, they also hold for a candidate that was chosen by them. `docs/statistics.md` has
the measured error rates.
"""

import math
from bisect import bisect_left
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, NamedTuple, get_args

import numpy as np
from scipy.special import ndtri

from tuneoff.spec import Preference
from tuneoff.stats import bounded
from tuneoff.stats.compare import typical_change
from tuneoff.stats.examples import Scores, common
from tuneoff.stats.intervals import (
    ALPHA,
    Floats,
    Interval,
    Spread,
    critical,
    interval,
    seeds_share,
    spread,
    tail,
)
from tuneoff.stats.pooling import usual_variance
from tuneoff.stats.power import MOST_SEEDS, POWER, exact_distance
from tuneoff.stats.regret import expected_regrets

Limit = Literal["test set", "seeds", "single seed"]
FUTILE = 0.05
"""Seeds are in vain if the probability that they show a decision is lower."""


@dataclass(frozen=True)
class Candidate:
    """A tuned method, the base model or a baseline, and what was found about it."""

    name: str
    interval: Interval
    """Of its own mean."""
    may_be_best: bool
    """Whether no candidate without findings is shown to be better."""
    beaten_by: frozenset[str]
    """The candidates without findings that are shown to be better, where all pairs are one family: more than
    it takes to not be the best."""
    costs_at_most: float | None
    """Upper bound of the best candidate's true mean minus this one's, 0 at least; the best is that of the
    candidates without findings. None if a trained method with one seed may be the best, or is this one."""
    lacks_at_least: float | None
    """Lower bound of what it lacks against the candidate with the highest mean, of those without findings; it
    may be below 0. None if the two cannot be tested, or it is this candidate itself. The bound of a candidate
    that is not the best may be wrong more often than those of costs."""
    expected_regret: float | None
    """By how much the best is better than this one on average over a posterior: a description, not a claim.
    None without two seeds and two examples that all candidates have."""
    price: float | None
    findings: tuple[str, ...]
    """Checks that it failed. With any it is never recommended, and never the best."""

    @property
    def mean(self) -> float:
        """Its mean score over seeds and examples."""
        return self.interval.mean


class Look(NamedTuple):
    """A number of seeds of every trained method at which is decided, and the error that may be made then."""

    seeds: int
    alpha: float


class Settling(NamedTuple):
    """What it would take to show a recommendation."""

    seeds: int | None
    """Further seeds of every trained method, if differences and variances stay as they are now."""
    limit: Limit | None
    """Why there is no such number. "test set": it is too small for any number of seeds; "seeds": more than
    MOST_SEEDS would be needed; "single seed": every candidate, or a rival of it that may be the best, has one
    seed or none in common, from which nothing can be estimated."""


@dataclass(frozen=True)
class Decision:
    """Which candidate to use on one task and train size."""

    candidates: tuple[Candidate, ...]
    """In the order that they were given in."""
    recommended: str | None
    """The cheapest that costs at most the margin, or else the one with the highest mean; never one with
    findings. None if all have findings."""
    state: Literal["shown", "open"]
    """Shown if the recommended candidate costs at most the margin."""
    margin: float
    prefer: Preference
    to_settle: Settling | None
    """None if the decision is shown, or there is no candidate without findings."""
    may_be_shown: bool
    """False if a later look is given at which it would hardly be shown: with a probability below FUTILE."""

    def __getitem__(self, name: str) -> Candidate:
        """Return a candidate by its name."""
        return next(one for one in self.candidates if one.name == name)

    @property
    def within_margin(self) -> tuple[Candidate, ...]:
        """The candidates without findings that cost at most the margin."""
        return tuple(one for one in self.candidates if not one.findings and _costs_at_most(one, self.margin))

    def frontier(self, prices: Mapping[str, float | None]) -> tuple[str, ...]:
        """Return the candidates that are worth their price: none at most as expensive is shown to be better.

        Candidates without a price, and those with findings, are left out. With 95% confidence, none is left
        out that truly belongs to them, whatever the prices are.
        """
        known = {name: price for name, price in prices.items() if price is not None}
        return tuple(
            one.name
            for one in self.candidates
            if one.name in known
            and not one.findings
            and not any(known.get(rival, math.inf) <= known[one.name] for rival in one.beaten_by)
        )


def _costs_at_most(one: Candidate, margin: float) -> bool:
    return one.costs_at_most is not None and one.costs_at_most <= margin


class _Pair(NamedTuple):
    """Two candidates on their common seeds and examples."""

    differences: Floats
    """The first minus the second, [R, N]."""
    trained: int
    """How many of the two are trained."""
    parts: Spread
    df: int
    """Degrees of freedom of the seeds' part."""

    @property
    def flipped(self) -> "_Pair":
        """The second minus the first."""
        return self._replace(differences=-self.differences)

    @property
    def kind(self) -> tuple[int, ...]:
        """What pairs have in common whose seeds' variances are alike."""
        return self.trained, *self.differences.shape

    def bound(self, level: float, factor: float) -> float:
        """Return the one-sided upper bound of the true mean difference; `factor` is the crossed test's."""
        crossed = float(self.differences.mean()) + factor * math.sqrt(self.parts.total)
        size = typical_change(self.differences)
        if size is None:
            return crossed
        exact = bounded.highest(
            self.differences.mean(0),
            added_value=size,
            alpha=level,
            extra_variance=float(self.parts.beyond_examples),
            at_least=crossed if self.trained else None,  # without seeds the exact test is enough
        )
        return min(exact, 1.0)

    def settles(self, distance: float, seeds: float, level: float) -> bool:
        """Return whether a difference this far below a bound would be shown with this many seeds.

        That is with probability POWER, and with variances as they are estimated now. With infinitely many
        seeds the test set's part is all that remains.
        """
        std_error = math.sqrt(self._with(seeds).total)
        return self._shows(distance - float(ndtri(POWER)) * std_error, seeds, level)

    def may_settle(self, distance: float, seeds: float, level: float) -> bool:
        """Return whether a difference this far below a bound may be shown once there are this many seeds.

        That is with probability FUTILE at least, given the seeds and examples that are there.
        """
        # the seeds that are there are among the later ones
        change = math.sqrt(max(float(self.parts.seeds - self._with(seeds).seeds), 0))
        return self._shows(distance + float(ndtri(1 - FUTILE)) * change, seeds, level)

    def _with(self, seeds: float) -> Spread:
        """Return the parts of the variance with another number of seeds, as they are estimated now."""
        of_seeds = self.parts.seeds * (len(self.differences) / seeds)
        return Spread(of_seeds, self.parts.beyond_seeds, np.zeros_like(of_seeds))

    def _shows(self, distance: float, seeds: float, level: float) -> bool:
        """Return whether a difference that is seen this far below a bound is shown with this many seeds."""
        present, examples = self.differences.shape
        parts = self._with(seeds)
        df = 1 if math.isinf(seeds) else max(self.df * (int(seeds) - 1) // max(present - 1, 1), 1)
        exact = float(exact_distance(math.sqrt(parts.total), float(self.differences.std()), examples, level))
        return distance >= exact and float(tail(distance, parts, seeds=df + 1, examples=examples)) <= level


_Pairs = dict[tuple[str, str], _Pair]


def decide(
    scores: Mapping[str, Scores],
    *,
    untrained: Collection[str],
    margin: float,
    prefer: Preference = "score",
    prices: Mapping[str, float | None] | None = None,
    findings: Mapping[str, Collection[str]] | None = None,
    alpha: float = ALPHA,
    later: Look | None = None,
    family: int = 0,
    pooled: bool = True,
) -> Decision:
    """Decide among the candidates of one task and train size.

    `scores` has each candidate's values, in 0..1 as all main metrics are. Those in `untrained` (the base
    model, baselines) have one row, which counts as certain as far as seeds are concerned. `prices` are those
    of the preference; a candidate without a price comes after all that have one. `findings` are the checks
    that a candidate failed. With `pooled`, the seeds' variances of trained methods support each other. The
    bounds hold together with probability 1 - `alpha`. M is `family` at least: candidates may have left
    before. `later` is the last opportunity to decide with more seeds: what it takes to settle the decision is
    with the error of that one.

    Raises:
        ValueError: there is no candidate, the margin is not above 0, or the preference is unknown.
    """
    if not scores or not margin > 0 or prefer not in get_args(Preference):
        raise ValueError(
            f"a candidate, `margin > 0` and `prefer` in {get_args(Preference)} must hold, "
            f"got {len(scores)} candidates, margin={margin}, prefer={prefer!r}"
        )
    failed = {name: tuple(found) for name, found in (findings or {}).items() if found}
    clean = [name for name in scores if name not in failed]
    pairs = _pairs(scores, untrained, failed)
    if pooled:
        pairs = _pool(pairs, untrained, failed)
    # a method with one seed claims nothing, so it does not make other claims harder
    tested = {name for names in pairs for name in names}
    others_tested = max(len(tested) - 1, family - 1, 1)
    bounds = _bounds(pairs, alpha / others_tested)

    # a rival is shown to be better where the bound of this one minus the rival is below 0
    may_be_best = {name: all(bounds.get((name, rival), 0) >= 0 for rival in clean) for name in scores}
    rivals = [name for name in clean if may_be_best[name]]
    beaten_by = _beaten_by(pairs, bounds, alpha / max(math.comb(len(tested), 2), 1))
    costs: dict[str, float] = {}
    for name in scores:
        others = [bounds.get((rival, name), math.inf) for rival in rivals if rival != name]
        costs[name] = max([0.0, *others])
    regrets = expected_regrets(scores, untrained, clean)
    leader = min(clean, key=lambda name: (-scores[name].values.mean(), name), default=None)
    candidates = {
        name: Candidate(
            name=name,
            interval=interval(one.values, seeded=name not in untrained),
            may_be_best=may_be_best[name],
            beaten_by=beaten_by.get(name, frozenset()) - failed.keys(),
            costs_at_most=costs[name] if rivals and math.isfinite(costs[name]) else None,
            lacks_at_least=-bounds[name, leader] if leader and (name, leader) in bounds else None,
            expected_regret=regrets.get(name),
            price=(prices or {}).get(name),
            findings=failed.get(name, ()),
        )
        for name, one in scores.items()
    }

    best_first = sorted((candidates[name] for name in clean), key=lambda one: (-one.mean, one.name))
    affordable = [one for one in best_first if _costs_at_most(one, margin)]
    if prefer != "score":
        affordable.sort(key=lambda one: math.inf if one.price is None else one.price)
    level_later = (later.alpha if later else alpha) / others_tested
    distances = [] if affordable else _distances(pairs, best_first, margin)
    return Decision(
        candidates=tuple(candidates.values()),
        recommended=next((one.name for one in affordable or best_first), None),
        state="shown" if affordable else "open",
        margin=margin,
        prefer=prefer,
        to_settle=None if affordable or not clean else _to_settle(pairs, distances, level_later),
        may_be_shown=not later or bool(affordable) or _may_settle(distances, later.seeds, level_later),
    )


def _pairs(scores: Mapping[str, Scores], untrained: Collection[str], failed: Collection[str]) -> _Pairs:
    """Return the pairs that can be tested, in either order.

    Not so pairs without seeds or examples in common, those of which a trained method has one seed, as other
    seeds may do anything, and those of two candidates with findings.
    """
    pairs: _Pairs = {}
    for names in combinations(scores, 2):
        first, second = (scores[name] for name in names)
        trained = sum(name not in untrained for name in names)
        # what is untrained has a single row, which is subtracted from every seed of the other
        seeds = common(first.seeds, second.seeds)
        rows = common(first.rows, second.rows)
        sides = [one.at(seeds if trained == 2 else one.seeds, rows) for one in (first, second)]
        differences = sides[0] - sides[1]
        seeds_enough = len(differences) > 1 or not trained
        if not rows or not seeds_enough or all(name in failed for name in names):
            continue
        parts = spread(differences, seeded=trained > 0)
        pair = _Pair(differences, trained, parts, df=max(len(differences) - 1, 1))
        pairs[names], pairs[names[::-1]] = pair, pair.flipped
    return pairs


def _pool(pairs: _Pairs, untrained: Collection[str], failed: Collection[str]) -> _Pairs:
    """Let no seeds' variance be below the median of its kind, and double its degrees of freedom.

    A variance of three seeds is far too small now and then, which is why a test on two degrees of freedom
    asks for so much. A variance that is at least what is usual among the methods errs less. A method with
    noisier seeds keeps its own larger variance, and has the median where its own happens to be small.
    """
    kinds: dict[tuple[int, ...], _Pairs] = {}
    for names, pair in pairs.items():
        if pair.trained and not any(name in failed for name in names):
            kinds.setdefault(pair.kind, {})[names] = pair
    pooled = dict(pairs)
    for kind, alike in kinds.items():
        methods = {name for names in alike for name in names if name not in untrained}
        seeds = next(len(pair.differences) for pair in alike.values())
        of_pairs = np.array([pair.parts.seeds for pair in alike.values()])
        usual = usual_variance(of_pairs, methods=len(methods), seeds=seeds)
        if usual is None:
            continue
        for names, pair in pairs.items():
            if pair.kind == kind:
                parts = pair.parts._replace(seeds=np.maximum(pair.parts.seeds, usual))
                pooled[names] = pair._replace(parts=parts, df=2 * (seeds - 1))
    return pooled


def _bounds(pairs: _Pairs, level: float) -> dict[tuple[str, str], float]:
    """Return the one-sided upper bound of each true mean difference."""
    # a search for many critical values takes as long as one, if their degrees of freedom are equal
    alike: dict[tuple[int, int], _Pairs] = {}
    for names, pair in pairs.items():
        alike.setdefault((pair.df, pair.differences.shape[1]), {})[names] = pair
    bounds = {}
    for (df, examples), group in alike.items():
        shares = np.array([seeds_share(pair.parts) for pair in group.values()])
        factors = critical(shares, seeds=df + 1, examples=examples, alpha=2 * level)
        for (names, pair), factor in zip(group.items(), factors.tolist(), strict=True):
            bounds[names] = pair.bound(level, factor)
    return bounds


def _beaten_by(
    pairs: _Pairs, bounds: Mapping[tuple[str, str], float], level: float
) -> dict[str, frozenset[str]]:
    """Return who is shown to be better than each candidate, in tests of this level.

    The best candidate takes part in M - 1 tests; a statement about any two needs a level for all pairs,
    M (M - 1) / 2. Only what was shown at the level of the bounds can be shown at this lower one.
    """
    shown = {names: pair for names, pair in pairs.items() if bounds[names] < 0}
    found: dict[str, frozenset[str]] = {}
    for (name, rival), bound in _bounds(shown, level).items():
        if bound < 0:
            found[name] = found.get(name, frozenset()) | {rival}
    return found


_Distances = list[list[tuple[_Pair, float]]]


def _distances(pairs: _Pairs, best_first: list[Candidate], margin: float) -> _Distances:
    """Return each testable candidate's rivals, with how far the difference to each is below the margin."""
    distances = []
    for one in best_first:
        rivals = [rival for rival in best_first if rival.may_be_best and rival is not one]
        if all((rival.name, one.name) in pairs for rival in rivals):
            distances.append(
                [(pairs[rival.name, one.name], margin + one.mean - rival.mean) for rival in rivals]
            )
    return distances


def _to_settle(pairs: _Pairs, distances: _Distances, level: float) -> Settling:
    """Return how many seeds would show some candidate without findings to cost at most the margin."""
    if not distances:
        return Settling(None, "single seed")

    def enough(seeds: float) -> bool:
        """Return whether some candidate would be shown against every rival."""
        for rivals in distances:
            if all(pair.settles(distance, seeds, level) for pair, distance in rivals):
                return True
        return False

    present = max(len(pair.differences) for pair in pairs.values())
    numbers = range(present + 1, MOST_SEEDS + 1)
    place = bisect_left(numbers, True, key=enough)
    if place < len(numbers):
        return Settling(numbers[place] - present, None)
    return Settling(None, "seeds" if enough(math.inf) else "test set")


def _may_settle(distances: _Distances, seeds: int, level: float) -> bool:
    """Return whether this many seeds may show some candidate; candidates with a single seed may be, too."""
    return not distances or any(
        all(pair.may_settle(distance, seeds, level) for pair, distance in rivals) for rivals in distances
    )
