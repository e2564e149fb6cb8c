"""Compare methods with references: the difference, its uncertainty, and what may be claimed.

Differences are taken seed by seed and example by example, so what both models find easy, and what a seed's
data order does to both, cancels. `docs/statistics.md` gives the reasons and the measured error rates.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
import scipy

from tuneoff.spec import TrainSize
from tuneoff.stats import bounded
from tuneoff.stats.cells import UNTRAINED_SIZE, Cell, TaskSize, method_pairs
from tuneoff.stats.examples import Scores, common
from tuneoff.stats.intervals import ALPHA, Floats, Interval, interval, spread, tail, within

Outcome = Literal[
    "better",
    "better within the margin",
    "worse",
    "worse within the margin",
    "equivalent",
    "not inferior",
    "not distinguishable",
    "single seed",
]
FLIPS = 2**15
"""Sign flips are all tried up to this many (15 seeds); with more, this many random ones are."""
_FLIPS_PER_BLOCK = 2**10
_ROUNDING = 1e-12
"""Sums that differ by less, relatively, are equal."""


class Contrast(NamedTuple):
    """The difference between two models or methods, without adjustment for other comparisons."""

    difference: Interval
    """Method minus reference."""
    p_value: float
    """Of no difference, two-sided."""
    effect_size: float | None
    """Cohen's d_z over examples: the mean of their seed-averaged differences by the standard deviation of
    these; None where they do not vary."""
    sign_flip_p: float | None
    """Of no difference on these very examples, by flipping the signs of the seeds' differences; None with one
    seed."""
    p_noninferiority: float | None
    """Of a method that is lower by at least the margin; None without a margin."""
    p_equivalence: float | None
    """Of a difference of at least the margin, the larger of two one-sided tests; None without a margin."""


@dataclass(frozen=True)
class Comparison:
    """A method against a reference on one task and train size."""

    task: str
    train_size: TrainSize
    method: str
    reference: str
    metric: str
    difference: Interval
    """Method minus reference, on the same seeds and examples."""
    p_value: float
    p_adjusted: float | None
    """Holm's, over the family: the comparisons of methods, or those of ablation variants, on one task and
    train size. None with one seed, which is in no family."""
    effect_size: float | None
    sign_flip_p: float | None
    p_noninferiority: float | None
    p_noninferiority_adjusted: float | None
    """Holm's, over the family's tests of non-inferiority."""
    p_equivalence: float | None
    p_equivalence_adjusted: float | None
    """Holm's, over the family's tests of equivalence."""
    outcome: Outcome

    @property
    def level_or_better(self) -> bool:
        """Whether the method is shown to be better, or lower by less than the margin at most."""
        return _is_significant(self.p_noninferiority_adjusted) or self.outcome == "better"

    @property
    def sign_flip_floor(self) -> float | None:
        """The smallest value that `sign_flip_p` can have with this many seeds."""
        return None if self.sign_flip_p is None else 2 / 2**self.difference.seeds


class Pair(NamedTuple):
    """A method and a reference on one task and train size."""

    task: str
    train_size: TrainSize
    method: str
    reference: str


class _AdjustedPValues(NamedTuple):
    """P-values with Holm's adjustment; None where there is no test."""

    p_adjusted: float | None
    p_noninferiority_adjusted: float | None
    p_equivalence_adjusted: float | None


_NOT_TESTED = _AdjustedPValues(None, None, None)


def comparisons(
    cells: Mapping[Cell, Scores],
    *,
    references: Sequence[str],
    untrained: frozenset[str],
    margin: float | None,
    metrics: Mapping[str, str],
    ablated: frozenset[str] = frozenset(),
    shares: Mapping[Cell, float] = MappingProxyType({}),
    alone: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Comparison, ...]:
    """Compare every method with every reference, by task, train size and method in the order of the cells.

    An untrained method's only cell is compared at all train sizes. Two references meet once: an untrained
    one, or else the one named first, is then the reference. A pair without a seed or an example in common is
    excluded. `metrics` has the name of each task's metric, `ablated` the names of ablation variants.
    `shares` has the part of the error that belongs to the look at which a cell of a race got its last seeds.
    `alone` names for each method on a mixture the one that is tuned on each task alone, a reference for it.
    """
    contrasts: dict[Pair, Contrast] = {}
    for pair in _pairs(cells, references, untrained, alone):
        sides = paired_scores(cells, pair, untrained)
        if sides is not None:
            seeded = _has_trained(pair, untrained)
            contrasts[pair] = compare(*sides, seeded=seeded, margin=margin)

    # a family: all methods on one task and train size, or all ablation variants there
    families: dict[tuple[TaskSize, bool], dict[Pair, Contrast]] = {}
    for pair, contrast in contrasts.items():
        # a single seed of a trained method claims nothing, so it must not make other claims harder
        if contrast.difference.seeds > 1 or not _has_trained(pair, untrained):
            family = TaskSize(pair.task, pair.train_size), pair.method in ablated
            families.setdefault(family, {})[pair] = contrast
    adjusted: dict[Pair, _AdjustedPValues] = {}
    for (_, of_variants), family_contrasts in families.items():
        adjusted |= _adjusted(family_contrasts, {} if of_variants else shares)

    found = []
    for pair, contrast in contrasts.items():
        p_values = adjusted.get(pair, _NOT_TESTED)
        found.append(
            Comparison(
                **pair._asdict(),
                **contrast._asdict(),
                **p_values._asdict(),
                metric=metrics[pair.task],
                outcome=_outcome(contrast.difference.mean, p_values),
            )
        )
    return tuple(found)


def compare(
    method: Floats, reference: Floats, *, seeded: bool = True, margin: float | None = None
) -> Contrast:
    """Return the difference of scores [R, N] of two methods on the same seeds and examples.

    An untrained method has scores [1, N], which are compared with every seed of the other; `seeded=False`
    means that both are untrained.
    """
    differences = method - reference  # [1, N] is subtracted from every seed of the other
    # for scores in 0..1, the example that the exact test adds differs by as much as others do
    size = typical_change(differences)
    found = interval(differences, seeded=seeded, added_values=None if size is None else (-size, size))
    if size is not None:
        found = within(found, -1, 1)
    p_noninferiority = p_equivalence = None
    if margin is not None:
        # two one-sided tests: both "lower by the margin" and "higher by it" must be rejected
        p_noninferiority = p_at_least(-differences, margin, seeded=seeded)
        p_equivalence = max(p_noninferiority, p_at_least(differences, margin, seeded=seeded))
    return Contrast(
        difference=found,
        p_value=p_no_difference(differences, seeded=seeded),
        effect_size=_effect_size(differences.mean(0)),
        sign_flip_p=_sign_flip(differences.mean(1)) if found.seeds > 1 else None,
        p_noninferiority=p_noninferiority,
        p_equivalence=p_equivalence,
    )


def p_no_difference(differences: Floats, *, seeded: bool = True) -> float:
    """Return the two-sided p-value of no true difference, from differences [R, N]."""
    upper = p_at_least(differences, 0.0, seeded=seeded)
    lower = p_at_least(-differences, 0.0, seeded=seeded)
    return min(1.0, 2 * min(upper, lower))


def p_at_least(differences: Floats, value: float, *, seeded: bool = True) -> float:
    """Return the p-value of a true difference of at least a value, from differences [R, N].

    It is the larger one of two tests: the crossed one takes the examples' variance from those that differ,
    the exact one holds however few these are. For one model the exact one is enough.
    """
    seeds, examples = differences.shape
    parts = spread(differences, seeded=seeded)
    crossed = float(tail(value - differences.mean(), parts, seeds=seeds, examples=examples))
    size = typical_change(differences)
    if size is None:
        return crossed
    extra_variance = float(parts.beyond_examples)
    exact = bounded.p_at_least(differences.mean(0), value, added_value=size, extra_variance=extra_variance)
    return max(crossed, exact) if seeded and seeds > 1 else exact


def typical_change(differences: Floats) -> float | None:
    """Return by how much scores differ where they do; None for differences beyond -1..1.

    It is the mean absolute difference, weighted by its square since the larger ones decide how skewed the
    mean is. One full difference counts with them, so it is 1 for right-or-wrong scores, and near 1 where few
    scores differ.
    """
    sizes = np.abs(differences)
    return None if sizes.max() > 1 else float((1 + (sizes**3).sum()) / (1 + (sizes**2).sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values that may each be held against the level of the whole family (Holm 1979).

    The smallest of m is multiplied by m, the next by m - 1 and so on; none falls below the one before.
    """
    values = np.asarray(p_values, dtype=float)
    ascending = np.argsort(values)
    stepped = np.maximum.accumulate(values[ascending] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[ascending] = np.minimum(stepped, 1)
    return adjusted.tolist()


def _adjusted(family: Mapping[Pair, Contrast], shares: Mapping[Cell, float]) -> dict[Pair, _AdjustedPValues]:
    """Adjust the p-values of comparisons that are made together, each test among its kind.

    By its share of the error, a p-value at any look of a race becomes one for all looks (Bonferroni).
    """
    of_pairs = [
        min(shares.get(Cell(pair.task, name, pair.train_size), 1.0) for name in (pair.method, pair.reference))
        for pair in family
    ]

    def over_looks(p_values: Iterable[float | None]) -> list[float | None]:
        return [p and min(p / share, 1.0) for p, share in zip(p_values, of_pairs, strict=True)]

    different = _holm_if_tested(over_looks(one.p_value for one in family.values()))
    inferior = _holm_if_tested(over_looks(one.p_noninferiority for one in family.values()))
    beyond_margin = _holm_if_tested(over_looks(one.p_equivalence for one in family.values()))
    return dict(zip(family, map(_AdjustedPValues, different, inferior, beyond_margin), strict=True))


def _holm_if_tested(p_values: Sequence[float | None]) -> Sequence[float | None]:
    """Adjust p-values that are all None without a margin, and all numbers with one."""
    tested = [p for p in p_values if p is not None]
    return holm(tested) if tested else p_values


def _pairs(
    cells: Collection[Cell], references: Sequence[str], untrained: frozenset[str], alone: Mapping[str, str]
) -> Iterator[Pair]:
    """Yield all that could be compared; two untrained methods only once, not at every train size."""
    tasks = dict.fromkeys(task for task, _, _ in cells)
    methods = dict.fromkeys(method for _, method, _ in cells)
    sizes = dict.fromkeys(size for _, _, size in cells)
    for task, size in product(tasks, sizes):
        for method, reference in method_pairs(methods, references, untrained):
            pair = Pair(task, size, method, reference)
            if _has_trained(pair, untrained) or size == UNTRAINED_SIZE:
                yield pair
        for mixed, method in alone.items():
            if mixed in methods and method not in references:
                yield Pair(task, size, mixed, method)


def _has_trained(pair: Pair, untrained: frozenset[str]) -> bool:
    return pair.method not in untrained or pair.reference not in untrained


def paired_scores(
    cells: Mapping[Cell, Scores], pair: Pair, untrained: frozenset[str]
) -> tuple[Floats, Floats] | None:
    """Return scores [R, N] of method and reference on their common examples; None if there is none.

    Two trained methods have their common seeds, in equal order; an untrained one has its single run.
    """

    def scores_of(name: str) -> Scores | None:
        size = UNTRAINED_SIZE if name in untrained else pair.train_size
        return cells.get(Cell(pair.task, name, size))

    method, reference = scores_of(pair.method), scores_of(pair.reference)
    if method is None or reference is None:
        return None
    rows = common(method.rows, reference.rows)
    # an untrained method's seed means nothing, so it need not be one of the other's
    method_seeds, reference_seeds = method.seeds, reference.seeds
    if untrained.isdisjoint((pair.method, pair.reference)):
        method_seeds = common(method.seeds, reference.seeds)
        reference_seeds = method_seeds
    if not (rows and method_seeds and reference_seeds):
        return None
    return method.at(method_seeds, rows), reference.at(reference_seeds, rows)


def _outcome(mean: float, p_values: _AdjustedPValues) -> Outcome:
    """Return what may be claimed about a difference with such a mean."""
    if p_values.p_adjusted is None:
        return "single seed"
    equivalent = _is_significant(p_values.p_equivalence_adjusted)
    not_inferior = _is_significant(p_values.p_noninferiority_adjusted)
    if _is_significant(p_values.p_adjusted):
        # a gain within the margin needs both tests, a loss within it only that of non-inferiority
        if mean > 0:
            return "better within the margin" if equivalent else "better"
        return "worse within the margin" if not_inferior else "worse"
    if equivalent:
        return "equivalent"
    return "not inferior" if not_inferior else "not distinguishable"


def _is_significant(p: float | None) -> bool:
    return p is not None and p < ALPHA


def _effect_size(differences: Floats) -> float | None:
    deviation = differences.std(ddof=1) if len(differences) > 1 else 0.0
    return float(differences.mean() / deviation) if deviation > 0 else None


def _sign_flip(differences: Floats) -> float:
    if 2 ** len(differences) > FLIPS:
        return _random_flips(differences)
    # every combination of signs is equally likely without a difference
    flipped = scipy.stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", vectorized=True, n_resamples=np.inf
    )
    return float(flipped.pvalue)


def _random_flips(differences: Floats) -> float:
    """Return the p-value of FLIPS random sign flips of the seeds' differences [R].

    The differences' own signs count as one more flip (Phipson & Smyth 2010), so the p-value is never 0.
    """
    # a random bit for each seed says whether its sign is turned; they are drawn as bytes of eight, and each
    # byte is the place of its sum in a table of the eight seeds' sums, [bytes, 256]
    groups = -(-len(differences) // 8)
    eights = np.pad(differences, (0, 8 * groups - len(differences))).reshape(groups, 8)
    sums = eights @ np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).T.astype(float)
    random, total = np.random.default_rng(0), differences.sum()
    as_far = 0  # flips whose sum is at least as far from 0 as that of the differences
    for _ in range(FLIPS // _FLIPS_PER_BLOCK):
        drawn = random.integers(256, size=(_FLIPS_PER_BLOCK, groups), dtype=np.uint8)
        turned = np.zeros(_FLIPS_PER_BLOCK)
        for of_eight, places in zip(sums, drawn.T, strict=True):
            turned += of_eight[places]
        flipped = total - 2 * turned  # turning a sign takes its difference off the sum twice
        as_far += int((np.abs(flipped) >= abs(total) * (1 - _ROUNDING)).sum())
    return (as_far + 1) / (FLIPS + 1)
