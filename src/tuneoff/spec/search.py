"""How the settings of methods are searched before the runs."""

from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt

from tuneoff.errors import shown
from tuneoff.spec.base import LISTS, Name, Spec

Values = dict[str, int | float]
"""From a field of a method (`learning_rate`, in a stack `lora.learning_rate`) to its value."""
Pruner = Literal["none", "median", "halving"]
REDUCTION = 3
"""With `halving`, one trial in this many goes on to a rung of this many times as many steps."""


class Rung(NamedTuple):
    """A length at which the trials of a search are compared."""

    part: int
    """It is a trial's steps divided by this."""
    trials: int
    """How many trials are trained that far."""

    def steps(self, full: int) -> int:
        """Return the rung's steps, where a whole trial has `full`."""
        return -(-full // self.part)


def rungs(trials: int, pruner: Pruner) -> tuple[Rung, ...]:
    """Return the rungs of a search, the shortest first; without halving, every trial goes to the only one."""
    if pruner != "halving":
        return (Rung(1, trials),)
    first = REDUCTION**2
    planned = [Rung(part, -(-trials * part // first)) for part in (first, REDUCTION, 1)]
    # no comparison where nothing would be stopped by it
    return tuple(
        one
        for one, later in zip(planned, [*planned[1:], None], strict=True)
        if later is None or later.trials < one.trials
    )


def _checked_range(value: tuple[float, float, str]) -> tuple[float, float, str]:
    low, high, scale = value
    if not (low < high and (scale == "linear" or low > 0)):
        raise ValueError(
            f"`low < high` must hold, and `0 < low` on a log scale, but got [{shown(low)}, {shown(high)}, "
            f"{scale}]"
        )
    return value


Range = Annotated[
    tuple[int | float, int | float, Literal["log", "linear"]], LISTS, AfterValidator(_checked_range)
]
"""Lowest value, highest value, and the scale on which values are spread; integer ends give integers."""


class SearchSpec(Spec):
    """The search for each trained method's settings: as many trials for each, scored on validation only."""

    trials: PositiveInt = 8
    """Trials of each method, for each task and train size."""
    space: Annotated[dict[str, Range], Field(min_length=1)] = Field(
        default_factory=lambda: dict[str, Range](learning_rate=(1e-5, 1.0, "log"))
    )
    """From a field of the methods to its range; a part of a stack is named first: `lora.learning_rate`."""
    spaces: dict[Name, dict[str, Range]] = Field(default_factory=dict)
    """Ranges of single methods (or variants), in place of `space`."""
    seeds: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1), LISTS] = (1000,)
    """A trial's score is the mean over these; they must not overlap the study's `seeds`."""
    max_steps: PositiveInt | None = None
    """Steps of a trial; by default those of a run."""
    budget: Literal["steps", "flops"] = "steps"
    """`steps`: every trial has `max_steps`. `flops`: every trial has the FLOPs of `max_steps` with the most
    expensive method, so a cheaper method gets more steps."""
    pruner: Pruner = "none"
    """`halving` trains all trials for a ninth of their steps, the best third of them for a third, and the
    best third of these to the end: a third of all steps. `median` ends a trial that is below the median of
    the earlier ones at the same step."""
