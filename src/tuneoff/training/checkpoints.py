"""Checkpoints of a run under way: all that its next step depends on, so that it goes on as if never stopped.

A run has one checkpoint at a time, a file in its folder: the trained weights, the best ones so far, the
optimizer's state, the random state of dropout, and in the header the curve so far, numbers, and what they
belong to. The position in the data is the number of steps, as the order of batches depends on the seed alone.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, Protocol, final

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tuneoff.errors import writing
from tuneoff.interrupts import interrupts_postponed
from tuneoff.methods.adapter import named_below
from tuneoff.results import CurvePoint, read_curve
from tuneoff.results.layout import RunFolder
from tuneoff.results.store import replacing

OnPoint = Callable[[CurvePoint], None]
_SECONDS = 600.0
"""From one checkpoint to the next, where a study does not give steps."""
_STATE, _BASIS, _CURVE = "state", "basis", "curve"


class State(NamedTuple):
    """What the next step of a training depends on."""

    tensors: dict[str, Tensor]
    numbers: dict[str, Any]
    """What JSON can hold."""

    @classmethod
    def of(cls, **parts: "State") -> "State":
        """Return the states of several parts as one."""
        tensors = {f"{name}.{key}": one for name, part in parts.items() for key, one in part.tensors.items()}
        return cls(tensors, {name: part.numbers for name, part in parts.items()})

    def part(self, name: str) -> "State":
        """Return the state of a part."""
        return State(named_below(self.tensors, name), self.numbers[name])


class Resumable(Protocol):
    """A training that can be saved between its steps."""

    step: int
    """Optimizer steps that were taken."""

    def saved(self) -> State | None:
        """Return the state, whose tensors may be those that training goes on with; None if it cannot be."""

    def restore(self, state: State) -> None:
        """Take a state that `saved` has returned."""


class Checkpoints:
    """No checkpoints: what a training uses that nobody resumes."""

    def restore(self, training: Resumable) -> None:
        """Take the training to its last checkpoint, if there is one."""

    def save_if_due(self, training: Resumable) -> None:
        """Write a checkpoint if the last one is old."""

    def save(self, training: Resumable) -> None:
        """Write a checkpoint."""

    @contextmanager
    def saved_if_interrupted(self, training: Resumable) -> Iterator[None]:
        """Write a checkpoint if this context is interrupted after the first step."""
        try:
            yield
        except KeyboardInterrupt:
            if training.step:
                self.save(training)
            raise


@final
class FileCheckpoints(Checkpoints):
    """Checkpoints in the folder of a run; each replaces the one before it, by atomic rename."""

    def __init__(
        self,
        folder: RunFolder,
        basis: Mapping[str, Any],
        *,
        save_steps: int | None = None,
        on_restored: OnPoint = lambda point: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the folder, and as JSON what a step depends on besides the state, such as settings and data.

        A checkpoint of another basis is not used. Without `save_steps` there is one every ten minutes.
        `on_restored` is called with each point of the curve of a checkpoint that training goes on from.
        """
        self._on_restored = on_restored
        self._folder, self._basis = folder, json.loads(json.dumps(basis))
        self._save_steps, self._clock = save_steps, clock
        self._step, self._time = 0, clock()

    def restore(self, training: Resumable) -> None:
        """Take the training and the curve to the last checkpoint; one of another basis is not used.

        Raises:
            StoreError: the folder cannot be written.
        """
        found = self._read()
        with writing(self._folder.curve):
            if found is None:
                self._folder.curve.unlink(missing_ok=True)
                return
            self._folder.curve.write_text(found[1], encoding="utf-8")
        training.restore(found[0])
        self._step = training.step
        for point in read_curve(self._folder):
            self._on_restored(point)

    def save_if_due(self, training: Resumable) -> None:
        """Write a checkpoint if the last one is `save_steps` or ten minutes old."""
        if self._save_steps is None:
            is_due = self._clock() - self._time >= _SECONDS
        else:
            is_due = training.step - self._step >= self._save_steps
        if is_due and training.step > self._step:
            self.save(training)

    def save(self, training: Resumable) -> None:
        """Write a checkpoint; if the disk is full, training goes on without one."""
        state, path = training.saved(), self._folder.checkpoint
        if state is None:
            return
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors.items()}
        header = {_STATE: json.dumps(state.numbers), _BASIS: json.dumps(self._basis)}
        header[_CURVE] = self._folder.curve.read_text(encoding="utf-8")
        with interrupts_postponed():
            with suppress(OSError, SafetensorError), replacing(path) as temporary:
                save_file(tensors, temporary, header)
            self._step, self._time = training.step, self._clock()

    def _read(self) -> tuple[State, str] | None:
        """Return the state and the curve of the last checkpoint, if it can be used."""
        try:
            with safe_open(self._folder.checkpoint, "pt") as file:
                header = file.metadata() or {}
                if json.loads(header[_BASIS]) != self._basis:
                    return None
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, ValueError, KeyError):
            return None
        return State(tensors, json.loads(header[_STATE])), header[_CURVE]
