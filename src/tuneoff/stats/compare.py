"""Methods against references: the difference, how sure it is, and what may be said of it.

A difference is taken seed by seed and example by example, so what both models find easy, and what a seed's
data order does to both, cancels. `docs/statistics.md` gives the reasons and the measured error rates.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, NamedTuple

import numpy as np
from scipy.stats import permutation_test
from statsmodels.stats.multitest import multipletests

from tuneoff.spec import TrainSize
from tuneoff.stats import bounded
from tuneoff.stats.examples import Scores
from tuneoff.stats.intervals import ALPHA, Floats, Interval, interval, spread, tail, within

CellKey = tuple[str, str, TrainSize]
"""Task, method and train size."""
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
UNTRAINED_SIZE: TrainSize = "full"
"""The train size that an untrained method's only cell bears."""
FLIPS = 2**15
"""Sign flips are exact as long as there are no more than these (15 seeds), beyond it so many random ones."""
_AT_ONCE = 2**10
_ROUNDING = 1e-12
"""Sums that differ by less, relatively, are equal."""


class Contrast(NamedTuple):
    """A difference between two models or methods, looked at by itself."""

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
    train size. None with one seed, which takes no part."""
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
        return _is_shown(self.p_noninferiority_adjusted) or self.outcome == "better"

    @property
    def sign_flip_floor(self) -> float | None:
        """The smallest value that `sign_flip_p` can have with so many seeds."""
        return None if self.sign_flip_p is None else 2 / 2**self.difference.seeds


class _Pair(NamedTuple):
    task: str
    train_size: TrainSize
    method: str
    reference: str


def compare(
    method: Floats, reference: Floats, *, seeded: bool = True, margin: float | None = None
) -> Contrast:
    """The difference of scores [R, N] of two methods on the same seeds and examples.

    An untrained method has scores [1, N], which stand against every seed of the other; `seeded=False` says
    that both are untrained.
    """
    differences = method - reference
    size = _size(differences)
    inferior = superior = None
    if margin is not None:
        inferior = p_at_least(-differences, margin, seeded=seeded)
        superior = p_at_least(differences, margin, seeded=seeded)
    gap = interval(differences, seeded=seeded, beside=None if size is None else (-size, size))
    if size is not None:
        gap = within(gap, -1, 1)
    return Contrast(
        difference=gap,
        p_value=p_no_difference(differences, seeded=seeded),
        effect_size=_effect_size(differences.mean(0)),
        sign_flip_p=_sign_flip(differences.mean(1)) if gap.seeds > 1 else None,
        p_noninferiority=inferior,
        p_equivalence=None if inferior is None or superior is None else max(inferior, superior),
    )


def p_no_difference(differences: Floats, *, seeded: bool = True) -> float:
    """Return the two-sided p-value of no true difference, from differences [R, N]."""
    return min(1.0, 2 * min(p_at_least(turned, 0.0, seeded=seeded) for turned in (differences, -differences)))


def p_at_least(differences: Floats, value: float, *, seeded: bool = True) -> float:
    """Return the p-value of a true difference of at least a value, from differences [R, N].

    It is the larger one of two tests: the crossed one takes the examples' variance from those that differ,
    the exact one holds however few these are. For one model the exact one is enough.
    """
    seeds, examples = differences.shape
    parts = spread(differences, seeded=seeded)
    crossed = float(tail(value - differences.mean(), parts, seeds=seeds, examples=examples))
    size = _size(differences)
    if size is None:
        return crossed
    extra = float(parts.beyond_examples)
    exact = bounded.p_at_least(differences.mean(0), value, beside=size, extra=extra)
    return max(crossed, exact) if seeded and seeds > 1 else exact


def _size(differences: Floats) -> float | None:
    """By how much answers differ where they do; None for differences beyond -1..1.

    The mean absolute difference, weighted by its square, as the larger ones decide how skewed a mean is. One
    full difference is counted with them. So it is 1 for right-or-wrong answers, and near 1 where few differ.
    """
    sizes = np.abs(differences)
    return None if sizes.max() > 1 else float((1 + (sizes**3).sum()) / (1 + (sizes**2).sum()))


def comparisons(
    cells: Mapping[CellKey, Scores],
    *,
    references: Sequence[str],
    untrained: frozenset[str],
    margin: float | None,
    metrics: Mapping[str, str],
    ablated: frozenset[str] = frozenset(),
) -> tuple[Comparison, ...]:
    """Every method against every reference, by task, train size and method in the order of the cells.

    An untrained method's cell stands against all train sizes. Two references meet once: an untrained one, or
    else the one named first, is then the reference. A pair without a seed or an example in common is left
    out. `metrics` has the name of each task's metric, `ablated` the names of ablation variants.
    """
    contrasts = {
        pair: compare(*sides, seeded=_trained(pair, untrained), margin=margin)
        for pair in _pairs(cells, references, untrained)
        if (sides := _sides(cells, pair, untrained)) is not None
    }
    families: dict[tuple[str, TrainSize, bool], dict[_Pair, Contrast]] = {}
    for pair, contrast in contrasts.items():
        if contrast.difference.seeds > 1 or not _trained(pair, untrained):
            family = families.setdefault((pair.task, pair.train_size, pair.method in ablated), {})
            family[pair] = contrast
    adjusted = {pair: p for family in families.values() for pair, p in _adjusted(family).items()}
    return tuple(
        Comparison(
            **pair._asdict(),
            **contrast._asdict(),
            **(p_values := adjusted.get(pair, _Adjusted(None, None, None)))._asdict(),
            metric=metrics[pair.task],
            outcome=_outcome(contrast.difference.mean, p_values),
        )
        for pair, contrast in contrasts.items()
    )


def family_size(methods: Collection[str], references: Sequence[str], untrained: frozenset[str]) -> int:
    """Return how many comparisons of methods with references a task and train size has."""
    cells: list[CellKey] = [("", method, UNTRAINED_SIZE) for method in methods]
    return len(list(_pairs(cells, references, untrained)))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values that may each be held against the level that the whole family is to have (Holm 1979)."""
    return multipletests(p_values, method="holm")[1].tolist() if p_values else []


class _Adjusted(NamedTuple):
    """P-values with Holm's adjustment; None where there is no test."""

    p_adjusted: float | None
    p_noninferiority_adjusted: float | None
    p_equivalence_adjusted: float | None


def _adjusted(family: Mapping[_Pair, Contrast]) -> dict[_Pair, _Adjusted]:
    """The adjusted p-values of comparisons that are made together, each test among its kind."""
    p_adjusted = holm([one.p_value for one in family.values()])
    inferior = _holm_of_all([one.p_noninferiority for one in family.values()])
    different = _holm_of_all([one.p_equivalence for one in family.values()])
    return dict(zip(family, map(_Adjusted, p_adjusted, inferior, different), strict=True))


def _holm_of_all(p_values: Sequence[float | None]) -> Sequence[float | None]:
    """Holm's adjustment; none without a margin, where no comparison has the test."""
    tests = [p for p in p_values if p is not None]
    return holm(tests) if tests else p_values


def _pairs(
    cells: Collection[CellKey], references: Sequence[str], untrained: frozenset[str]
) -> Iterator[_Pair]:
    """All that could be compared; of two references, the one that is ranked first is the reference."""
    ranked = sorted(references, key=lambda name: name not in untrained)
    tasks = dict.fromkeys(task for task, _, _ in cells)
    methods = dict.fromkeys(method for _, method, _ in cells)
    sizes = dict.fromkeys(size for _, _, size in cells)
    for names in product(tasks, sizes, methods, references):
        pair = _Pair(*names)
        turned = pair.method in ranked and ranked.index(pair.method) <= ranked.index(pair.reference)
        if not turned and (_trained(pair, untrained) or pair.train_size == UNTRAINED_SIZE):
            yield pair


def _trained(pair: _Pair, untrained: frozenset[str]) -> bool:
    return pair.method not in untrained or pair.reference not in untrained


def _sides(
    cells: Mapping[CellKey, Scores], pair: _Pair, untrained: frozenset[str]
) -> tuple[Floats, Floats] | None:
    """Scores [R, N] of method and reference on their common examples; None without any.

    Two trained methods have their common seeds, in equal order; an untrained one has its single run.
    """
    names = pair.method, pair.reference
    sizes = [UNTRAINED_SIZE if name in untrained else pair.train_size for name in names]
    sides = [cells.get((pair.task, name, size)) for name, size in zip(names, sizes, strict=True)]
    method, reference = sides
    if method is None or reference is None:
        return None
    rows = _common(method.rows, reference.rows)
    seeds = method.seeds, reference.seeds
    if untrained.isdisjoint(names):
        seeds = (_common(*seeds),) * 2
    if not (rows and all(seeds)):
        return None
    return method.at(seeds[0], rows), reference.at(seeds[1], rows)


def _common(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    others = set(second)
    return tuple(one for one in first if one in others)


def _outcome(mean: float, p_values: _Adjusted) -> Outcome:
    """What may be said of a difference with such a mean."""
    if p_values.p_adjusted is None:
        return "single seed"
    equivalent = _is_shown(p_values.p_equivalence_adjusted)
    not_inferior = _is_shown(p_values.p_noninferiority_adjusted)
    if _is_shown(p_values.p_adjusted):
        if mean > 0:
            return "better within the margin" if equivalent else "better"
        return "worse within the margin" if not_inferior else "worse"
    if equivalent:
        return "equivalent"
    return "not inferior" if not_inferior else "not distinguishable"


def _is_shown(p: float | None) -> bool:
    return p is not None and p < ALPHA


def _effect_size(differences: Floats) -> float | None:
    deviation = differences.std(ddof=1) if len(differences) > 1 else 0.0
    return float(differences.mean() / deviation) if deviation > 0 else None


def _sign_flip(differences: Floats) -> float:
    if 2 ** len(differences) > FLIPS:
        return _random_flips(differences)
    flipped = permutation_test(
        (differences,), np.mean, permutation_type="samples", vectorized=True, n_resamples=np.inf
    )
    return float(flipped.pvalue)


def _random_flips(differences: Floats) -> float:
    """The p-value of random flips, the differences' own signs counted among them (Phipson & Smyth 2010)."""
    random = np.random.default_rng(0)
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)  # [256, 8]
    eights = np.pad(differences, (0, -len(differences) % 8)).reshape(-1, 8)
    sums = eights @ bits.T  # [seeds / 8, 256]: of the differences that a byte of signs turns
    total, beyond = differences.sum(), 0
    for _ in range(FLIPS // _AT_ONCE):
        signs = random.integers(256, size=(_AT_ONCE, len(sums)), dtype=np.uint8)
        flipped = total - 2 * sums[np.arange(len(sums)), signs].sum(1)
        beyond += int((np.abs(flipped) >= abs(total) * (1 - _ROUNDING)).sum())
    return (beyond + 1) / (FLIPS + 1)
