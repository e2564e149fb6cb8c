"""What a study is doing right now, for those who watch its folder from elsewhere."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Literal

from pydantic import NonNegativeInt, ValidationError

from tuneoff.errors import StoreError
from tuneoff.results.layout import StudyFolder
from tuneoff.results.store import write_atomically
from tuneoff.spec import Spec, TrainSize


class Count(Spec):
    """How much of the planned work is done."""

    done: NonNegativeInt = 0
    total: NonNegativeInt = 0


class Training(Spec):
    """A run under way, or a trial of a search."""

    task: str
    method: str
    train_size: TrainSize
    seed: int
    trial: NonNegativeInt | None = None
    """Number of the trial; None for a run."""
    step: NonNegativeInt = 0
    """The last step that was logged or evaluated."""
    steps: NonNegativeInt | None = None
    """All optimizer steps; None where they are not known."""
    losses: tuple[float, ...] = ()
    """The curve of the training loss, as means of at most 32 equal parts."""
    loss: float | None = None
    """The last loss that was logged."""
    metric: str | None = None
    """Name of `score`."""
    score: float | None = None
    """The last main metric on validation."""
    seconds: float = 0.0
    """Time since it started."""

    @property
    def name(self) -> str:
        """Task, method, train size, trial and seed as one word: the beginning of a run's id."""
        trial = "" if self.trial is None else f".trial{self.trial}"
        return f"{self.task}.{self.method}.n{self.train_size}{trial}.s{self.seed}"


class Activity(Spec):
    """What a study is doing."""

    study: str
    stage: Literal["checks", "search", "runs"] = "checks"
    trials: Count = Count()
    """Trainings of trials of the searches that had no result when the study started."""
    runs: Count = Count()
    running: tuple[Training, ...] = ()
    """What is under way, in the order in which it started."""
    seconds: float = 0.0
    """Time since the study started or was resumed."""
    left: float | None = None
    """Expected time until the last run ends; None while nothing is known. Further runs of a race are not in
    it."""


def means(values: Sequence[float], parts: int) -> tuple[float, ...]:
    """Return the means of at most so many equal parts of a curve; all values if they are no more."""
    parts = min(len(values), parts)
    ends = [len(values) * part // parts for part in range(parts + 1)] if parts else []
    return tuple(fmean(values[low:high]) for low, high in pairwise(ends))


def write_activity(path: Path, activity: Activity) -> None:
    """Replace the file with what a study is doing; a failure is passed over, as nothing depends on it."""
    with suppress(StoreError):
        write_atomically(path, activity.model_dump_json(exclude_defaults=True), durable=False)


def end_activity(path: Path) -> None:
    """Remove the file: the study is done, or was stopped."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


def read_activity(folder: StudyFolder) -> Activity | None:
    """Return what a study is doing, all its shards together; None if no process says that it works on it."""
    found = []
    for path in folder.activities():
        # one that is gone by now, or of another version
        with suppress(OSError, UnicodeDecodeError, ValidationError):
            found.append(Activity.model_validate_json(path.read_text(encoding="utf-8")))
    return _together(found) if found else None


def _together(shards: Sequence[Activity]) -> Activity:
    """Return what several processes do as one; the time left is that of the slowest."""
    stages = [one.stage for one in shards]
    left = [one.left for one in shards]
    return Activity(
        study=shards[0].study,
        stage=max(stages, key=("checks", "search", "runs").index),
        trials=_sum(one.trials for one in shards),
        runs=_sum(one.runs for one in shards),
        running=tuple(training for one in shards for training in one.running),
        seconds=max(one.seconds for one in shards),
        left=None if None in left else max(one for one in left if one is not None),
    )


def _sum(counts: Iterable[Count]) -> Count:
    both = [*counts]
    return Count(done=sum(one.done for one in both), total=sum(one.total for one in both))
