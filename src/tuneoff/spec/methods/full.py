"""Full fine-tuning."""

from typing import ClassVar, Literal

from pydantic import PositiveFloat

from tuneoff.spec.methods.base import TunedSpec


class FullSpec(TunedSpec):
    """Every weight of the model is trained."""

    implementation: ClassVar[str] = "tuneoff.methods.full"
    source: ClassVar[str] = (
        "Raffel et al. 2020, Exploring the limits of transfer learning with a unified text-to-text "
        "transformer, JMLR 21(140)"
    )
    in_stack: ClassVar[bool] = False

    kind: Literal["full"]
    learning_rate: PositiveFloat = 1e-4

    def in_words(self) -> str:  # noqa: D102
        return "updates every weight of the model"
