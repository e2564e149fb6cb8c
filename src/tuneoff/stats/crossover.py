"""From how many training rows on a method is ahead of a reference."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from tuneoff.spec import TrainSize
from tuneoff.stats.compare import CellKey, holm, p_no_difference
from tuneoff.stats.examples import Scores
from tuneoff.stats.intervals import ALPHA, Floats

_STEPS = 16
"""Places between two train sizes at which the interval is looked for before its ends are made exact."""


class Crossover(NamedTuple):
    """A method and a reference, one shown to be ahead at a smaller train size, the other at a larger one."""

    task: str
    method: str
    reference: str
    ahead: str
    """Which of the two is ahead with more rows."""
    rows: float
    """Training rows at which the mean scores are equal, by linear interpolation over log rows."""
    low: float
    """Lower end of the 95% interval, in rows."""
    high: float
    """Upper end; both lie between the sizes at which the order is shown."""


class _Pair(NamedTuple):
    task: str
    method: str
    reference: str


class _Course(NamedTuple):
    """A pair's differences [R, N] by log training rows, on the seeds and examples that all sizes have."""

    log_rows: list[float]
    gaps: list[Floats]

    def p_value(self, log_rows: float) -> float:
        """The p-value of no difference at a place between two sizes."""
        left = max(min(int(np.searchsorted(self.log_rows, log_rows)), len(self.gaps) - 1) - 1, 0)
        start, end = self.log_rows[left : left + 2]
        share = (log_rows - start) / (end - start)
        return p_no_difference((1 - share) * self.gaps[left] + share * self.gaps[left + 1])


def crossovers(
    cells: Mapping[CellKey, Scores],
    *,
    rows: Mapping[tuple[str, TrainSize], int],
    references: Sequence[str],
    untrained: frozenset[str],
    ablated: frozenset[str] = frozenset(),
) -> tuple[Crossover, ...]:
    """Every pair of a trained method and a trained reference whose order is shown to change once.

    At a smaller train size the one must be shown to be ahead, at a larger one the other, with Holm's
    adjustment over all pairs and sizes of all tasks (ablation variants, whose names are `ablated`, among
    themselves). `rows` has the training rows of each task and train size.
    """
    courses = {pair: _course(cells, rows, pair) for pair in _pairs(cells, references, untrained)}
    found = []
    for family in (False, True):
        own = {
            pair: course
            for pair, course in courses.items()
            if course is not None and (pair.method in ablated) is family
        }
        adjusted = iter(holm([p_no_difference(gap) for course in own.values() for gap in course.gaps]))
        for pair, course in own.items():
            shown = [_sign(gap) * (next(adjusted) < ALPHA) for gap in course.gaps]
            changes = [
                (left, right)
                for left, right in pairwise(place for place, sign in enumerate(shown) if sign)
                if shown[left] != shown[right]
            ]
            if len(changes) == 1:
                ((left, right),) = changes
                ahead = pair.method if shown[right] > 0 else pair.reference
                found.append(Crossover(*pair, ahead, *_where(course, left, right)))
    return tuple(found)


def _pairs(
    cells: Mapping[CellKey, Scores], references: Sequence[str], untrained: frozenset[str]
) -> Iterator[_Pair]:
    """Task, method and reference; two references meet once."""
    tasks = dict.fromkeys(task for task, _, _ in cells)
    methods = dict.fromkeys(method for _, method, _ in cells)
    for task, method, reference in product(tasks, methods, references):
        turned = method in references and references.index(method) <= references.index(reference)
        if not turned and method not in untrained:
            yield _Pair(task, method, reference)


def _course(
    cells: Mapping[CellKey, Scores], rows: Mapping[tuple[str, TrainSize], int], pair: _Pair
) -> _Course | None:
    """None without two sizes, and without two seeds and an example that all sizes have."""
    known = sorted((number, size) for (task, size), number in rows.items() if task == pair.task)
    sides = {
        number: (cells[pair.task, pair.method, size], cells[pair.task, pair.reference, size])
        for number, size in known
        if {(pair.task, pair.method, size), (pair.task, pair.reference, size)} <= cells.keys()
    }
    every = [scores for both in sides.values() for scores in both]
    if len(sides) < 2:
        return None
    seeds = sorted(set[int].intersection(*(set(one.seeds) for one in every)))
    examples = sorted(set[int].intersection(*(set(one.rows) for one in every)))
    if len(seeds) < 2 or not examples:
        return None
    gaps = [
        method.at(seeds, examples) - reference.at(seeds, examples) for method, reference in sides.values()
    ]
    return _Course([float(np.log(number)) for number in sides], gaps)


def _sign(gap: Floats) -> int:
    return int(np.sign(gap.mean()))


def _where(course: _Course, left: int, right: int) -> tuple[float, float, float]:
    """Rows at which the means are level between two sizes of opposite order, and the interval's ends.

    The interval holds every place at which the test finds no difference (as Fieller's does for a ratio), so
    it knows of other seeds and other examples as the test does.
    """
    means = [float(gap.mean()) for gap in course.gaps]
    last = max(place for place in range(left, right) if np.sign(means[place]) != np.sign(means[right]))
    share = means[last] / (means[last] - means[last + 1])
    level = (1 - share) * course.log_rows[last] + share * course.log_rows[last + 1]
    places = sorted([level, *_grid(course.log_rows[left : right + 1])])
    inside = [place for place, at in enumerate(places) if course.p_value(at) >= ALPHA]
    low = _edge(course.p_value, places[inside[0] - 1], places[inside[0]])
    high = _edge(course.p_value, places[inside[-1]], places[inside[-1] + 1])
    return float(np.exp(level)), float(np.exp(low)), float(np.exp(high))


def _grid(log_rows: Sequence[float]) -> list[float]:
    between = [np.linspace(*ends, _STEPS, endpoint=False).tolist() for ends in pairwise(log_rows)]
    return [place for part in between for place in part] + [log_rows[-1]]


def _edge(p_value: Callable[[float], float], start: float, end: float) -> float:
    """Where the p-value passes ALPHA."""
    return float(brentq(lambda place: p_value(place) - ALPHA, start, end, xtol=1e-6))
