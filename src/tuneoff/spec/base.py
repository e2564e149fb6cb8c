"""The base class of all specs, and types of values that several of them use."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=60)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Size = Annotated[int, Field(gt=0, le=2**40)]
"""A dimension of trained tensors; torch cannot count the elements of much larger ones."""
Length = Annotated[int, Field(gt=0, le=1_000_000)]
"""A number of tokens."""
SplitName = Literal["train", "validation", "test"]
Scheduler = Literal["linear", "cosine", "constant"]
TrainSize = PositiveInt | Literal["full"]
LISTS = Field(strict=False)
"""For fields that hold a tuple: from Python, they accept a list, too."""


class Spec(BaseModel):
    """Base of all specs: immutable, strictly typed, no unknown keys, no NaN or infinity."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )
