"""A study that takes known times, as the events that it would send; nothing is trained."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from helpers import fabricated as made
from tuneoff.results import CurvePoint, SearchResult, Trial
from tuneoff.spec import NoneSpec, RunSpec, Search, StudySpec, expand, searches
from tuneoff.stats import Cell
from tuneoff.study import (
    Event,
    PointLogged,
    RunFinished,
    RunsPlanned,
    RunStarted,
    SearchesPlanned,
    SearchFinished,
    SearchStarted,
    TrialFinished,
    TrialPointLogged,
    TrialStarted,
    WorkExpected,
)
from tuneoff.study.workload import Load

STEPS = 200
POINTS = 20
"""Points of a curve, after that before the first step."""


class Timed(NamedTuple):
    """An event and when it comes."""

    seconds: float
    event: Event


class Machine(NamedTuple):
    """What runs really take: seconds of each part, by cell, and how much equal runs differ."""

    loads: dict[Cell, Load]
    noise: Callable[[], float]


def machine(study: StudySpec, rng: np.random.Generator) -> Machine:
    """Methods that differ up to tenfold, tasks up to threefold."""
    slowness = {method: 10 ** rng.uniform(-0.5, 0.5) for method in study.methods}
    length = {task: 3 ** rng.uniform(-0.5, 0.5) for task in study.tasks}
    loads = {}
    for run in expand(study):
        step, evaluation = 0.3 * length[run.task_name], 4.0 * length[run.task_name] * rng.uniform(0.5, 2)
        step *= slowness[run.method_name]
        steps = 0 if isinstance(run.method, NoneSpec) else STEPS
        loads[Cell.of(run)] = Load(evaluation, step if steps else 0.0, steps, 2 * evaluation)
    return Machine(loads, lambda: float(rng.lognormal(sigma=0.05)))


def expected(loads: dict[Cell, Load], rng: np.random.Generator) -> dict[Cell, Load]:
    """Loads as they are expected: in a unit of their own, and wrong by up to 15% for each cell."""
    unit = 10 ** rng.uniform(2, 5)
    found = {}
    for cell, load in loads.items():
        wrong = unit * rng.uniform(0.85, 1.15)
        found[cell] = Load(load.start * wrong, load.step * wrong, load.steps, load.end * wrong)
    return found


def events(study: StudySpec, true: Machine, loads: dict[Cell, Load], *, workers: int) -> list[Timed]:
    """All events of the study, in the order in which they come."""
    runs, found, now = expand(study), searches(study), 0.0
    timed = [Timed(now, WorkExpected(loads, ()))]
    if found:
        steps = {one.search_id: STEPS for one in found}
        timed.append(Timed(now, SearchesPlanned(found, len(found), steps, runs)))
        timed += _scheduled([_searched(one, true) for one in found], now, workers)
        now = max(one.seconds for one in timed)
    timed.append(Timed(now, RunsPlanned(runs, len(runs))))
    timed += _scheduled([_ran(run, true) for run in runs], now, workers)
    return sorted(timed, key=lambda one: one.seconds)


def _scheduled(jobs: Sequence[list[Timed]], now: float, workers: int) -> Iterator[Timed]:
    """Jobs, each with times from its own start, done as workers become free."""
    free = [now] * workers
    for job in jobs:
        start = heapq.heappop(free)
        yield from (Timed(start + one.seconds, one.event) for one in job)
        heapq.heappush(free, start + job[-1].seconds)


def _ran(run: RunSpec, true: Machine) -> list[Timed]:
    load = true.loads[Cell.of(run)]
    job, noise = [Timed(0.0, RunStarted(run))], true.noise()
    job += [
        Timed(noise * load.until(point.step), PointLogged(run, point)) for point in _points(run, load.steps)
    ]
    return [*job, Timed(noise * load.whole, RunFinished(made.a_record(run)))]


def _searched(search: Search, true: Machine) -> list[Timed]:
    load, now = true.loads[Cell.of(search.run)], 0.0
    job, trials = [Timed(0.0, SearchStarted(search, 0))], []
    for number in range(search.trials):
        for seed in search.seeds:
            noise = true.noise()
            job.append(Timed(now, TrialStarted(search, number, seed, STEPS)))
            job += [
                Timed(now + noise * load.until(point.step), TrialPointLogged(search, point))
                for point in _points(search.run, STEPS)
            ]
            now = job[-1].seconds
        trials.append(Trial(number=number, values={"learning_rate": 0.1}, state="complete", score=0.5))
        job.append(Timed(now, TrialFinished(search, trials[-1])))
    result = SearchResult(
        search_id=search.search_id,
        task_name=search.run.task_name,
        method_name=search.run.method_name,
        train_size=search.run.train_size,
        metric=search.run.task.main_metric,
        space=search.space,
        seeds=search.seeds,
        steps=STEPS,
        trials=tuple(trials),
    )
    return [*job, Timed(now, SearchFinished(result))]


def _points(run: RunSpec, steps: int) -> list[CurvePoint]:
    before = CurvePoint(step=0, scores={run.task.main_metric: 0.5})
    if not steps:
        return [before]
    later = range(steps // POINTS, steps + 1, steps // POINTS)
    return [before, *(CurvePoint(step=step, loss=1 / step) for step in later)]
