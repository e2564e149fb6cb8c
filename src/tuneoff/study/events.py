"""Events of a study under way, for a progress display or a notebook."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tuneoff.results import CurvePoint, Excluded, RunRecord, SearchResult, Trial
from tuneoff.spec import RunSpec, Search


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
class SearchesPlanned:
    """The searches to do, of `total` in the study."""

    pending: tuple[Search, ...]
    total: int


@dataclass(frozen=True)
class TrialFinished:
    """A trial of a search has ended."""

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


Event = (
    ModelConverting
    | DamagedMoved
    | SearchesPlanned
    | TrialFinished
    | SearchFinished
    | RunsPlanned
    | RunStarted
    | PointLogged
    | RunFinished
)
OnEvent = Callable[[Event], None]
"""Called in the process that runs the study, with the events of each run in order."""


def ignore(event: Event) -> None:
    """Do nothing with an event."""
