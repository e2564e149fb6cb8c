"""Which seeds a study uses: a fixed list, or a range of which a race uses as many as its decision needs."""

import math
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Discriminator, Field, NonNegativeInt, Tag, model_validator

from tuneoff.spec.base import LISTS, Spec

MOST_SEEDS_RACED = 1000
_GROWTH = 1.6
"""Factor between the numbers of seeds at two looks, as nearly as equal factors from first to last allow."""


class SeedRange(Spec):
    """A race: every method gets `from` seeds, and those that the decision needs get more, up to `to`."""

    model_config = ConfigDict(serialize_by_alias=True)

    fewest: Annotated[int, Field(ge=2, alias="from")]
    """Seeds that every method gets."""
    to: Annotated[int, Field(le=MOST_SEEDS_RACED)]
    """The most seeds that a method may get."""

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if not self.fewest < self.to:
            raise ValueError(
                f"`from < to` must hold, but got from={self.fewest}, to={self.to}; for a fixed number of "
                "seeds, give a list ([0, 1, 2])"
            )
        return self

    @property
    def looks(self) -> tuple[int, ...]:
        """Return the numbers of seeds at which results are looked at: 3, 5, 8 and 12 for 3 to 12.

        Each is the one before times an equal factor, the one of all possible that is nearest to 1.6.
        """
        steps = max(round(math.log(self.to / self.fewest) / math.log(_GROWTH)), 1)
        factor = (self.to / self.fewest) ** (1 / steps)
        return *(round(self.fewest * factor**step) for step in range(steps)), self.to


class BudgetSpec(Spec):
    """What a race may spend."""

    hours: Annotated[float, Field(gt=0)]
    """Of all runs together, one after another."""


def _form(value: Any) -> str:
    return "range" if isinstance(value, dict | SeedRange) else "list"


SeedList = Annotated[tuple[NonNegativeInt, ...], Field(min_length=1), LISTS]
Seeds = Annotated[Annotated[SeedList, Tag("list")] | Annotated[SeedRange, Tag("range")], Discriminator(_form)]
"""Seeds that all methods have, or the range of a race."""
