"""Estimate what a run will train and how long it will take, from a few steps on a throw-away model."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import NamedTuple, TypeVar

from tuneoff.errors import DivergedError, StudyError, UnfitError, shown
from tuneoff.results import Footprint
from tuneoff.spec import NoneSpec, RunSpec
from tuneoff.training import Encoded, Prepared, Session, generator, prepare, total_steps, windows
from tuneoff.training.loop import OptimizerSteps, Window
from tuneoff.training.memory import measure_peak
from tuneoff.training.run import is_out_of_memory

T = TypeVar("T")
_PROBES = 3
"""Optimizer steps that are timed, after a first one, which is slower than others."""
_STEPS = 200
"""Steps whose tokens are counted."""
_SAMPLE = 16
"""Rows whose evaluation is timed."""


class Cost(NamedTuple):
    """Parameters of a method on a task, and the times of the parts of a run in seconds."""

    footprint: Footprint
    step: float
    """One optimizer step."""
    validation: float
    """One evaluation of the validation split, of a mixture those of all its tasks."""
    test: float
    """The evaluation of the test split."""
    setup: float
    """Loading and encoding the data, and attaching the method to the model."""
    memory: int | None
    """The most that this process took in bytes, in steps (the largest of many among them) and evaluations;
    None where the system does not tell."""
    device_memory: int | None
    """The same of a CUDA device."""

    def trial_seconds(self, run: RunSpec, examples: int) -> float:
        """Estimate the time of a search trial over that many training examples: a run without the test."""
        if not self.footprint.trainable:
            return self.setup + self.validation
        steps = total_steps(run.training, examples)
        evaluations = 1 + math.ceil(steps / run.training.eval_steps)  # one before the first step
        return self.setup + steps * self.step + evaluations * self.validation

    def seconds(self, run: RunSpec, examples: int) -> float:
        """Estimate the time of a run over that many training examples; each cut of LoRA is tested, too."""
        trained = self.setup if run.trained_by else self.trial_seconds(run, examples)
        return trained + self.test * (1 + len(run.cuts))


class Estimate(NamedTuple):
    """A run of the plan, the parameters it trains, and its estimated time."""

    run: RunSpec
    footprint: Footprint | None
    """None if the model cannot carry the method."""
    seconds: float
    trial_seconds: float
    """Of the same without the test split, as a trial of a search."""
    test_rows: int
    memory: int | None = None
    """The most that the steps took in bytes, on a CUDA device the device's; None where nothing tells."""
    unfit: str | None = None
    """Why the model cannot carry the method."""


class MethodCosts(NamedTuple):
    """The costs of methods on tasks, each measured once."""

    costs: dict[tuple[str, str], Cost]
    """By task and method."""
    unfit: dict[str, str]
    """By method, why the model cannot carry it."""
    test_rows: dict[str, int]
    """By task."""


def measure_costs(runs: Sequence[RunSpec], session: Session) -> MethodCosts:
    """Time each method of the runs once on each task, on its real data.

    Times are those of one run at a time with all threads, without early stopping.

    Raises:
        InputError: the model, the data or a method cannot be used, or does not fit into memory.
    """
    found = MethodCosts({}, {}, {})
    for run in runs:
        key = (run.task_name, run.method_name)
        if key in found.costs or run.method_name in found.unfit:
            continue
        try:
            found.costs[key], found.test_rows[run.task_name] = _measure(run, session)
        except UnfitError as error:
            found.unfit[run.method_name] = str(error)
        except (ArithmeticError, MemoryError, RuntimeError, TypeError, ValueError) as error:
            reason = "it does not fit into memory" if is_out_of_memory(error) else shown(str(error))
            raise StudyError(
                f"method '{run.method_name}' cannot be run on task '{run.task_name}': {reason}; "
                "lower its size, the batch sizes, the beams or the lengths in tokens"
            ) from error
    return found


def estimate(runs: Sequence[RunSpec], session: Session) -> list[Estimate]:
    """Return an estimate for each run, of no time if the model cannot carry its method.

    Raises:
        InputError: the model, the data or a method cannot be used, or does not fit into memory.
    """
    measured = measure_costs(runs, session)
    return [_estimate(run, measured, session) for run in runs]


def _estimate(run: RunSpec, measured: MethodCosts, session: Session) -> Estimate:
    if run.method_name in measured.unfit:
        rows, reason = len(session.run_rows(run).test), measured.unfit[run.method_name]
        return Estimate(run, None, seconds=0, trial_seconds=0, test_rows=rows, unfit=reason)
    cost = measured.costs[run.task_name, run.method_name]
    examples = 0 if isinstance(run.method, NoneSpec) else session.epoch_rows(run)
    return Estimate(
        run,
        cost.footprint,
        seconds=cost.seconds(run, examples),
        trial_seconds=cost.trial_seconds(run, examples),
        test_rows=measured.test_rows[run.task_name],
        memory=cost.device_memory or cost.memory,
    )


def _measure(run: RunSpec, session: Session) -> tuple[Cost, int]:
    """Return the cost of a method on a task, and the number of test rows."""
    setup, prepared = _timed(lambda: prepare(run, session))
    encoded = prepared.data.encoded
    counts = prepared.footprint()
    trains = prepared.adapted.parts and run.trained_by is None
    with measure_peak(prepared.adapted.model.device) as peak:
        step = _step_seconds(prepared) if trains else 0.0
        prepared.adapted.fold()
        validation = sum(_evaluation_seconds(one, one.data.encoded["validation"]) for one in prepared.members)
        test = _evaluation_seconds(prepared, encoded["test"])
    cost = Cost(
        counts,
        step=step,
        validation=validation,
        test=test,
        setup=setup,
        memory=peak.process,
        device_memory=peak.device,
    )
    return cost, len(encoded["test"])


def _step_seconds(run: Prepared) -> float:
    """Return the time of a mean optimizer step, from a few over real batches; they change the model.

    It is the lowest time of a token among them, which other work on the machine disturbs least, times the
    tokens of a mean step. The largest step comes first, so that the memory it takes is taken.
    """
    training, rows, count = run.spec.training, run.train_rows(), run.steps
    optimizer_steps = OptimizerSteps(
        run.adapted,
        training,
        dtype=run.dtype,
        steps=count,
        pad_token_id=run.backbone.tokenizer.pad_token_id,
    )
    order = generator(run.spec.seed, "order")
    planned = windows(rows, training, order=order, steps=min(count, _STEPS), mixing=run.mixing)
    steps = list(planned)
    sizes = [_tokens(window, len(run.adapted.prompt_ids)) for window in steps]
    _step(optimizer_steps, steps[sizes.index(max(sizes))], 1)
    timed = [
        _timed(partial(_step, optimizer_steps, window, step))[0] / size
        for step, (window, size) in enumerate(zip(steps[:_PROBES], sizes, strict=False), start=2)
    ]
    return min(timed) * sum(sizes) / len(sizes)


def _tokens(window: Window, prompt: int) -> int:
    """Return the tokens of a window's batches, with padding and a soft prompt of this length."""

    def longest(texts: Iterable[Sequence[int]]) -> int:
        return max(map(len, texts))

    return sum(
        len(batch) * (prompt + longest(row.input_ids for row in batch) + longest(row.labels for row in batch))
        for batch in window
    )


def _step(optimizer_steps: OptimizerSteps, window: Window, step: int) -> None:
    with suppress(DivergedError):  # a diverging step takes as long as any other
        optimizer_steps.take(window, step)


def _evaluation_seconds(run: Prepared, rows: list[Encoded]) -> float:
    """Estimate the time of a split from one batch of its rows, evenly chosen by length.

    A tuned model is taken to write as much as the targets have, which this model has not learned yet.
    """
    decoder = replace(run.decoder, as_long_as_targets=bool(run.adapted.parts))
    size = min(decoder.batch_size, _SAMPLE)
    by_length = sorted(rows, key=lambda row: len(row.input_ids))
    sample = by_length[:: max(1, len(rows) // size)][:size]
    decoder.answers(by_length[-decoder.batch_size :])  # takes most memory, and time that later batches do not
    seconds, _ = _timed(lambda: decoder.answers(sample))
    return seconds * len(rows) / len(sample)


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result
