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
from tuneoff.stats.examples import Scores
from tuneoff.stats.intervals import ALPHA, Floats, Interval, interval

CellKey = tuple[str, str, TrainSize]
"""Task, method and train size."""
Verdict = Literal["better", "worse", "equivalent", "not distinguishable", "one seed"]
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
    """Of no difference, two-sided, by the distribution that the interval has."""
    effect_size: float | None
    """Cohen's d_z over examples: the mean of their seed-averaged differences by the standard deviation of
    these; None where they do not vary."""
    sign_flip_p: float | None
    """Of no difference on these very examples, by flipping the signs of the seeds' differences; None with one
    seed."""
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
    p_adjusted: float
    """Holm's, over all comparisons made together."""
    effect_size: float | None
    sign_flip_p: float | None
    p_equivalence: float | None
    p_equivalence_adjusted: float | None
    """Holm's, over the equivalence tests of all comparisons made together."""
    verdict: Verdict

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
    gap = interval(differences, seeded=seeded)
    return Contrast(
        difference=gap,
        p_value=min(1.0, 2 * gap.tail(abs(gap.mean))),
        effect_size=_effect_size(differences.mean(0)),
        sign_flip_p=_sign_flip(differences.mean(1)) if gap.seeds > 1 else None,
        p_equivalence=None if margin is None else _p_equivalence(gap, differences, margin),
    )


def comparisons(
    cells: Mapping[CellKey, Scores],
    *,
    references: Sequence[str],
    untrained: frozenset[str],
    margin: float | None,
    metrics: Mapping[str, str],
) -> tuple[Comparison, ...]:
    """Every method against every reference, by task, train size and method in the order of the cells.

    An untrained method's cell stands against all train sizes. Two references meet once: an untrained one, or
    else the one named first, is then the reference. A pair without a seed or an example in common is left
    out. `metrics` has the name of each task's metric.
    """
    contrasts = {
        pair: compare(*sides, seeded=_trained(pair, untrained), margin=margin)
        for pair in _pairs(cells, references, untrained)
        if (sides := _sides(cells, pair, untrained)) is not None
    }
    adjusted = holm([contrast.p_value for contrast in contrasts.values()])
    equivalences = [contrast.p_equivalence for contrast in contrasts.values()]
    adjusted_equivalences = holm([p for p in equivalences if p is not None]) or equivalences
    return tuple(
        Comparison(
            **pair._asdict(),
            **contrast._asdict(),
            metric=metrics[pair.task],
            p_adjusted=p,
            p_equivalence_adjusted=p_equivalence,
            verdict=_verdict(contrast, p, p_equivalence, trained=_trained(pair, untrained)),
        )
        for (pair, contrast), p, p_equivalence in zip(
            contrasts.items(), adjusted, adjusted_equivalences, strict=True
        )
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values that may each be held against the level that the whole family is to have (Holm 1979)."""
    return multipletests(p_values, method="holm")[1].tolist() if p_values else []


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


def _verdict(contrast: Contrast, p: float, p_equivalence: float | None, *, trained: bool) -> Verdict:
    """What may be said, given both p-values with Holm's adjustment."""
    if trained and contrast.difference.seeds == 1:
        return "one seed"
    if p < ALPHA:
        return "better" if contrast.difference.mean > 0 else "worse"
    if p_equivalence is not None and p_equivalence < ALPHA:
        return "equivalent"
    return "not distinguishable"


def _p_equivalence(gap: Interval, differences: Floats, margin: float) -> float:
    """Of a difference of at least the margin.

    Where no example tells two models apart, nothing is known of how examples vary. But if scores in 0..1
    differ by the margin on average, they differ on that share of the examples at least, and all N agree with
    probability (1 - margin)^N at most (the reasoning of Hanley & Lippman-Hand 1983).
    """
    if not differences.any():
        return float((1 - margin) ** differences.shape[1])
    return gap.tail(margin - abs(gap.mean))


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
