"""Listeners for tests of a whole study."""

from collections.abc import Callable

from tuneoff.results import CurvePoint, RunRecord, SearchResult
from tuneoff.spec import RunSpec
from tuneoff.study import (
    DamagedMoved,
    Event,
    PointLogged,
    RunFinished,
    RunsPlanned,
    RunStarted,
    SearchesPlanned,
    SearchFinished,
    TrialFinished,
)


class EventLog:
    """A listener that keeps all events, and does something at each point of a curve."""

    def __init__(self, at_point: Callable[[RunSpec, CurvePoint], None] = lambda run, point: None) -> None:
        self._at_point = at_point
        self.pending: list[str] = []
        self.total = 0
        self.begun: list[str] = []
        self.searches: list[str] = []
        self.trials: list[tuple[str, int]] = []
        self.found: list[SearchResult] = []
        self.ended: list[RunRecord] = []
        self.repaired: list[str] = []

    def __call__(self, event: Event) -> None:
        match event:
            case DamagedMoved(results):
                self.repaired = [one.name for one in results]
            case SearchesPlanned(pending):
                self.searches = [search.search_id for search in pending]
            case TrialFinished(search, trial):
                self.trials.append((search.search_id, trial.number))
            case SearchFinished(result):
                self.found.append(result)
            case RunsPlanned(planned, total):
                self.pending, self.total = [run.run_id for run in planned], total
            case RunStarted(run):
                self.begun.append(run.run_id)
            case PointLogged(run, point):
                self._at_point(run, point)
            case RunFinished(record):
                self.ended.append(record)
