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
from tuneoff.training.optim import make_optimizer, make_schedule
from tuneoff.training.precision import Dtype, autocast

OnPoint = Callable[[CurvePoint], None]
Window = list[list[Encoded]]
"""The batches of one optimizer step."""


class FitResult(NamedTuple):
    """What training came to; the model is left with its best weights."""

    best_step: int
    validation: dict[str, float]
    """Validation scores of the best weights."""
    steps: int
    seconds: float
    """Optimizer steps alone, without evaluations."""
    tokens: int
    """Input and target tokens, padding not counted."""


def total_steps(training: TrainingSpec, examples: int) -> int:
    """Optimizer steps of a run over so many examples."""
    if training.num_train_epochs is None:
        return training.max_steps or 0
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
) -> FitResult:
    """Trains the method's parameters and leaves the best of them in the model.

    `evaluate` scores the validation split: before the first step, every `eval_steps` and after the
    last. `metric` names the score that chooses the best weights, among those behind a step.

    Raises:
        DivergedError: the loss, a gradient or a validation score is not finite.
    """

    def evaluated(step: int) -> dict[str, float]:
        scores = evaluate()
        for name, value in scores.items():
            if not math.isfinite(value):
                raise DivergedError(f"at step {step} {name} on validation is {value}")
        return scores

    steps = total_steps(training, len(examples))
    take_step = OptimizerSteps(adapted, training, dtype=dtype, steps=steps, pad_token_id=pad_token_id)
    best = _Best(metric, adapted.parameters())
    on_point(CurvePoint(step=0, scores=evaluated(0)))
    losses: list[float] = []
    step = tokens = 0
    for step, window in enumerate(windows(examples, training, order=order, steps=steps), start=1):
        raise_if_interrupted()
        outcome = take_step(window, step)
        losses.append(outcome.loss)
        tokens += sum(len(row.input_ids) + len(row.labels) for batch in window for row in batch)
        if step % training.logging_steps == 0 or step == steps:
            on_point(CurvePoint(step=step, **outcome._replace(loss=sum(losses) / len(losses))._asdict()))
            losses = []
        if step % training.eval_steps == 0 or step == steps:
            scores = evaluated(step)
            on_point(CurvePoint(step=step, scores=scores))
            if best.offer(step, scores) == training.early_stopping_patience:
                break
    best.restore()
    return FitResult(best.step, best.scores, step, take_step.seconds, tokens)


def windows(
    examples: Sequence[Encoded], training: TrainingSpec, *, order: torch.Generator, steps: int
) -> Iterator[Window]:
    """The batches of each optimizer step; a step never reaches over the end of an epoch."""
    lengths = [len(example.input_ids) for example in examples]
    passes = epochs(
        lengths,
        batch_size=training.per_device_train_batch_size,
        group_by_length=training.group_by_length,
        order=order,
    )
    grouped = (
        [[examples[row] for row in batch] for batch in window]
        for batches in passes
        for window in chunks(batches, training.gradient_accumulation_steps)
    )
    return itertools.islice(grouped, steps)


class _Outcome(NamedTuple):
    loss: float
    """Mean over the target tokens of the step."""
    learning_rate: float | None
    learning_rates: dict[str, float] | None
    """Of each part of a stack, in place of one rate."""
    grad_norm: float


class OptimizerSteps:
    """One optimizer step after another, and the time they take."""

    def __init__(
        self, adapted: AdaptedModel, training: TrainingSpec, *, dtype: Dtype, steps: int, pad_token_id: int
    ) -> None:
        self._accelerator = Accelerator()
        self._parameters = adapted.parameters()
        optimizer = make_optimizer(adapted, training)
        self._parts = [group["part"] for group in optimizer.param_groups]
        self._schedule = make_schedule(optimizer, adapted, training, steps=steps)
        self._objective, self._optimizer = self._accelerator.prepare(Objective(adapted.model), optimizer)
        self._max_norm = training.max_grad_norm or math.inf
        self._dtype: Dtype = dtype
        self._prompt_ids, self._pad_token_id = adapted.prompt_ids, pad_token_id
        self.seconds = 0.0

    def __call__(self, window: Window, step: int) -> _Outcome:
        """One step over the batches of a window; `step` is its number for messages.

        Raises:
            DivergedError: the loss or a gradient is not finite.
        """
        started = time.perf_counter()
        self._objective.train()
        loss = self._backward(window)
        norm = float(self._accelerator.clip_grad_norm_(self._parameters, self._max_norm))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise DivergedError(f"at step {step} the loss is {loss} and the gradient's norm {norm}")
        rates = dict(zip(self._parts, map(float, self._schedule.get_last_lr()), strict=True))
        self._optimizer.step()
        self._schedule.step()
        self._optimizer.zero_grad()
        self.seconds += time.perf_counter() - started
        if len(rates) > 1:
            return _Outcome(loss, None, rates, norm)
        return _Outcome(loss, next(iter(rates.values())), None, norm)

    def _backward(self, window: Window) -> float:
        """The mean loss over all target tokens of the window, whatever batch they are in."""
        device = self._accelerator.device
        targets = sum(len(row.labels) for batch in window for row in batch)
        total = 0.0
        for batch in window:
            inputs = collate(
                batch, prompt_ids=self._prompt_ids, pad_token_id=self._pad_token_id, device=device
            )
            with autocast(device, self._dtype):
                mean = self._objective(**inputs)
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

    def offer(self, step: int, scores: dict[str, float]) -> int:
        """Evaluations since the best one; among equals the earliest stays the best."""
        self.since += 1
        if not self.scores or scores[self.metric] > self.scores[self.metric]:
            self.step, self.scores, self.since = step, scores, 0
            self._keep()
        return self.since

    @torch.no_grad()
    def _keep(self) -> None:
        if not self.weights:
            self.weights = [parameter.detach().clone() for parameter in self.parameters]
        # into the same memory, so that there are never two copies
        for weight, parameter in zip(self.weights, self.parameters, strict=True):
            weight.copy_(parameter)

    @torch.no_grad()
    def restore(self) -> None:
        """Puts the best weights back into the model."""
        for parameter, weight in zip(self.parameters, self.weights, strict=True):
            parameter.copy_(weight)
