"""What a study is doing, told from its events: for the terminal, and for those who watch its folder."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tuneoff.results import (
    Activity,
    Count,
    CurvePoint,
    RunRecord,
    Training,
    end_activity,
    means,
    metric_name,
    write_activity,
)
from tuneoff.spec import RunSpec, Search
from tuneoff.stats import Cell
from tuneoff.study.events import (
    Event,
    OnEvent,
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
from tuneoff.study.time_left import Speeds, Spent, makespan
from tuneoff.study.workload import Load

_BETWEEN = 1.0
"""Seconds between two versions of the file where nothing but a point of a curve is new."""
_QUICK = 0.01
"""Seconds that an estimate of the time left may take each time."""
_PARTS = 32
"""Parts of a curve that are shown."""
_NOTHING = Load(0.0, 0.0, 0, 0.0)


@dataclass
class _Training:
    """A run or a trial under way."""

    run: RunSpec
    load: Load
    steps: int
    started: float
    seed: int
    trial: int | None = None
    first: float | None = None
    """When the evaluation before the first step had ended; of a run that goes on, its first point."""
    origin: int = 0
    """The step of that point: above 0, the run goes on from a checkpoint."""
    last: float = 0.0
    """When the last point was logged."""
    step: int = 0
    losses: list[float] = field(default_factory=list)
    score: float | None = None

    def log(self, point: CurvePoint, now: float) -> None:
        if self.first is None:
            self.first, self.origin = now, point.step
        self.step, self.last = point.step, now
        if point.loss is not None:
            self.losses.append(point.loss)
        if point.scores is not None:
            self.score = point.scores[self.run.selection_metric]

    @property
    def is_whole(self) -> bool:
        """Whether it is done from its first step on."""
        return self.first is not None and not self.origin

    @property
    def steps_taken(self) -> Spent:
        """The steps so far, and their time."""
        seconds = 0.0 if self.first is None else self.last - self.first
        load = (self.step - self.origin) * self.load.step
        return Spent(self.run.task_name, self.run.method_name, load, seconds)

    @property
    def passed(self) -> float:
        """The load of what is done."""
        return 0.0 if self.first is None else self.load.until(self.step)

    def shown(self, now: float) -> Training:
        return Training(
            task=self.run.task_name,
            method=self.run.method_name,
            train_size=self.run.train_size,
            seed=self.seed,
            trial=self.trial,
            step=self.step,
            steps=self.steps or None,
            losses=means(self.losses, _PARTS),
            loss=self.losses[-1] if self.losses else None,
            metric=metric_name(self.run.selection_metric),
            score=self.score,
            seconds=now - self.started,
        )


@dataclass
class _Search:
    """A search that has not ended."""

    run: RunSpec
    loads: tuple[float, ...]
    """Of its trainings in their order, each with all seeds."""
    seeds: int
    done: int = 0
    """Trainings that have ended."""
    seeds_done: int = 0
    """Of the one under way."""

    def left(self, now: _Training | None) -> float:
        """Return the load that is left, given what is under way."""
        rest = sum(self.loads[self.done :])
        if now is None or self.done >= len(self.loads):
            return rest
        return rest - self.seeds_done * self.loads[self.done] / self.seeds - now.passed


class Follower:
    """Follows the events of a study; `activity` says at any time what it is doing."""

    def __init__(self, study: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._study, self._clock = study, clock
        self._begun = clock()
        self._stage: Literal["checks", "search", "runs"] = "checks"
        self._loads: dict[Cell, Load] = {}
        self._spent: list[Spent] = []
        self._searches: dict[str, _Search] = {}
        self._trials, self._runs = Count(), Count()
        self._waiting: dict[str, RunSpec] = {}
        self._under_way: dict[str, _Training] = {}
        """By run id, or by search id."""
        self._workers = 1
        """The most that has been under way at once."""
        self._known_left: float | None = None
        self._known_at = self._known_until = self._begun

    def take(self, event: Event) -> None:
        """Take note of an event."""
        now = self._clock()
        match event:
            case WorkExpected(loads, done):
                self._loads = dict(loads)
                self._spent = [spent for record in done if (spent := self._of_record(record))]
            case SearchesPlanned(pending, _, steps, then):
                self._stage = "search"
                self._searches = {one.search_id: self._search(one, steps[one.search_id]) for one in pending}
                self._trials = Count(total=sum(len(one.loads) for one in self._searches.values()))
                self._expect(then)
            case SearchStarted(search, done):
                self._under_way.pop(search.search_id, None)
                self._done(search, done)
            case TrialStarted(search, number, seed, steps):
                found = self._searches[search.search_id]
                before = self._under_way.pop(search.search_id, None)
                found.seeds_done = 0 if before is None else found.seeds_done + 1
                self._end(before, now)
                self._begin(search.search_id, search.run, now, steps=steps, seed=seed, trial=number)
            case TrialPointLogged(search, point):
                self._log(search.search_id, point, now)
            case TrialFinished(search):
                self._end(self._under_way.pop(search.search_id, None), now)
                self._done(search, self._searches[search.search_id].done + 1)
            case SearchFinished(result):
                if result.search_id in self._searches:
                    # a trial that was lost with its worker is not heard of again
                    found = self._searches.pop(result.search_id)
                    self._trials = _with(self._trials, done=len(found.loads) - found.done)
                self._under_way.pop(result.search_id, None)
            case RunsPlanned(pending, total):
                self._stage = "runs"
                self._under_way.clear()
                self._expect(pending)
                self._runs = Count(done=total - len(pending), total=total)
            case RunStarted(run):
                self._waiting.pop(run.run_id, None)
                self._begin(run.run_id, run, now, steps=self._load(run).steps, seed=run.seed)
            case PointLogged(run, point):
                self._log(run.run_id, point, now)
            case RunFinished(record):
                self._waiting.pop(record.run_id, None)
                self._runs = _with(self._runs, done=1)
                training = self._under_way.pop(record.run_id, None)
                # without a point, or with a later first one, it had only a part to do
                if training and training.is_whole and record.state == "complete":
                    load = training.load.whole
                    self._spent.append(_spent(record.spec, load, now - training.started))

    def activity(self) -> Activity:
        """Return what the study is doing now."""
        now = self._clock()
        return Activity(
            study=self._study,
            stage=self._stage,
            trials=self._trials,
            runs=self._runs,
            running=tuple(one.shown(now) for one in self._under_way.values()),
            seconds=now - self._begun,
            left=self._left(now),
        )

    def _left(self, now: float) -> float | None:
        """Return the seconds until the last planned run ends, if anything is known about the speed.

        Of very many runs this takes a while to say, and is then only said anew after twenty times as long.
        """
        if now >= self._known_until:
            self._known_left, self._known_at = self._estimated_left(now), now
            ended = self._clock()
            self._known_until = ended + 20 * max(0.0, ended - now - _QUICK)
        return None if self._known_left is None else max(0.0, self._known_left - (now - self._known_at))

    def _search(self, search: Search, steps: int) -> _Search:
        load, seeds = self._load(search.run), len(search.seeds)
        loads = [seeds * load.until(rung.steps(steps)) for rung in search.rungs for _ in range(rung.trials)]
        return _Search(search.run, tuple(loads), seeds)

    def _expect(self, runs: Sequence[RunSpec]) -> None:
        self._waiting = {run.run_id: run for run in runs}
        if not self._runs.total:
            self._runs = Count(total=len(runs))

    def _done(self, search: Search, done: int) -> None:
        """Take note that this many trainings of a search have ended."""
        found = self._searches[search.search_id]
        self._trials = _with(self._trials, done=done - found.done)
        found.done, found.seeds_done = done, 0

    def _begin(
        self, key: str, run: RunSpec, now: float, *, steps: int, seed: int, trial: int | None = None
    ) -> None:
        self._under_way[key] = _Training(run, self._load(run), steps, now, seed, trial)
        self._workers = max(self._workers, len(self._under_way))

    def _log(self, key: str, point: CurvePoint, now: float) -> None:
        if key in self._under_way:
            self._under_way[key].log(point, now)

    def _end(self, trial: _Training | None, now: float) -> None:
        """Learn from a trial that has ended."""
        if trial is not None and trial.first is not None:
            self._spent.append(_spent(trial.run, trial.passed, now - trial.started))

    def _load(self, run: RunSpec) -> Load:
        return self._loads.get(Cell.of(run), _NOTHING)

    def _of_record(self, record: RunRecord) -> Spent | None:
        """Return what a run took that the folder holds."""
        if record.state != "complete" or record.timings is None:
            return None
        return _spent(record.spec, self._load(record.spec).whole, record.timings.total)

    def _estimated_left(self, now: float) -> float | None:
        spent = [*self._spent, *(one.steps_taken for one in self._under_way.values() if one.step)]
        if not any(one.load > 0 and one.seconds > 0 for one in spent):
            return None
        speeds = Speeds(spent)

        def seconds(run: RunSpec, load: float) -> float:
            return speeds.seconds(run.task_name, run.method_name, load) if load > 0 else 0.0

        def rest(training: _Training, load: float) -> float:
            since = training.started if training.first is None else training.last
            return max(0.0, seconds(training.run, load) - (now - since))

        searching, begun = [], []
        for search_id, search in self._searches.items():
            trial = self._under_way.get(search_id)
            if trial is None:
                searching.append(seconds(search.run, search.left(None)))
            else:
                begun.append(rest(trial, search.left(trial)))
        cells = {Cell.of(run): run for run in self._waiting.values()}
        whole = {cell: seconds(run, self._load(run).whole) for cell, run in cells.items()}
        waiting = [whole[Cell.of(run)] for run in self._waiting.values()]
        if self._stage == "search":
            return makespan(begun, searching, self._workers) + makespan([], waiting, self._workers)
        begun = [rest(one, one.load.whole - one.passed) for one in self._under_way.values()]
        return makespan(begun, waiting, self._workers)


@contextmanager
def activity_written(study: str, path: Path, on_event: OnEvent) -> Iterator[OnEvent]:
    """Keep a file with what the study is doing, from the events that pass through.

    The file is there during this context only, and is written at most once a second but for what starts and
    ends.
    """
    follower = Follower(study)
    written = 0.0

    def take(event: Event) -> None:
        nonlocal written
        follower.take(event)
        is_point = isinstance(event, PointLogged | TrialPointLogged)
        if not is_point or time.monotonic() - written > _BETWEEN:
            write_activity(path, follower.activity())
            written = time.monotonic()
        on_event(event)

    write_activity(path, follower.activity())
    try:
        yield take
    finally:
        end_activity(path)


def _spent(run: RunSpec, load: float, seconds: float) -> Spent:
    return Spent(run.task_name, run.method_name, load, seconds)


def _with(count: Count, *, done: int) -> Count:
    return Count(done=count.done + done, total=count.total)
