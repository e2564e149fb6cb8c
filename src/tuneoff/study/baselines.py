"""The baselines of a study: computed once for each task and train size, before its runs."""

from collections.abc import Collection, Iterator
from itertools import product

from tuneoff.results.store import RunStore
from tuneoff.spec import StudySpec, TrainSize
from tuneoff.tasks import (
    UPPER_BOUNDS,
    BaselineResult,
    baseline_names,
    baseline_scoring,
    run_baseline,
    train_subset,
)
from tuneoff.training import Session, stream_seed


def add_baselines(study: StudySpec, store: RunStore, session: Session) -> None:
    """Compute and store the baselines that the folder lacks, on the training rows of the first seed.

    Raises:
        InputError: the data or the folder cannot be used.
    """
    # a baseline of another scoring tokenizer is computed again, or its scores could not be compared
    present = {
        (one.task_name, one.name, one.train_size)
        for one in store.contents().baselines
        if one.scoring == baseline_scoring(one.task)
    }
    for task_name, size in product(study.tasks, study.train_sizes):
        for result in _missing(study, task_name, size, present, session):
            store.write_baseline(result.record, result.predictions)


def count_baselines(study: StudySpec, session: Session) -> dict[str, int]:
    """Return how many baselines of each task are candidates of its decision: those that see no reference.

    Raises:
        InputError: the data cannot be used.
    """
    names = {name: baseline_names(task, session.task_data(task).test) for name, task in study.tasks.items()}
    return {task: len(set(found) - UPPER_BOUNDS) for task, found in names.items()}


def _missing(
    study: StudySpec,
    task_name: str,
    size: TrainSize,
    present: Collection[tuple[str, str, TrainSize]],
    session: Session,
) -> Iterator[BaselineResult]:
    """Yield the baselines of one task and train size that are not among those present."""
    task, seed = study.tasks[task_name], study.all_seeds[0]
    data = session.task_data(task)
    train = train_subset(data.train, size, seed=stream_seed(seed, "subsample"))
    for name in baseline_names(task, data.test):
        if (task_name, name, size) not in present:
            yield run_baseline(name, data, train, task_name=task_name, train_size=size, seed=seed)
