"""LoRA."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, field_validator

from tuneoff.errors import shown
from tuneoff.phrases import listed, plural
from tuneoff.spec.base import LISTS, Fraction, Size
from tuneoff.spec.methods.base import GATED, TunedSpec

Targets = Annotated[tuple[str, ...], Field(min_length=1), LISTS] | Literal["all-linear"]
"""Ends of module names (of T5: q, k, v, o, wi, wi_0, wi_1, wo), in one stack alone if its name is prepended
(decoder.q); or every linear layer but the head."""


class LoraSpec(TunedSpec):
    """Low-rank updates of chosen linear layers (Hu et al. 2021)."""

    implementation: ClassVar[str] = "tuneoff.methods.lora"
    source: ClassVar[str] = (
        "Hu et al. 2021, LoRA: low-rank adaptation of large language models, arXiv:2106.09685"
    )

    kind: Literal["lora"]
    learning_rate: PositiveFloat = 1e-3
    rank: Size = 8
    """Of each update; what is stored grows with it."""
    alpha: PositiveFloat = 16
    """An update is multiplied by alpha / rank."""
    dropout: Fraction = 0.0
    """Of what the update reads, in training."""
    targets: Targets | None = None
    """Ends of module names (of T5: q, k, v, o, wi, wi_0, wi_1, wo), in one stack alone if its name is
    prepended (decoder.q), or every linear layer but the head; null for those of the model's family: [q, v] of
    T5, all-linear of a decoder-only model (as QLoRA has it, arXiv:2305.14314)."""
    layers_to_transform: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1), LISTS] | None = None
    """Numbers of the model's layers whose targets are updated, from 0 at the input of each stack, as PEFT has
    it; null for all."""
    cuts: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], LISTS] = ()
    """Shares of its stored parameters to which the trained LoRA is cut (`methods/lora_rank.py`); what is left
    of it is tested, too."""

    gate: bool = False
    """Multiplies the update of each layer by a learned number from 0 to 1, which is computed for each token
    from what the layer reads (Mao et al. 2022); it cannot be merged into the weights then."""

    @field_validator("cuts", "layers_to_transform")
    @classmethod
    def _no_repeats(cls, values: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if values and len(set(values)) < len(values):
            raise ValueError(f"values must not repeat, but got {shown(list(values))}")
        return values

    def in_words(self) -> str:  # noqa: D102
        dropout = f" and dropout {self.dropout:g}" if self.dropout else ""
        return (
            f"adds low-rank updates of rank {self.rank} (alpha {self.alpha:g}{dropout}) to "
            f"{layers_in_words(self.targets)}{self._where()}{f', {GATED}' if self.gate else ''}"
        )

    def _where(self) -> str:
        if self.layers_to_transform is None:
            return ""
        numbers = listed(map(str, self.layers_to_transform))
        return f" in {plural(len(self.layers_to_transform), 'layer')} of the model ({numbers})"


def layers_in_words(targets: tuple[str, ...] | str | None) -> str:
    """Return which layers a method changes: `the layers q and v`."""
    if isinstance(targets, tuple):
        return f"the layers {listed(targets)}"
    return "every linear layer" if targets else "the layers that its family has for it"
