"""What all methods have in common, and the method that tunes nothing."""

from abc import abstractmethod
from typing import ClassVar, Literal, Self

from pydantic import NonNegativeFloat, PositiveFloat, model_validator

from tuneoff.spec.base import Scheduler, Spec

LONGEST_TEXT = 100_000
"""Tokens that a prompt or prefix can be initialized from: the model reads them as one text."""

GATED = "multiplied by a learned gate of each token (Mao et al. 2022, UniPELT, arXiv:2110.07577)"
"""What `gate: true` does, in words."""


class NoneSpec(Spec):
    """The base model without tuning (zero-shot)."""

    kind: Literal["none"]


class TunedSpec(Spec):
    """A method that trains something, with the settings that all of these have.

    A subclass adds a `kind` of its own (a Literal of one name) and its settings, and says here what a reader
    of a report wants to know of it. It is in docs/adding_a_method.md.
    """

    implementation: ClassVar[str]
    """The module whose `attach` puts the method on a model. It is imported at the first use, since studies
    are read and reported without torch."""
    source: ClassVar[str]
    """Where the method was published."""
    in_stack: ClassVar[bool] = True
    """Whether it can be part of a stack."""

    kind: str
    learning_rate: PositiveFloat
    """The highest learning rate, after the warm-up."""
    optim: Literal["adamw_torch", "adafactor"] = "adamw_torch"
    """AdamW, or Adafactor without momentum."""
    scale_parameter: bool = False
    """With Adafactor: the rate is a share of each matrix's RMS, 1e-3 at least (Shazeer & Stern 2018)."""
    weight_decay: NonNegativeFloat | None = None
    """Overrides `training.weight_decay` for this method."""
    lr_scheduler_type: Scheduler | None = None
    """Overrides `training.lr_scheduler_type` for this method."""

    @abstractmethod
    def in_words(self) -> str:
        """Return what the method does, as a sentence without its subject: `updates every weight`."""

    def for_inference(self) -> Self:
        """Return the settings without what only training needs; a saved method is attached by them."""
        return self

    @model_validator(mode="after")
    def _scales_with_adafactor(self) -> Self:
        if self.scale_parameter and self.optim != "adafactor":
            raise ValueError(
                f"scale_parameter is a setting of Adafactor, but got optim={self.optim}; set optim: adafactor"
            )
        return self
