"""Print how often the decision's claims are right, on simulated studies whose truth is known.

    python benchmarks/calibration_decision.py [--repetitions 400]

A study has six trained methods and two untrained candidates (a base model, a baseline) on one task. An
example's score is a function of a latent number: the method's level, the seed's effect on the method, the
example's difficulty for all methods and for this one, and noise. True means come from numerical integration.

First table: how often the set of candidates that may be best holds the best one, how often all bounds of
costs hold together, and how often a recommendation is shown but costs more than the margin (the worst of
three margins). Second table: how often a recommendation is shown, by margin. Third table: how many candidates
may be best, what the recommended one truly costs, and its expected regret. Fourth table: how often a decision
that is open after three seeds is shown after as many as it asks for.

Studies are judged by the crossed test for all of them at once, and by the exact one where that matters; the
first ones of each kind are judged by `decide`, too, which must agree.
"""

import argparse
import gc
import math
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri, ndtr, ndtri
from scipy.stats import norm, t
from tabulate import tabulate

from tuneoff.stats import Decision, Scores, bounded, decide
from tuneoff.stats.compare import typical_change
from tuneoff.stats.intervals import ALPHA, Spread, critical, seeds_share, spread
from tuneoff.stats.regret import expected_regrets

Floats = NDArray[np.float64]
TRAINED, UNTRAINED = 6, 2
CANDIDATES = TRAINED + UNTRAINED
LEVEL = ALPHA / (CANDIDATES - 1)
MARGINS = (0.01, 0.02, 0.05)
NAMES = ("a", "b", "c", "d", "e", "f", "base", "baseline")
CHEAPEST_FIRST = (6, 7, 5, 4, 3, 2, 1, 0)
"""Places of the candidates by price. The first one, the best where the kind of study says so, costs most."""
CHECKED, DESCRIBED = 2, 50
"""Studies of each kind that `decide` judges as well, and whose expected regret is computed."""
CHUNK = 4_000_000
"""Scores that are in memory at once."""
_QUANTILES = (np.arange(4001) + 0.5) / 4001


class Generator(NamedTuple):
    """How the scores of a study come about. Variances are of the latent."""

    name: str
    mean: float
    tau: float = 1e-6
    """Standard deviation of the candidates' true means; if tiny, the best one leads by next to nothing."""
    seed_sd: float = 0.01
    """Standard deviation of a method's true score over seeds."""
    graded: bool = False
    """A graded score of which many are 0, instead of right or wrong."""
    heavy: bool = False
    """Seeds have Student's t distribution with 2.2 degrees of freedom, with the quartiles of the normal."""
    cluster: int = 1
    """Examples of a cluster share 0.1 of the variance of what is particular to a method."""
    noisy: float = 1.0
    """Factor by which the best method's seeds vary more; it is a trained one then."""
    behind: float = 0.0
    """If given, all others are lower than the best method by just this."""
    gaps: tuple[float, ...] = ()
    """If given, by how much each candidate is lower than `mean`."""

    @property
    def variances(self) -> tuple[float, float, float]:
        """Of an example for all methods, of an example for one method, and of the rest."""
        return (0.35, 0.10, 0.12) if self.graded else (0.85, 0.06, 0.09)

    def score(self, latent: Floats) -> Floats:
        """Return the scores of latent numbers."""
        if self.graded:
            return np.where(latent < -1.2, 0.0, ndtr(latent))
        return (latent > 0).astype(np.float64)


class Design(NamedTuple):
    """A size of study."""

    seeds: int
    examples: int

    def __str__(self) -> str:
        return f"{self.seeds} x {self.examples:,}"


GENERATORS = (
    Generator("equal", 0.75),
    Generator("equal, seed sd 0.03", 0.75, seed_sd=0.03),
    Generator("tau 0.02", 0.75, tau=0.02),
    Generator("tau 0.05", 0.75, tau=0.05),
    Generator("ROUGE-like, equal", 0.25, graded=True),
    Generator("ROUGE-like, tau 0.02", 0.25, tau=0.02, graded=True),
    Generator("heavy-tailed seeds, equal", 0.75, heavy=True),
    Generator("heavy-tailed seeds, tau 0.02", 0.75, tau=0.02, heavy=True),
    Generator("near the ceiling, tau 0.005", 0.98, tau=0.005, seed_sd=0.003),
    Generator("the best has noisy seeds", 0.75, noisy=4.0),
    Generator("ROUGE-like, the best has noisy seeds", 0.25, graded=True, noisy=4.0),
    Generator("all others lower by 0.02", 0.75, behind=0.02),
    Generator("ROUGE-like, all others lower by 0.02", 0.25, graded=True, behind=0.02),
    Generator("clusters of 5 rows, equal", 0.75, cluster=5),
    Generator("clusters of 10 rows, equal", 0.75, cluster=10),
)
DESIGNS = (Design(3, 200), Design(3, 1000), Design(5, 200), Design(5, 1000))


@cache
def _curve(generator: Generator) -> tuple[Floats, Floats]:
    """Return latent levels and the mean score at each, for one seed."""
    levels = np.linspace(-6, 8, 2001)
    width = math.sqrt(sum(generator.variances))
    examples = width * ndtri((np.arange(2001) + 0.5) / 2001)
    if not generator.graded:
        return levels, ndtr(levels / width)
    return levels, generator.score(levels[:, None] + examples).mean(1)


@cache
def _seed_scale(generator: Generator) -> float:
    """Return the deviation of the latent over seeds that gives true scores the deviation `seed_sd`."""
    levels, means = _curve(generator)
    slope = np.interp(generator.mean, means, np.gradient(means, levels))
    return float(generator.seed_sd / slope)


def _seed_effects(generator: Generator, scale: float, normal: Floats) -> Floats:
    """Turn standard normal numbers into effects of seeds."""
    if not generator.heavy:
        return scale * normal
    return scale * norm.ppf(0.75) / t.ppf(0.75, 2.2) * t.ppf(ndtr(normal), 2.2)


@cache
def _level_curve(generator: Generator, scale: float) -> tuple[Floats, Floats]:
    """Return latent levels and the mean score at each, over all seeds."""
    levels, means = _curve(generator)
    effects = _seed_effects(generator, scale, ndtri(_QUANTILES))
    inner = levels[300:1701]
    return inner, np.array([np.interp(level + effects, levels, means).mean() for level in inner])


def true_means(random: np.random.Generator, generator: Generator, count: int) -> Floats:
    """Draw the candidates' true means, [count, CANDIDATES]."""
    if generator.gaps:
        return np.tile(generator.mean - np.array(generator.gaps), (count, 1))
    if generator.behind:
        means = np.full((count, CANDIDATES), generator.mean - generator.behind * (1 + 1e-9))
        means[:, 0] = generator.mean
        return means
    means = generator.mean + generator.tau * random.standard_normal((count, CANDIDATES))
    means = np.clip(means, 0.02, 0.998)
    if generator.noisy != 1:  # the best one gets the noisy seeds
        rows, best = np.arange(count), means.argmax(1)
        means[rows, best], means[rows, 0] = means[rows, 0].copy(), means[rows, best].copy()
    return means


class Studies(NamedTuple):
    """Several studies of one kind."""

    trained: Floats
    """[C, TRAINED, R, N]"""
    untrained: Floats
    """[C, UNTRAINED, 1, N]"""
    truth: Floats
    """[C, CANDIDATES]"""

    def of(self, candidate: int) -> Floats:
        """Return the scores [C, R, N] or [C, 1, N] of a candidate."""
        return self.trained[:, candidate] if candidate < TRAINED else self.untrained[:, candidate - TRAINED]

    def labeled(self, study: int, seeds: int | None = None) -> dict[str, Scores]:
        """Return the scores of one study, of the first seeds."""
        values = {name: self.of(place)[study][:seeds] for place, name in enumerate(NAMES)}
        rows = tuple(range(self.trained.shape[-1]))
        return {name: Scores(tuple(range(len(one))), rows, one) for name, one in values.items()}


def simulate(
    random: np.random.Generator, generator: Generator, design: Design, repetitions: int
) -> Iterator[Studies]:
    """Yield studies, in chunks."""
    at_once = max(1, CHUNK // (CANDIDATES * design.seeds * design.examples))
    for start in range(0, repetitions, at_once):
        count = min(at_once, repetitions - start)
        truth = true_means(random, generator, count)
        scale = _seed_scale(generator)
        scales = np.full(TRAINED, scale)
        scales[0] *= generator.noisy
        levels = np.empty_like(truth)
        for place in range(CANDIDATES):
            of_seeds = scales[place] if place < TRAINED else 0.0
            grid, means = _level_curve(generator, float(of_seeds))
            levels[:, place] = np.interp(truth[:, place], means, grid)
        shared, own, noise = generator.variances
        examples = design.examples
        common = math.sqrt(shared) * random.standard_normal((count, 1, 1, examples), dtype=np.float32)
        particular = random.standard_normal((count, CANDIDATES, 1, examples), dtype=np.float32)
        if generator.cluster > 1:
            of_cluster = random.standard_normal((count, CANDIDATES, 1, examples // generator.cluster))
            of_cluster = np.repeat(of_cluster, generator.cluster, axis=-1)
            particular = math.sqrt(0.1) * of_cluster + math.sqrt(0.9) * particular
        fixed = levels[:, :, None, None] + common + math.sqrt(own) * particular
        normal = random.standard_normal((count, TRAINED, design.seeds, 1))
        effects = _seed_effects(generator, 1.0, normal) * scales[:, None, None]
        rest = random.standard_normal((count, TRAINED, design.seeds, examples), dtype=np.float32)
        trained = fixed[:, :TRAINED] + effects + math.sqrt(noise) * rest
        rest = random.standard_normal((count, UNTRAINED, 1, examples), dtype=np.float32)
        untrained = fixed[:, TRAINED:] + math.sqrt(noise) * rest
        yield Studies(generator.score(trained), generator.score(untrained), truth)


class Bounds:
    """The tests of all pairs of candidates of C studies: the crossed one of all, the exact one on demand."""

    def __init__(self, studies: Studies, design: Design, *, pooled: bool) -> None:
        self.studies = studies
        places = [(i, j) for i in range(CANDIDATES) for j in range(i + 1, CANDIDATES)]
        shape = len(studies.truth), CANDIDATES, CANDIDATES
        self.difference = np.zeros(shape)
        """Mean of i minus mean of j, [C, M, M]."""
        self.reach = np.full(shape, -np.inf)
        """Distance from there to the bound of the crossed test, which pairs without seeds do not have."""
        self.extra = np.zeros(shape)
        """The variance that the exact test is given."""
        parts: dict[tuple[int, int], Spread] = {}
        for i, j in places:
            gap = studies.of(i) - studies.of(j)
            self.difference[:, i, j] = gap.mean((-2, -1))
            self.difference[:, j, i] = -self.difference[:, i, j]
            parts[i, j] = spread(gap, seeded=i < TRAINED)
        for both_trained in (True, False):
            alike = [(i, j) for i, j in places if i < TRAINED and (j < TRAINED) == both_trained]
            joined = Spread(*(np.stack(part) for part in zip(*(parts[pair] for pair in alike), strict=True)))
            df = design.seeds - 1
            if pooled:
                median = np.median(joined.seeds, axis=0) * df / chdtri(df, 0.5)
                joined = joined._replace(seeds=np.maximum(joined.seeds, median))
                df *= 2
            factor = critical(seeds_share(joined), seeds=df + 1, examples=design.examples, alpha=2 * LEVEL)
            reach, extra = factor * np.sqrt(joined.total), joined.beyond_examples
            for place, (i, j) in enumerate(alike):
                self.reach[:, i, j] = self.reach[:, j, i] = reach[place]
                self.extra[:, i, j] = self.extra[:, j, i] = extra[place]

    def below(self, study: int, i: int, j: int, value: float) -> bool:
        """Return whether the bound of the mean of i minus that of j is at most a value."""
        if self.difference[study, i, j] + self.reach[study, i, j] > value:
            return False
        gap = self.studies.of(i)[study] - self.studies.of(j)[study]
        size = typical_change(gap)
        assert size is not None
        extra = float(self.extra[study, i, j])
        return bounded.p_at_least(gap.mean(0), value, added_value=size, extra_variance=extra) <= LEVEL

    def may_be_best(self, study: int) -> list[int]:
        """Return the candidates to which no rival is shown to be superior."""
        found = []
        for one in range(CANDIDATES):
            lack = self.difference[study, one] + self.reach[study, one]  # the clearest rival comes first
            rivals = (int(rival) for rival in np.argsort(lack) if rival != one)
            if not any(self.below(study, one, rival, -1e-12) for rival in rivals):
                found.append(one)
        return found

    def costs_at_most(self, study: int, one: int, rivals: Sequence[int], value: float) -> bool:
        """Return whether the bound of the cost of a candidate is at most a value."""
        return all(self.below(study, rival, one, value) for rival in rivals if rival != one)


class Outcome(NamedTuple):
    """What was claimed of a study, and whether it is true."""

    set_holds: bool
    bounds_hold: bool
    set_size: int
    shown: tuple[bool, ...]
    """By margin."""
    wrong: tuple[bool, ...]
    """Shown, but the recommended candidate costs more than the margin."""
    regret: float
    """True cost of the candidate that is recommended with the second margin."""
    recommended: int


def outcome(bounds: Bounds, study: int) -> Outcome:
    """Return what is claimed of a study."""
    truth = bounds.studies.truth[study]
    costs = truth.max() - truth
    rivals = bounds.may_be_best(study)
    broken = (
        bounds.costs_at_most(study, one, rivals, float(costs[one]) - 1e-12)
        for one in range(CANDIDATES)
        if costs[one] > 1e-12
    )
    shown, wrong, chosen = [], [], []
    leader = int(np.argmax([bounds.studies.of(one)[study].mean() for one in range(CANDIDATES)]))
    for margin in MARGINS:
        within = (one for one in CHEAPEST_FIRST if bounds.costs_at_most(study, one, rivals, margin))
        first = next(within, None)
        chosen.append(leader if first is None else first)
        shown.append(first is not None)
        wrong.append(first is not None and bool(costs[first] > margin))
    return Outcome(
        set_holds=int(truth.argmax()) in rivals,
        bounds_hold=not any(broken),
        set_size=len(rivals),
        shown=tuple(shown),
        wrong=tuple(wrong),
        regret=float(costs[chosen[1]]),
        recommended=chosen[1],
    )


def decided(scores: dict[str, Scores], margin: float, *, pooled: bool = True) -> Decision:
    """Return the decision of a study."""
    prices = {NAMES[place]: float(rank) for rank, place in enumerate(CHEAPEST_FIRST)}
    return decide(
        scores, untrained=NAMES[TRAINED:], margin=margin, prefer="stored", prices=prices, pooled=pooled
    )


def check(studies: Studies, study: int, found: Outcome, *, pooled: bool) -> None:
    """Compare a study's outcome with that of `decide`."""
    decision = decided(studies.labeled(study), MARGINS[1], pooled=pooled)
    size = sum(one.may_be_best for one in decision.candidates)
    shown = "shown" if found.shown[1] else "open"
    assert (decision.state, size) == (shown, found.set_size)
    # while it is open, the leader may be one of several with the same mean
    assert shown == "open" or decision.recommended == NAMES[found.recommended]


class Figures(NamedTuple):
    """Outcomes of all studies of one kind."""

    outcomes: list[Outcome]
    expected: float
    """Mean expected regret of the recommended candidate."""

    def share(self, field: str) -> Floats:
        """Return the mean of a field."""
        return np.mean([getattr(one, field) for one in self.outcomes], axis=0)

    @property
    def errors(self) -> str:
        """Shares of studies whose set holds, whose bounds hold, and whose recommendation is wrong."""
        wrong = self.share("wrong").max()
        return f"{self.share('set_holds'):.3f} {self.share('bounds_hold'):.3f} {wrong:.3f}"

    @property
    def shown(self) -> str:
        """Shares of studies with a shown recommendation, by margin."""
        return " ".join(f"{share:.2f}" for share in self.share("shown"))


def figures(
    random: np.random.Generator, generator: Generator, design: Design, repetitions: int, *, pooled: bool
) -> Figures:
    """Simulate studies of one kind."""
    outcomes: list[Outcome] = []
    expected: list[float] = []
    for studies in simulate(random, generator, design, repetitions):
        bounds = Bounds(studies, design, pooled=pooled)
        for study in range(len(studies.truth)):
            found = outcome(bounds, study)
            if len(outcomes) < CHECKED:
                check(studies, study, found, pooled=pooled)
            if len(outcomes) < DESCRIBED:
                regrets = expected_regrets(studies.labeled(study), NAMES[TRAINED:], NAMES)
                expected.append(regrets[NAMES[found.recommended]])
            outcomes.append(found)
    return Figures(outcomes, float(np.mean(expected)))


def settled(
    random: np.random.Generator, generator: Generator, examples: int, margin: float, studies: int
) -> list[str]:
    """Measure how often open decisions are shown once they have the seeds that they ask for, up to 30."""
    open_ones, asked, shown = 0, [], []
    for some in simulate(random, generator, Design(30, examples), studies):
        for study in range(len(some.truth)):
            to_settle = decided(some.labeled(study, 3), margin).to_settle
            if to_settle is None:
                continue
            open_ones += 1
            if to_settle.seeds is None or to_settle.seeds > 27:
                continue
            asked.append(to_settle.seeds)
            shown.append(decided(some.labeled(study, 3 + to_settle.seeds), margin).state == "shown")
    median = f"{np.median(asked):.0f}" if asked else "-"
    share = f"{np.mean(shown):.2f}" if shown else "-"
    return [
        f"{generator.name}, {examples:,} rows, margin {margin}",
        str(open_ones),
        str(len(asked)),
        median,
        share,
    ]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table in Markdown."""
    print(tabulate(rows, headers=heads, tablefmt="github", disable_numparse=True), end="\n\n", flush=True)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description="How often tuneoff's decisions are right.")
    parser.add_argument("--repetitions", type=int, default=400, help="simulated studies per figure")
    repetitions = parser.parse_args().repetitions
    random = np.random.default_rng(0)
    gc.freeze()
    errors, power, sizes = [], [], []
    for generator in GENERATORS:
        found = [figures(random, generator, one, repetitions, pooled=True) for one in DESIGNS]
        errors.append([generator.name, *(one.errors for one in found)])
        print(*errors[-1], sep=" | ", file=sys.stderr, flush=True)
        if generator.tau < 0.001:
            continue
        own = [figures(random, generator, one, repetitions // 2, pooled=False) for one in DESIGNS]
        both = list(zip(found, own, strict=True))
        power.append([generator.name, *(f"{one.shown} ({two.shown})" for one, two in both)])
        sizes.append(
            [
                generator.name,
                *(
                    f"{one.share('set_size'):.1f} ({two.share('set_size'):.1f}); "
                    f"{one.share('regret'):.4f}, {one.expected:.4f}"
                    for one, two in both
                ),
            ]
        )
    designs = [str(one) for one in DESIGNS]
    table(["set holds, bounds hold, wrong", *designs], errors)
    table([f"shown at margins {', '.join(map(str, MARGINS))} (not pooled)", *designs], power)
    table(["may be best of 8 (not pooled); cost, expected", *designs], sizes)
    by_name = {generator.name: generator for generator in GENERATORS}
    rows = [
        settled(random, by_name["tau 0.02"], 1000, 0.02, repetitions // 4),
        settled(random, by_name["tau 0.05"], 200, 0.05, repetitions // 4),
    ]
    table(["after 3 seeds", "open", "27 more are enough", "asked for (median)", "then shown"], rows)


if __name__ == "__main__":
    main()
