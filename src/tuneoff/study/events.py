"""Events of a study under way, for a progress display or a notebook."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tuneoff.results import CurvePoint, Excluded, RunRecord, SearchResult, Trial
from tuneoff.spec import RunSpec, Search
from tuneoff.stats import Cell
from tuneoff.study.workload import Load


@dataclass(frozen=True)
class ModelConverting:
    """A GGUF file is about to be dequantized into a folder of the user's cache, as at its first use."""

    file: Path
    folder: Path


@dataclass(frozen=True)
class DamagedMoved:
    """Damaged results were moved to `damaged/`; they will be computed again. Sent even if there are none."""

    results: tuple[Excluded, ...]


@dataclass(frozen=True)
class WorkExpected:
    """What the runs of a study are expected to take, and those that the folder already holds."""

    loads: Mapping[Cell, Load]
    done: tuple[RunRecord, ...]


@dataclass(frozen=True)
class SearchesPlanned:
    """The searches to do, of `total` in the study."""

    pending: tuple[Search, ...]
    total: int
    steps: Mapping[str, int]
    """Optimizer steps of each search's whole trials, by search id."""
    then: tuple[RunSpec, ...]
    """The runs to do after them, as far as they are known; their values are not."""


@dataclass(frozen=True)
class SearchStarted:
    """A search starts, or goes on after it was interrupted."""

    search: Search
    done: int
    """Trainings of trials that its folder holds; with halving, a trial has one for each rung."""


@dataclass(frozen=True)
class TrialStarted:
    """A trial of a search starts with one of the search's seeds."""

    search: Search
    number: int
    seed: int
    steps: int
    """Optimizer steps that it is trained for; with halving, those of its rung."""


@dataclass(frozen=True)
class TrialPointLogged:
    """The trial that a search is at has logged or evaluated a step."""

    search: Search
    point: CurvePoint


@dataclass(frozen=True)
class TrialFinished:
    """A trial of a search has ended with all seeds; with halving, it has come to a rung."""

    search: Search
    trial: Trial


@dataclass(frozen=True)
class SearchFinished:
    """A search has ended."""

    result: SearchResult


@dataclass(frozen=True)
class RunsPlanned:
    """The runs to do now, of `total` that are done or to be done so far.

    A study that races its methods plans runs several times, until its decisions need no more.
    """

    pending: tuple[RunSpec, ...]
    total: int
    round: int = 1
    """Which of these plans it is."""


@dataclass(frozen=True)
class RunStarted:
    """A run starts."""

    run: RunSpec


@dataclass(frozen=True)
class PointLogged:
    """A run has logged or evaluated a step."""

    run: RunSpec
    point: CurvePoint


@dataclass(frozen=True)
class RunFinished:
    """A run has ended, and its record is in the folder."""

    record: RunRecord


@dataclass(frozen=True)
class TrackerStopped:
    """A tracker has failed and gets nothing more; the study goes on."""

    name: str
    reason: str


Event = (
    ModelConverting
    | DamagedMoved
    | WorkExpected
    | SearchesPlanned
    | SearchStarted
    | TrialStarted
    | TrialPointLogged
    | TrialFinished
    | SearchFinished
    | RunsPlanned
    | RunStarted
    | PointLogged
    | RunFinished
    | TrackerStopped
)
OnEvent = Callable[[Event], None]
"""Called in the process that runs the study, with the events of each run in order."""


def ignore(event: Event) -> None:
    """Do nothing with an event."""
