"""Several processes that train a run together, as `accelerate launch` starts them, on one device each.

The first process does the study. The others wait in `has_followed`; for each training it tells them to do the
same at the same time. Model, data and order are those of the seeds, so all are equal without being sent; each
process reads its share of the rows of each batch (`own_share`), and gradients and answers are put together
(`add_up`, `put_together`). So a run's batch is the study's, however many processes share it.
"""

import os
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor, nn

from tuneoff.errors import DataError, InputError, ModelError, StudyError
from tuneoff.results.layout import RunFolder
from tuneoff.spec import RunSpec
from tuneoff.training.session import Session

T = TypeVar("T")
_together: ContextVar[bool] = ContextVar("together", default=False)
"""All processes are doing the same training now."""
_LONGEST_WAIT = timedelta(days=7)
"""For the others: as long as the first process needs for what it does alone."""


class _Training(NamedTuple):
    """What all processes are to do."""

    train: Callable[..., object]
    spec: RunSpec
    folder: Path
    options: dict[str, Any]


def count_processes() -> int:
    """Return how many processes have been launched together; mostly one."""
    return _state().num_processes


def _state() -> PartialState:
    """Return what this process knows of the others; the first call joins them.

    Raises:
        InputError: there are more of them than devices.
    """
    place, devices = int(os.environ.get("LOCAL_RANK", 0)), torch.accelerator.device_count()
    if 0 < devices <= place:
        raise InputError(
            f"each process takes a device of its own, but this machine has {devices} and more processes were "
            "launched; launch as many as it has devices"
        )
    return PartialState(cpu=not torch.accelerator.is_available(), timeout=_LONGEST_WAIT)


@contextmanager
def trained_together(
    train: Callable[..., object], spec: RunSpec, folder: Path, **options: Any
) -> Iterator[None]:
    """Let all processes do this training at the same time, which the first one does in this context."""
    if count_processes() > 1 and _state().is_main_process:
        broadcast_object_list([_Training(train, spec, folder, options)])
    mark = _together.set(count_processes() > 1)
    try:
        yield
    finally:
        _together.reset(mark)


def has_followed(session: Session | None = None) -> bool:
    """Help the first process until its study is done, if this is another one; return whether it is.

    Raises:
        SystemExit: the first process has ended before its study was done.
    """
    if _state().is_main_process:
        return False
    for number in (signal.SIGINT, signal.SIGTERM):  # the first process ends the study between two steps
        signal.signal(number, signal.SIG_IGN)
    session = session or Session()
    while (training := _told()) is not None:
        with TemporaryDirectory() as scratch:
            with suppress(FileNotFoundError):
                shutil.copy2(RunFolder(training.folder).checkpoint, RunFolder(Path(scratch)).checkpoint)
            # what is wrong with the run or its inputs, the first process finds and says; any other error is
            # of this process alone, whose end is the others' end
            with suppress(StudyError, DataError, ModelError):
                training.train(training.spec, Path(scratch), session=session, **training.options)
    return True


def _told() -> _Training | None:
    told: list[_Training | None] = [None]
    try:
        broadcast_object_list(told)
    except RuntimeError:  # the first process has ended
        raise SystemExit(1) from None
    return told[0]


def dismiss_followers() -> None:
    """Let the other processes end: the study is done."""
    if count_processes() > 1:
        broadcast_object_list([None])


def are_together() -> bool:
    """Return whether several processes are at the training now under way."""
    return _together.get()


def own_share(items: list[T]) -> list[T]:
    """Return those of a batch's rows, or of a split's batches, that are this process's to read."""
    if not are_together():
        return items
    state = _state()
    return items[state.process_index :: state.num_processes]


def put_together(items: Iterable[T]) -> list[T]:
    """Return the items of all processes."""
    found: list[T] = gather_object(list(items)) if are_together() else list(items)
    return found


@torch.no_grad()
def add_up(parameters: Sequence[nn.Parameter], loss: Tensor) -> Tensor:
    """Add up the gradients of all processes, in place, and return the sum of their losses, a scalar each."""
    if not are_together():
        return loss
    for parameter in parameters:  # of a process that had no row
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([loss.float()[None], *(gradient.flatten().float() for gradient in gradients)])
    torch.distributed.all_reduce(flat)
    total, *sums = torch.split(flat, [1, *(gradient.numel() for gradient in gradients)])
    for gradient, added in zip(gradients, sums, strict=True):
        gradient.copy_(added.view_as(gradient))
    return total[0]
