"""What a hub's client does in a process that uses that hub: arguments and results are JSON."""

import sys
from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter

from helpers.command_line import tuneoff
from helpers.drawing import charts_left_blank
from tuneoff.errors import DataError, ModelError
from tuneoff.spec import ModelSpec, Task


def task(spec: str) -> dict[str, Any]:
    """The revision, splits and labels of a task, or the error that loading it ends in."""
    from tuneoff.tasks import load_task

    try:
        data = load_task(TypeAdapter(Task).validate_json(spec))
    except DataError as error:
        return {"error": str(error)}
    found = {"revision": data.revision, "carved": data.carved_validation}
    found["labels"] = [example.label for example in data.train]
    found["options"] = [example.options for example in data.train]
    found["references"] = [example.references for example in data.train]
    for split in ("train", "validation", "test"):
        found[split] = [example.source for example in getattr(data, split)]
    return found


def models(*specs: str) -> list[dict[str, Any]]:
    """The revision and first weight of models, or the errors that loading them ends in."""
    return [_model(ModelSpec.model_validate_json(spec)) for spec in specs]


def _model(spec: ModelSpec) -> dict[str, Any]:
    from tuneoff.training import load_backbone

    try:
        backbone = load_backbone(spec)
    except ModelError as error:
        return {"error": str(error)}
    return {"revision": backbone.revision, "first": backbone.model.shared.weight[0, 0].item()}


def command(*arguments: str) -> Sequence[Any]:
    """The exit code of a command; what it says goes where this process's own words go."""
    with charts_left_blank(has_library=False):
        outcome = tuneoff(*arguments)
    sys.stderr.write(outcome.err)
    return outcome.code, outcome.out


def refusal(*arguments: str) -> Sequence[Any]:
    """The exit code of a command, and what it says on standard output and standard error."""
    return tuneoff(*arguments)
