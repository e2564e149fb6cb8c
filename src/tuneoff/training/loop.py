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
from tuneoff.interrupts import interrupts_postponed, raise_if_interrupted
from tuneoff.methods import AdaptedModel
from tuneoff.results import CurvePoint
from tuneoff.spec import TrainingSpec
from tuneoff.training.batches import Encoded, chunks, collate, epochs
from tuneoff.training.checkpoints import Checkpoints, OnPoint, State
from tuneoff.training.likelihood import Objective
from tuneoff.training.mixing import Mixing
from tuneoff.training.optim import make_optimizer, make_schedule, optimizer_state, restore_optimizer
from tuneoff.training.parallel import add_up, own_share
from tuneoff.training.precision import Dtype, autocast
from tuneoff.training.seeding import random_states, restore_random_states

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
    parts: int = 1,
    checkpoints: Checkpoints | None = None,
) -> FitResult:
    """Train the method's parameters and leave the best of them in the model, or the last.

    `evaluate` scores the validation split: before the first step, every `eval_steps` and after the last.
    `metric` names the score that selects the best weights; those from before the first step do not compete,
    and without `load_best_model_at_end` only the last ones do. With `stop_after`, training ends after that
    step, on the learning-rate schedule of the full length. `mixing` says which examples make an epoch; by
    default all do. Each batch is read in so many `parts`, with the same gradient. From a checkpoint, training
    goes on bit for bit as if it had not been stopped.

    Raises:
        DivergedError: the loss, a gradient or a validation score is not finite.
    """
    steps = total_steps(training, mixing.epoch_rows if mixing else len(examples))
    last = min(steps, stop_after or steps)
    checkpoints = checkpoints or Checkpoints()
    state = _Progress(
        OptimizerSteps(adapted, training, dtype=dtype, steps=steps, pad_token_id=pad_token_id, parts=parts),
        _Best(metric, adapted.parameters()),
    )
    checkpoints.restore(state)
    ordered = windows(examples, training, order=order, steps=last, mixing=mixing)
    remaining = itertools.islice(ordered, state.step, None)
    with checkpoints.saved_if_interrupted(state):
        while True:
            is_due = state.step % training.eval_steps == 0 or state.step == last
            if is_due and state.evaluated != state.step:
                scores = _finite(evaluate(), state.step)
                # what belongs together in a checkpoint is done together
                with interrupts_postponed():
                    state.evaluated = state.step
                    on_point(CurvePoint(step=state.step, scores=scores))
                    if state.step == last or (state.step and training.load_best_model_at_end):
                        state.best.offer(state.step, scores)
            patience = training.early_stopping_patience
            if state.step == last or (patience and state.best.since >= patience):
                break
            checkpoints.save_if_due(state)
            # a library may have swallowed the KeyboardInterrupt of a Ctrl-C
            raise_if_interrupted()
            with interrupts_postponed():
                point = state.take(next(remaining), is_logged=_is_logged(state.step + 1, training, last))
                if point is not None:
                    on_point(point)
    state.best.restore()
    seconds = state.optimizer_steps.seconds
    return FitResult(state.best.step, state.best.scores, state.step, seconds, state.tokens)


def _is_logged(step: int, training: TrainingSpec, last: int) -> bool:
    return step % training.logging_steps == 0 or step == last


def _finite(scores: dict[str, float], step: int) -> dict[str, float]:
    for name, value in scores.items():
        if not math.isfinite(value):
            raise DivergedError(f"at step {step} {name} on validation is {value}")
    return scores


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


@dataclass
class _Progress:
    """How far a training has come, with all that its next step depends on."""

    optimizer_steps: "OptimizerSteps"
    best: "_Best"
    step: int = 0
    evaluated: int = -1
    """The step after which the model was last evaluated."""
    tokens: int = 0
    losses: list[float] = field(default_factory=list)
    """Of the steps since the last logged one."""

    def take(self, window: Window, *, is_logged: bool) -> CurvePoint | None:
        """Take the next step, and return its point of the curve if it is to be logged."""
        outcome = self.optimizer_steps.take(window, self.step + 1)
        self.step += 1
        self.losses.append(outcome.loss)
        self.tokens += sum(len(row.input_ids) + len(row.labels) for batch in window for row in batch)
        if not is_logged:
            return None
        # a logged loss is the mean since the last logged one, as transformers' Trainer has it
        point = _training_point(self.step, sum(self.losses) / len(self.losses), outcome)
        self.losses = []
        return point

    def saved(self) -> State | None:
        """Return the state between two steps; None if the method cannot be resumed."""
        own = State({}, {name: getattr(self, name) for name in _NUMBERS})
        steps = self.optimizer_steps.saved()
        return None if steps is None else State.of(progress=own, steps=steps, best=self.best.saved())

    def restore(self, state: State) -> None:
        """Take a state that `saved` has returned."""
        vars(self).update(state.part("progress").numbers)
        self.optimizer_steps.restore(state.part("steps"))
        self.best.resume(state.part("best"))


_NUMBERS = ("step", "evaluated", "tokens", "losses")


def _numbered(tensors: Sequence[Tensor]) -> dict[str, Tensor]:
    return {str(number): one for number, one in enumerate(tensors)}


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
        self,
        adapted: AdaptedModel,
        training: TrainingSpec,
        *,
        dtype: Dtype,
        steps: int,
        pad_token_id: int,
        parts: int = 1,
    ) -> None:
        self._accelerator = Accelerator()
        self._adapted, self._steps = adapted, steps
        self._parameters = adapted.parameters()
        optimizer = make_optimizer(adapted, training)
        self._group_parts = [group["part"] for group in optimizer.param_groups]
        self._schedule = make_schedule(optimizer, adapted, training, steps=steps)
        # as for evaluation: gradients of several processes are added up here, for all methods alike
        self._objective = self._accelerator.prepare_model(Objective(adapted.family), evaluation_mode=True)
        self._optimizer = self._accelerator.prepare_optimizer(optimizer)
        self._max_norm = training.max_grad_norm or math.inf
        self._dtype: Dtype = dtype
        self._most_rows = max(1, training.per_device_train_batch_size // parts)
        self._prompt_ids, self._pad_token_id = adapted.prompt_ids, pad_token_id
        self.seconds = 0.0

    def take(self, window: Window, step: int) -> StepOutcome:
        """Take one step over the batches of a window; messages call it number `step`.

        Raises:
            DivergedError: the loss or a gradient is not finite.
        """
        started = time.perf_counter()
        self._objective.train()
        total = self._backward(window)
        clipped = self._accelerator.clip_grad_norm_(self._parameters, self._max_norm)
        # both at once: a GPU is waited for once a step
        loss, norm = torch.stack([total, clipped]).tolist()
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

    def saved(self) -> State | None:
        """Return what the next step depends on; None if the method cannot be resumed."""
        method = self._adapted.training_state()
        if method is None:
            return None
        return State.of(
            parameters=State(_numbered(self._parameters), {}),
            method=State(method, {}),
            optimizer=optimizer_state(self._optimizer),
            schedule=State({}, self._schedule.state_dict()),
            random=State(random_states(self._accelerator.device), {}),
            time=State({}, {"seconds": self.seconds}),
        )

    @torch.no_grad()
    def restore(self, state: State) -> None:
        """Take a state that `saved` has returned."""
        parameters = state.part("parameters").tensors
        for number, parameter in enumerate(self._parameters):
            parameter.copy_(parameters[str(number)])
        self._adapted.restore_training_state(state.part("method").tensors)
        restore_optimizer(self._optimizer, state.part("optimizer"))
        self._schedule.load_state_dict(state.part("schedule").numbers)
        restore_random_states(state.part("random").tensors, self._accelerator.device)
        self.seconds = state.part("time").numbers["seconds"]

    def _backward(self, window: Window) -> Tensor:
        """Accumulate the gradients of a window; return its mean loss over all target tokens, a scalar."""
        device = self._accelerator.device
        targets = sum(len(row.labels) for batch in window for row in batch)
        total = torch.zeros((), device=device)
        shares = (own_share(whole) for whole in window)
        for batch in (part for share in shares for part in chunks(share, self._most_rows)):
            inputs = collate(
                batch, prompt_ids=self._prompt_ids, pad_token_id=self._pad_token_id, device=device
            )
            counted = sum(len(row.labels) for row in batch)
            with autocast(device, self._dtype):
                mean = self._objective(**inputs, targets=counted)
                if (penalty := self._adapted.penalty()) is not None:
                    mean = mean + penalty
            # weighted by target tokens, so that accumulation gives the gradient of one large batch
            loss = mean * (counted / targets)
            self._accelerator.backward(loss)
            total += loss.detach()
        return add_up(self._parameters, total)


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

    def saved(self) -> State:
        """Return the best weights, and what is known about them."""
        numbers = {"step": self.step, "scores": self.scores, "since": self.since}
        return State(_numbered(self.weights), numbers)

    def resume(self, state: State) -> None:
        """Take a state that `saved` has returned."""
        vars(self).update(state.numbers)
        self.weights = [
            state.tensors[str(number)].to(parameter.device)
            for number, parameter in enumerate(self.parameters)
            if state.tensors
        ]

    @torch.no_grad()
    def restore(self) -> None:
        """Copy the best weights back into the model."""
        for parameter, weight in zip(self.parameters, self.weights, strict=True):
            parameter.copy_(weight)
