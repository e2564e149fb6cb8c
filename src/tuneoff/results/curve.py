"""A run's curve: a line of curve.jsonl for each step that was logged or evaluated."""

from pydantic import TypeAdapter

from tuneoff.errors import writing
from tuneoff.results.format import damaged_if_unreadable
from tuneoff.results.layout import RunFolder
from tuneoff.spec import Spec


class CurvePoint(Spec):
    """A line of curve.jsonl: what was logged or evaluated at a step."""

    step: int
    loss: float | None = None
    """Mean training loss per target token since the last logged step."""
    learning_rate: float | None = None
    learning_rates: dict[str, float] | None = None
    """Learning rate of each part of a stack, by its kind, in place of `learning_rate`."""
    grad_norm: float | None = None
    scores: dict[str, float] | None = None
    """Validation scores: `eval_loss` and the task's metrics."""


_POINTS = TypeAdapter(tuple[CurvePoint, ...])


def append_point(folder: RunFolder, point: CurvePoint) -> None:
    """Add a line to a run's curve.

    Raises:
        StoreError: the folder cannot be written.
    """
    with writing(folder.curve), folder.curve.open("a", encoding="utf-8") as file:
        file.write(point.model_dump_json(exclude_none=True) + "\n")


def read_curve(folder: RunFolder) -> tuple[CurvePoint, ...]:
    """Return the logged and evaluated steps of a run; none for a run that logged nothing.

    Raises:
        DamagedError: the curve is damaged.
    """
    if not folder.curve.is_file():
        return ()
    with damaged_if_unreadable(folder.curve):
        lines = folder.curve.read_text(encoding="utf-8").splitlines()
        return _POINTS.validate_json(f"[{','.join(lines)}]")
