"""The only training loop."""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from tuneoff.errors import DivergedError
from tuneoff.interrupts import raise_if_interrupted
from tuneoff.methods import AdaptedModel
from tuneoff.results import CurvePoint
from tuneoff.spec import TrainingSpec
from tuneoff.training.batches import Encoded, chunks, collate, epochs
from tuneoff.training.likelihood import Objective
from tuneoff.training.mixing import Mixing
from tuneoff.training.optim import make_optimizer, make_schedule
from tuneoff.training.precision import Dtype, autocast

OnPoint = Callable[[CurvePoint], None]
Window = list[list[Encoded]]
"""The batches of one optimizer step."""


class FitResult(NamedTuple):
    """The outcome of training; the model is left with its best weights."""

    best_step: int
    validation: dict[str, float]
    """Validation scores of the best weights."""
    steps: int
    seconds: float
    """Time of the optimizer steps alone, without evaluations."""
    tokens: int
    """Input and target tokens, padding not counted."""


def total_steps(training: TrainingSpec, examples: int) -> int:
    """Return the number of optimizer steps of a run over this many examples."""
    if training.num_train_epochs is None:
        return training.max_steps or 0
    # at the end of an epoch, a smaller batch is a batch, and fewer batches than accumulated are a step
    batches = math.ceil(examples / training.per_device_train_batch_size)
    per_epoch = math.ceil(batches / training.gradient_accumulation_steps)
    return math.ceil(training.num_train_epochs * per_epoch)


def fit(
    adapted: AdaptedModel,
    examples: Sequence[Encoded],
    *,
    training: TrainingSpec,
    dtype: Dtype,
    order: torch.Generator,
    pad_token_id: int,
    evaluate: Callable[[], dict[str, float]],
    metric: str,
    on_point: OnPoint,
    stop_after: int | None = None,
    mixing: Mixing | None = None,
) -> FitResult:
    """Train the method's parameters and leave the best of them in the model, or the last.

    `evaluate` scores the validation split: before the first step, every `eval_steps` and after the last.
    `metric` names the score that selects the best weights; those from before the first step do not compete,
    and without `load_best_model_at_end` only the last ones do. With `stop_after`, training ends after that
    step, on the learning-rate schedule of the full length. `mixing` says which examples make an epoch; by
    default all do.

    Raises:
        DivergedError: the loss, a gradient or a validation score is not finite.
    """

    def evaluated(step: int) -> dict[str, float]:
        scores = evaluate()
        for name, value in scores.items():
            if not math.isfinite(value):
                raise DivergedError(f"at step {step} {name} on validation is {value}")
        return scores

    steps = total_steps(training, mixing.epoch_rows if mixing else len(examples))
    last = min(steps, stop_after or steps)
    optimizer_steps = OptimizerSteps(adapted, training, dtype=dtype, steps=steps, pad_token_id=pad_token_id)
    best = _Best(metric, adapted.parameters())
    on_point(CurvePoint(step=0, scores=evaluated(0)))
    losses: list[float] = []
    step = tokens = 0
    ordered = windows(examples, training, order=order, steps=last, mixing=mixing)
    for step, window in enumerate(ordered, start=1):
        # a library may have swallowed the KeyboardInterrupt of a Ctrl-C
        raise_if_interrupted()
        outcome = optimizer_steps.take(window, step)
        losses.append(outcome.loss)
        tokens += sum(len(row.input_ids) + len(row.labels) for batch in window for row in batch)
        if step % training.logging_steps == 0 or step == last:
            # a logged loss is the mean since the last logged one, as transformers' Trainer has it
            on_point(_training_point(step, sum(losses) / len(losses), outcome))
            losses = []
        if step % training.eval_steps == 0 or step == last:
            scores = evaluated(step)
            on_point(CurvePoint(step=step, scores=scores))
            if training.load_best_model_at_end or step == last:
                best.offer(step, scores)
            if training.early_stopping_patience and best.since >= training.early_stopping_patience:
                break
    best.restore()
    return FitResult(best.step, best.scores, step, optimizer_steps.seconds, tokens)


def windows(
    examples: Sequence[Encoded],
    training: TrainingSpec,
    *,
    order: torch.Generator,
    steps: int,
    mixing: Mixing | None = None,
) -> Iterator[Window]:
    """Return the batches of each of this many optimizer steps; no step has batches of two epochs."""
    return itertools.islice(_endless_windows(examples, training, order, mixing), steps)


def _endless_windows(
    examples: Sequence[Encoded], training: TrainingSpec, order: torch.Generator, mixing: Mixing | None
) -> Iterator[Window]:
    endless_epochs = epochs(
        [len(example.input_ids) for example in examples],
        batch_size=training.per_device_train_batch_size,
        group_by_length=training.group_by_length,
        order=order,
        rows_by_epoch=mixing.epochs() if mixing else None,
    )
    for batches in endless_epochs:
        # the last window of an epoch may have fewer batches than the others
        for window in chunks(batches, training.gradient_accumulation_steps):
            yield [[examples[row] for row in batch] for batch in window]


class StepOutcome(NamedTuple):
    """The outcome of one optimizer step."""

    loss: float
    """Mean over the target tokens of the step."""
    learning_rates: dict[str, float]
    """Of each part of the method, by its kind."""
    grad_norm: float
    """Before clipping."""


def _training_point(step: int, loss: float, outcome: StepOutcome) -> CurvePoint:
    """Return a point of the curve: with `learning_rate` for one part, with `learning_rates` for a stack."""
    rates = outcome.learning_rates
    is_stack = len(rates) > 1
    return CurvePoint(
        step=step,
        loss=loss,
        learning_rate=None if is_stack else next(iter(rates.values())),
        learning_rates=rates if is_stack else None,
        grad_norm=outcome.grad_norm,
    )


class OptimizerSteps:
    """The optimizer steps of a run, one after another, and the time they take."""

    def __init__(
        self, adapted: AdaptedModel, training: TrainingSpec, *, dtype: Dtype, steps: int, pad_token_id: int
    ) -> None:
        self._accelerator = Accelerator()
        self._adapted, self._steps = adapted, steps
        self._parameters = adapted.parameters()
        optimizer = make_optimizer(adapted, training)
        self._group_parts = [group["part"] for group in optimizer.param_groups]
        self._schedule = make_schedule(optimizer, adapted, training, steps=steps)
        self._objective, self._optimizer = self._accelerator.prepare(Objective(adapted.family), optimizer)
        self._max_norm = training.max_grad_norm or math.inf
        self._dtype: Dtype = dtype
        self._prompt_ids, self._pad_token_id = adapted.prompt_ids, pad_token_id
        self.seconds = 0.0

    def take(self, window: Window, step: int) -> StepOutcome:
        """Take one step over the batches of a window; messages call it number `step`.

        Raises:
            DivergedError: the loss or a gradient is not finite.
        """
        started = time.perf_counter()
        self._objective.train()
        loss = self._backward(window)
        norm = float(self._accelerator.clip_grad_norm_(self._parameters, self._max_norm))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise DivergedError(f"at step {step} the loss is {loss} and the gradient's norm {norm}")
        # read before the schedule moves on; a part's groups, with and without weight decay, have one rate
        group_rates = zip(self._group_parts, self._schedule.get_last_lr(), strict=True)
        learning_rates = {part: float(rate) for part, rate in group_rates}
        self._optimizer.step()
        self._schedule.step()
        self._adapted.after_step(step, self._steps)
        self._optimizer.zero_grad()
        self.seconds += time.perf_counter() - started
        return StepOutcome(loss, learning_rates, norm)

    def _backward(self, window: Window) -> float:
        """Accumulate the gradients of a window; return its mean loss over all target tokens."""
        device = self._accelerator.device
        targets = sum(len(row.labels) for batch in window for row in batch)
        total = 0.0
        for batch in window:
            inputs = collate(
                batch, prompt_ids=self._prompt_ids, pad_token_id=self._pad_token_id, device=device
            )
            with autocast(device, self._dtype):
                mean = self._objective(**inputs)
                if (penalty := self._adapted.penalty()) is not None:
                    mean = mean + penalty
            # weighted by target tokens, so that accumulation gives the gradient of one large batch
            loss = mean * (sum(len(row.labels) for row in batch) / targets)
            self._accelerator.backward(loss)
            total += loss.item()
        return total


@dataclass
class _Best:
    """The best weights so far, by the task's main metric."""

    metric: str
    parameters: list[nn.Parameter]
    step: int = 0
    scores: dict[str, float] = field(default_factory=dict)
    weights: list[Tensor] = field(default_factory=list)
    since: int = 0
    """Evaluations since the best one."""

    def offer(self, step: int, scores: dict[str, float]) -> None:
        """Keep the weights if their score is the best; among equals the earliest stays."""
        self.since += 1
        if not self.scores or scores[self.metric] > self.scores[self.metric]:
            self.step, self.scores, self.since = step, scores, 0
            self._keep()

    @torch.no_grad()
    def _keep(self) -> None:
        if not self.weights:
            self.weights = [parameter.detach().clone() for parameter in self.parameters]
        # into the same memory, so that there are never two copies
        for weight, parameter in zip(self.weights, self.parameters, strict=True):
            weight.copy_(parameter)

    @torch.no_grad()
    def restore(self) -> None:
        """Copy the best weights back into the model."""
        for parameter, weight in zip(self.parameters, self.weights, strict=True):
            parameter.copy_(weight)
