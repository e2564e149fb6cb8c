"""Bias tuning."""

from typing import ClassVar, Literal

from pydantic import PositiveFloat

from tuneoff.spec.methods.base import TunedSpec


class BiasSpec(TunedSpec):
    """The biases that the model has are trained, and nothing else (BitFit, Ben Zaken et al. 2022)."""

    implementation: ClassVar[str] = "tuneoff.methods.bias"
    source: ClassVar[str] = (
        "Ben Zaken et al. 2022, BitFit: simple parameter-efficient fine-tuning for transformer-based masked "
        "language-models, arXiv:2106.10199"
    )

    kind: Literal["bias"]
    learning_rate: PositiveFloat = 1e-3

    def in_words(self) -> str:  # noqa: D102
        return "trains the biases of the model and no other weights"
