"""Find the number of training rows at which a method overtakes a reference."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import scipy

from tuneoff.stats.cells import Cell, TaskSize, method_pairs
from tuneoff.stats.compare import holm, p_no_difference
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
    """The one of the two that is ahead with more rows."""
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
    differences: list[Floats]

    def p_value(self, log_rows: float) -> float:
        """Return the p-value of no difference at a place between two sizes, by linear interpolation."""
        last_start = len(self.log_rows) - 2
        left = int(np.clip(np.searchsorted(self.log_rows, log_rows) - 1, 0, last_start))
        start, end = self.log_rows[left], self.log_rows[left + 1]
        share = (log_rows - start) / (end - start)
        return p_no_difference((1 - share) * self.differences[left] + share * self.differences[left + 1])


def crossovers(
    cells: Mapping[Cell, Scores],
    *,
    rows: Mapping[TaskSize, int],
    references: Sequence[str],
    untrained: frozenset[str],
    ablated: frozenset[str] = frozenset(),
) -> tuple[Crossover, ...]:
    """Return every pair of a trained method and a trained reference whose order is shown to change once.

    At a smaller train size the one must be shown to be ahead, at a larger one the other, with Holm's
    adjustment over all pairs and sizes of all tasks (ablation variants, whose names are `ablated`, among
    themselves). `rows` has the training rows of each task and train size.
    """
    methods = dict.fromkeys(method for _, method, _ in cells if method not in untrained)
    courses: dict[_Pair, _Course] = {}
    for task in dict.fromkeys(task for task, _, _ in cells):
        for method, reference in method_pairs(methods, references, untrained):
            pair = _Pair(task, method, reference)
            course = _course(cells, rows, pair)
            if course is not None:
                courses[pair] = course
    of_methods = {pair: course for pair, course in courses.items() if pair.method not in ablated}
    of_variants = {pair: course for pair, course in courses.items() if pair.method in ablated}
    return (*_shown(of_methods), *_shown(of_variants))


def _shown(family: Mapping[_Pair, _Course]) -> list[Crossover]:
    """Return the crossovers of pairs whose tests are adjusted together."""
    tests = [p_no_difference(one) for course in family.values() for one in course.differences]
    adjusted = iter(holm(tests))
    found = []
    for pair, course in family.items():
        # 1 and -1 where the method or the reference is shown to be ahead, 0 where neither is
        signs = [_sign(one) if next(adjusted) < ALPHA else 0 for one in course.differences]
        shown = [place for place, sign in enumerate(signs) if sign]
        changes = [(left, right) for left, right in pairwise(shown) if signs[left] != signs[right]]
        if len(changes) == 1:
            ((left, right),) = changes
            ahead = pair.method if signs[right] > 0 else pair.reference
            found.append(Crossover(*pair, ahead, *_place_and_interval(course, left, right)))
    return found


def _course(cells: Mapping[Cell, Scores], rows: Mapping[TaskSize, int], pair: _Pair) -> _Course | None:
    """Return a pair's course; None without two sizes, or two seeds and an example that all sizes have."""
    sides: dict[int, tuple[Scores, Scores]] = {}
    numbers = [(number, size) for (task, size), number in rows.items() if task == pair.task]
    # by the rows alone: of two sizes with equal rows, one can be a number and the other "full"
    for number, size in sorted(numbers, key=lambda one: one[0]):
        method = cells.get(Cell(pair.task, pair.method, size))
        reference = cells.get(Cell(pair.task, pair.reference, size))
        if method is not None and reference is not None:
            sides[number] = method, reference
    if len(sides) < 2:
        return None
    every = [scores for both in sides.values() for scores in both]
    seeds = sorted(set[int].intersection(*(set(one.seeds) for one in every)))
    examples = sorted(set[int].intersection(*(set(one.rows) for one in every)))
    if len(seeds) < 2 or not examples:
        return None
    differences = [
        method.at(seeds, examples) - reference.at(seeds, examples) for method, reference in sides.values()
    ]
    return _Course([float(np.log(number)) for number in sides], differences)


def _sign(differences: Floats) -> int:
    return int(np.sign(differences.mean()))


def _place_and_interval(course: _Course, left: int, right: int) -> tuple[float, float, float]:
    """Return the rows at which the means are level, and the ends of their interval.

    `left` and `right` are two sizes at which opposite orders are shown. The interval holds every place
    between them at which the test finds no difference (as Fieller's does for a ratio), so it allows for other
    seeds and other examples as the test does.
    """
    means = [float(one.mean()) for one in course.differences]
    # the means may change their order several times between the two sizes: the last time counts
    last = max(place for place in range(left, right) if np.sign(means[place]) != np.sign(means[right]))
    share = means[last] / (means[last] - means[last + 1])
    level = (1 - share) * course.log_rows[last] + share * course.log_rows[last + 1]
    # find the interval roughly on a grid, then its ends exactly, each between two neighboring places
    places = sorted([level, *_grid(course.log_rows[left : right + 1])])
    inside = [index for index, place in enumerate(places) if course.p_value(place) >= ALPHA]
    low = _edge(course.p_value, places[inside[0] - 1], places[inside[0]])
    high = _edge(course.p_value, places[inside[-1]], places[inside[-1] + 1])
    return float(np.exp(level)), float(np.exp(low)), float(np.exp(high))


def _grid(log_rows: Sequence[float]) -> list[float]:
    places: list[float] = []
    for start, end in pairwise(log_rows):
        places += np.linspace(start, end, _STEPS, endpoint=False).tolist()
    return [*places, log_rows[-1]]


def _edge(p_value: Callable[[float], float], start: float, end: float) -> float:
    """Return where the p-value passes ALPHA."""
    return float(scipy.optimize.brentq(lambda place: p_value(place) - ALPHA, start, end, xtol=1e-6))
