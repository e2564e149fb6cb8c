"""Estimate what a run will train and how long it will take, from a few steps on a throw-away model."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple, TypeVar

from tuneoff.errors import DivergedError, StudyError, UnfitError, shown
from tuneoff.methods import footprint
from tuneoff.results import Footprint
from tuneoff.spec import NoneSpec, RunSpec
from tuneoff.training import Encoded, Prepared, Session, generator, prepare, total_steps, windows
from tuneoff.training.loop import OptimizerSteps, Window
from tuneoff.training.run import is_out_of_memory

T = TypeVar("T")
_PROBES = 3
"""Training batches that are timed."""
_SAMPLE = 16
"""Rows whose evaluation is timed."""


class Cost(NamedTuple):
    """Parameters of a method on a task, and the times of the parts of a run in seconds."""

    footprint: Footprint
    step: float
    """One optimizer step."""
    validation: float
    """One evaluation of the validation split."""
    test: float
    """The evaluation of the test split."""
    setup: float
    """Loading and encoding the data, and attaching the method to the model."""

    def trial_seconds(self, run: RunSpec, examples: int) -> float:
        """Estimate the time of a search trial over that many training examples: a run without the test."""
        return self.seconds(run, examples) - self.test

    def seconds(self, run: RunSpec, examples: int) -> float:
        """Estimate the time of a run over that many training examples."""
        if not self.footprint.trainable:
            return self.setup + self.validation + self.test
        steps = total_steps(run.training, examples)
        evaluations = 1 + math.ceil(steps / run.training.eval_steps)  # one before the first step
        return self.setup + steps * self.step + evaluations * self.validation + self.test


class Estimate(NamedTuple):
    """A run of the plan, the parameters it trains, and its estimated time."""

    run: RunSpec
    footprint: Footprint | None
    """None if the model cannot carry the method."""
    seconds: float
    trial_seconds: float
    """Of the same without the test split, as a trial of a search."""
    test_rows: int
    unfit: str | None = None
    """Why the model cannot carry the method."""


def estimate(runs: Sequence[RunSpec], session: Session) -> list[Estimate]:
    """Return an estimate for each run, of no time if the model cannot carry its method.

    Each method is timed once on each task, on its real data. Times are those of one run at a time with all
    threads, without early stopping.

    Raises:
        InputError: the model, the data or a method cannot be used, or does not fit into memory.
    """
    costs: dict[tuple[str, str], Cost] = {}
    unfit: dict[str, str] = {}
    test_rows: dict[str, int] = {}
    estimates = []
    for run in runs:
        key = (run.task_name, run.method_name)
        if key not in costs and run.method_name not in unfit:
            try:
                costs[key], test_rows[run.task_name] = _measure(run, session)
            except UnfitError as error:
                unfit[run.method_name] = str(error)
            except (ArithmeticError, MemoryError, RuntimeError, TypeError, ValueError) as error:
                reason = "it does not fit into memory" if is_out_of_memory(error) else shown(str(error))
                raise StudyError(
                    f"method '{run.method_name}' cannot be run on task '{run.task_name}': {reason}; "
                    "lower its size, the batch sizes, the beams or the lengths in tokens"
                ) from error
        if run.method_name in unfit:
            rows = len(session.run_rows(run).test)
            reason = unfit[run.method_name]
            estimates.append(Estimate(run, None, seconds=0, trial_seconds=0, test_rows=rows, unfit=reason))
            continue
        cost = costs[key]
        examples = 0 if isinstance(run.method, NoneSpec) else session.train_count(run)
        estimates.append(
            Estimate(
                run,
                cost.footprint,
                seconds=cost.seconds(run, examples),
                trial_seconds=cost.trial_seconds(run, examples),
                test_rows=test_rows[run.task_name],
            )
        )
    return estimates


def _measure(run: RunSpec, session: Session) -> tuple[Cost, int]:
    """Return the cost of a method on a task, and the number of test rows."""
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
    """Return the median time of a few optimizer steps over real batches; they change the model."""
    training = run.spec.training
    pad_token_id = run.backbone.tokenizer.pad_token_id
    optimizer_steps = OptimizerSteps(
        run.adapted,
        training,
        dtype=run.dtype,
        steps=total_steps(training, len(run.data.encoded["train"])),
        pad_token_id=pad_token_id,
    )
    order = generator(run.spec.seed, "order")
    steps = windows(run.train_rows(), training, order=order, steps=_PROBES)

    times = [
        _timed(partial(_step, optimizer_steps, window, step))[0] for step, window in enumerate(steps, start=1)
    ]
    return sorted(times)[len(times) // 2]


def _step(optimizer_steps: OptimizerSteps, window: Window, step: int) -> None:
    with suppress(DivergedError):  # a diverging step takes as long as any other
        optimizer_steps.take(window, step)


def _evaluation_seconds(run: Prepared, rows: list[Encoded]) -> float:
    """Estimate the time of a split from one batch of its rows, evenly chosen by length."""
    size = min(run.decoder.batch_size, _SAMPLE)
    by_length = sorted(rows, key=lambda row: len(row.input_ids))
    sample = by_length[:: max(1, len(rows) // size)][:size]
    seconds, _ = _timed(lambda: run.decoder.answers(sample))
    return seconds * len(rows) / len(sample)


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result
