"""How long the rest of a study takes: the loads of its runs, at the speed of what has been done so far.

What a unit of load takes depends on the machine, and on how far the expectation is wrong: about a method (a
slow kind of adapter), and about a task (long answers). All three are learned from what has been done; of a
method that was not seen on a task yet, the other tasks tell how slow it is, and other methods tell how slow
the task is.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_PRIOR = 0.1
"""How much an expectation counts against what was seen: as much as this share of a run. Equal runs differ by
some percent, and an expectation by some ten percent."""
_ROUNDS = 8
"""Rounds of fitting factors of methods and of tasks in turn; they come close to a fit of both in a few."""


class Spent(NamedTuple):
    """Work that has been done, and the time that it took."""

    task: str
    method: str
    load: float
    seconds: float


class Speeds:
    """The seconds that a unit of load takes, for each task and method."""

    def __init__(self, spent: Iterable[Spent]) -> None:
        """Learn from all that has been done; at least one of it must have a load and a time."""
        given = [one for one in spent if one.load > 0 and one.seconds > 0]
        self._weight = _PRIOR * max(one.load for one in given)
        self._spent = _summed(given)
        overall = sum(one.seconds for one in given) / sum(one.load for one in given)
        self._methods = defaultdict[str, float](lambda: overall)
        """Seconds of a unit, by method."""
        self._tasks = defaultdict[str, float](lambda: 1.0)
        """The factor by which methods take longer on a task than elsewhere."""
        for _ in range(_ROUNDS):
            for method in {one.method for one in self._spent}:
                own = [one for one in self._spent if one.method == method]
                basis = sum(one.load * self._tasks[one.task] for one in own)
                self._methods[method] = self._drawn(own, basis, prior=overall)
            for task in {one.task for one in self._spent}:
                own = [one for one in self._spent if one.task == task]
                basis = sum(one.load * self._methods[one.method] / overall for one in own)
                self._tasks[task] = self._drawn(own, basis, prior=overall) / overall

    def seconds(self, task: str, method: str, load: float) -> float:
        """Return how long this much work of a method on a task takes."""
        own = [one for one in self._spent if (one.task, one.method) == (task, method)]
        elsewhere = self._methods[method] * self._tasks[task]
        return load * self._drawn(own, sum(one.load for one in own), prior=elsewhere)

    def _drawn(self, spent: Iterable[Spent], load: float, *, prior: float) -> float:
        """Return the seconds of a unit, drawn to what is expected."""
        return (sum(one.seconds for one in spent) + self._weight * prior) / (load + self._weight)


def _summed(spent: Iterable[Spent]) -> list[Spent]:
    """Return all that was spent on each task with each method as one."""
    sums = dict[tuple[str, str], Spent]()
    for one in spent:
        before = sums.get((one.task, one.method), Spent(one.task, one.method, 0.0, 0.0))
        load, seconds = before.load + one.load, before.seconds + one.seconds
        sums[one.task, one.method] = Spent(one.task, one.method, load, seconds)
    return list(sums.values())


def makespan(begun: Sequence[float], waiting: Iterable[float], workers: int) -> float:
    """Return when the last job ends, if each worker takes the next one as soon as it is free.

    `begun` has what is left of the jobs under way; all are in seconds.
    """
    free = [*begun, *[0.0] * (workers - len(begun))]
    heapq.heapify(free)
    for seconds in waiting:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free, default=0.0)
