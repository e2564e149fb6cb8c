"""Listeners for tests of a whole study."""

from collections.abc import Callable, Sequence

from tuneoff.results import CurvePoint, LeftOut, RunRecord, SearchResult
from tuneoff.spec import RunSpec, Search


class Told:
    """A listener that keeps what it is told, and does something at each point of a curve."""

    def __init__(self, at_point: Callable[[RunSpec, CurvePoint], None] = lambda run, point: None) -> None:
        self._at_point = at_point
        self.pending: list[str] = []
        self.total = 0
        self.begun: list[str] = []
        self.searches: list[str] = []
        self.found: list[SearchResult] = []
        self.ended: list[RunRecord] = []
        self.repaired: list[str] = []

    def moved(self, damaged: Sequence[LeftOut]) -> None:
        self.repaired = [one.name for one in damaged]

    def searching(self, pending: Sequence[Search], total: int) -> None:
        self.searches = [search.search_id for search in pending]

    def searched(self, result: SearchResult) -> None:
        self.found.append(result)

    def planned(self, pending: Sequence[RunSpec], total: int) -> None:
        self.pending, self.total = [run.run_id for run in pending], total

    def started(self, run: RunSpec) -> None:
        self.begun.append(run.run_id)

    def point(self, run: RunSpec, point: CurvePoint) -> None:
        self._at_point(run, point)

    def finished(self, record: RunRecord) -> None:
        self.ended.append(record)
