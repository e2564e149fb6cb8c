"""What a run will train and how long it will take, from a few steps on a model that is thrown away."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple, TypeVar

from tuneoff.errors import DivergedError, StudyError, shown
from tuneoff.methods import footprint
from tuneoff.results import Footprint
from tuneoff.spec import NoneSpec, RunSpec
from tuneoff.training import Encoded, Prepared, Session, generator, prepare, total_steps, windows
from tuneoff.training.loop import OptimizerSteps, Window
from tuneoff.training.run import is_out_of_memory

Result = TypeVar("Result")
_PROBES = 3
"""Training batches that are timed."""
_SAMPLE = 16
"""Rows whose evaluation is timed."""


class Cost(NamedTuple):
    """Parameters of a method on a task, and the time of its pieces in seconds."""

    footprint: Footprint
    step: float
    """One optimizer step."""
    validation: float
    """One evaluation of the validation split."""
    test: float
    """The evaluation of the test split."""
    setup: float

    def trial_seconds(self, run: RunSpec, examples: int) -> float:
        """The estimated time of a search's trial over so many training examples: a run without the test."""
        return self.seconds(run, examples) - self.test

    def seconds(self, run: RunSpec, examples: int) -> float:
        """The estimated time of a run over so many training examples."""
        if not self.footprint.trainable:
            return self.setup + self.validation + self.test
        steps = total_steps(run.training, examples)
        evaluations = 1 + -(-steps // run.training.eval_steps)
        return self.setup + steps * self.step + evaluations * self.validation + self.test


class Estimate(NamedTuple):
    """A run of the plan, what it trains, and how long it should take."""

    run: RunSpec
    footprint: Footprint
    seconds: float
    trial_seconds: float
    """The same without the test split: a trial of a search."""
    test_rows: int


def estimate(runs: Sequence[RunSpec], session: Session) -> list[Estimate]:
    """An estimate for each run; each method is timed once on each task, on its real data.

    Times are those of a run alone with all threads. Early stopping is not foreseen.

    Raises:
        InputError: the model, the data or a method cannot be used, or not in the memory of this machine.
    """
    costs: dict[tuple[str, str], Cost] = {}
    tested: dict[str, int] = {}
    estimates = []
    for run in runs:
        key = (run.task_name, run.method_name)
        if key not in costs:
            try:
                costs[key], tested[run.task_name] = _measure(run, session)
            except (ArithmeticError, MemoryError, RuntimeError, TypeError, ValueError) as error:
                reason = "it does not fit into memory" if is_out_of_memory(error) else shown(str(error))
                raise StudyError(
                    f"a run must be possible, but method '{run.method_name}' on task '{run.task_name}' is "
                    f"not: {reason}; lower its size, the batch sizes, the beams or the lengths in tokens"
                ) from error
        cost, trained = costs[key], 0 if isinstance(run.method, NoneSpec) else session.train_count(run)
        seconds, trial = cost.seconds(run, trained), cost.trial_seconds(run, trained)
        estimates.append(Estimate(run, cost.footprint, seconds, trial, tested[run.task_name]))
    return estimates


def _measure(run: RunSpec, session: Session) -> tuple[Cost, int]:
    """The cost of a method on a task, and the test rows."""
    setup, prepared = _timed(lambda: prepare(run, session))
    encoded = prepared.data.encoded
    counts = footprint(prepared.adapted, prepared.train_batch(1))
    step = _step_seconds(prepared) if prepared.adapted.parts else 0.0
    prepared.adapted.fold()
    cost = Cost(
        counts,
        step=step,
        validation=_evaluation_seconds(prepared, encoded["validation"]),
        test=_evaluation_seconds(prepared, encoded["test"]),
        setup=setup,
    )
    return cost, len(encoded["test"])


def _step_seconds(run: Prepared) -> float:
    """The median time of a few optimizer steps over real batches; the model is thrown away afterwards."""
    training = run.spec.training
    pad_token_id = run.backbone.tokenizer.pad_token_id
    optimizer_steps = OptimizerSteps(
        run.adapted, training, dtype=run.dtype, steps=_PROBES, pad_token_id=pad_token_id
    )
    order = generator(run.spec.seed, "order")
    steps = windows(run.train_rows(), training, order=order, steps=_PROBES)

    times = [_timed(partial(_step, optimizer_steps, window, step))[0] for step, window in enumerate(steps)]
    return sorted(times)[len(times) // 2]


def _step(optimizer_steps: OptimizerSteps, window: Window, step: int) -> None:
    with suppress(DivergedError):  # it takes its time all the same
        optimizer_steps.take(window, step)


def _evaluation_seconds(run: Prepared, rows: list[Encoded]) -> float:
    """The time of a split, from one batch of its rows of every length."""
    size = min(run.decoder.batch_size, _SAMPLE)
    by_length = sorted(rows, key=lambda row: len(row.input_ids))
    sample = by_length[:: max(1, len(rows) // size)][:size]
    seconds, _ = _timed(lambda: run.decoder.answers(sample))
    return seconds * len(rows) / len(sample)


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result
