"""Trials in processes that train together: one is pruned, and in a later one a process fails alone."""

import os
import sys
from pathlib import Path
from typing import Any

from helpers import small
from tuneoff.errors import StoppedError
from tuneoff.results import CurvePoint
from tuneoff.spec import expand
from tuneoff.training import run_trial
from tuneoff.training.loop import OptimizerSteps
from tuneoff.training.parallel import dismiss_followers, has_followed


def three_trials(folder: Path) -> None:
    """Prints the state of each trial; the second process fails in the third step of the last one."""
    whole, steps = OptimizerSteps.take, list[int]()

    def take(self: OptimizerSteps, window: Any, step: int) -> Any:
        steps.append(step)
        if os.environ["RANK"] == "1" and steps.count(3) == 3:
            raise MemoryError("too large for the second device")
        return whole(self, window, step)

    OptimizerSteps.take = take  # type: ignore[method-assign]
    if has_followed():
        return
    run = next(run for run in expand(small.spec(folder, ["train_sizes=[8]"])) if run.method_name == "lora")
    for number, listener in enumerate((_stop_at_third, _go_on, _go_on)):
        path = folder / str(number)
        path.mkdir()
        sys.stdout.write(f"state: {run_trial(run, path, on_point=listener).state}\n")
    dismiss_followers()


def _stop_at_third(point: CurvePoint) -> None:
    if point.step == 3:
        raise StoppedError("pruned at step 3")


def _go_on(point: CurvePoint) -> None:
    pass
