"""What runs are expected to take, told from their settings and rows alone: for the time left, not for `plan`.

Loads are in units of about one token that passes through the model, so they compare runs with each other; how
long a unit takes is learned while the study runs (`time_left.py`). `plan` times real steps instead, which
takes longer than many a study may wait.
"""

import math
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import NamedTuple

from tuneoff.spec import ClassificationSpec, FullSpec, MultipleChoiceSpec, NoneSpec, RunSpec, Task
from tuneoff.stats import Cell
from tuneoff.tasks import Example
from tuneoff.training import Session, total_steps

_LETTERS_OF_A_TOKEN = 4
_SAMPLE = 200
"""Rows whose lengths are taken."""
_FULL_STEP, _STEP = 3.0, 2.4
"""Passes through the model that forward and backward take, when all weights are trained or few. The second is
what LoRA, prefix and soft prompt take in the quickstart on two cores."""
_LEAST_BATCH = 128
"""A step of generation reads all weights, so it takes as long as this many tokens that pass at once."""


class Load(NamedTuple):
    """What a run is expected to take, in units of about one token that passes through the model."""

    start: float
    """The evaluation before the first step."""
    step: float
    """An optimizer step, with its share of the evaluations."""
    steps: int
    end: float
    """The test."""

    @property
    def whole(self) -> float:
        """The load of the run."""
        return self.until(self.steps) + self.end

    def until(self, step: int) -> float:
        """Return the load from the start until after this step: for the last, that of a trial."""
        return self.start + step * self.step


def expected_loads(runs: Iterable[RunSpec], session: Session) -> dict[Cell, Load]:
    """Return the load of a run of each cell.

    Raises:
        DataError: the rows of a task cannot be used.
    """
    first = {Cell.of(run): run for run in reversed(tuple(runs))}
    return {cell: _load(run, session) for cell, run in first.items()}


def _load(run: RunSpec, session: Session) -> Load:
    training, size = run.training, run.training.per_device_eval_batch_size
    test = _evaluation(run.task, session.run_rows(run).test, size) * (1 + len(run.cuts))
    if run.trained_by is not None:
        return Load(start=0.0, step=0.0, steps=0, end=test)
    data = {member.task_name: session.run_rows(member) for member in run.members}
    validation = sum(_evaluation(one.spec, one.validation, size) for one in data.values())
    if isinstance(run.method, NoneSpec):
        return Load(start=validation, step=0.0, steps=0, end=test)
    rows = training.per_device_train_batch_size * training.gradient_accumulation_steps
    tokens = fmean(
        _input(one.spec, row) + _target(one.spec, row.target)
        for one in data.values()
        for row in one.train[:_SAMPLE]
    )
    passes = _FULL_STEP if isinstance(run.method, FullSpec) else _STEP
    return Load(
        start=validation,
        step=passes * rows * tokens + validation / training.eval_steps,
        steps=total_steps(training, session.epoch_rows(run)),
        end=test,
    )


def _evaluation(task: Task, rows: Sequence[Example], batch_size: int) -> float:
    """Return the load of scoring a split."""
    sample = rows[:_SAMPLE]
    read = len(rows) * fmean(_input(task, one) for one in sample)
    match task:
        case ClassificationSpec():
            return read + len(rows) * sum(_target(task, label) for label in task.labels.values())
        case MultipleChoiceSpec():
            return read + len(rows) * fmean(len(one.options) for one in sample)
        case _:
            lengths = [_target(task, one.target) for one in sample]
            written = min(max(lengths), task.max_new_tokens)
            batches = math.ceil(len(rows) / batch_size)
            losses = len(rows) * fmean(lengths)
            return read + losses + written * (len(rows) * task.num_beams + batches * _LEAST_BATCH)


def _input(task: Task, example: Example) -> int:
    return min(_tokens(example.source), task.max_source_length)


def _target(task: Task, text: str) -> int:
    return min(_tokens(text), task.max_target_length)


def _tokens(text: str) -> int:
    """Return about how many tokens a text has, with that at its end."""
    return 1 + len(text) // _LETTERS_OF_A_TOKEN
