"""Prefix-tuning."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from tuneoff.errors import shown
from tuneoff.phrases import listed, plural
from tuneoff.spec.base import LISTS, Size
from tuneoff.spec.methods.base import LONGEST_TEXT, TunedSpec

Site = Literal["encoder", "decoder", "cross"]
_PLACES = {
    "encoder": "in the encoder",
    "decoder": "in the decoder",
    "cross": "from the decoder to the encoder",
}
_STARTS = {"random": "random numbers", "vocabulary": "words of the vocabulary"}


class PrefixSpec(TunedSpec):
    """Trained keys and values prepended to those of every attention layer of a site (Li & Liang 2021)."""

    implementation: ClassVar[str] = "tuneoff.methods.prefix"
    source: ClassVar[str] = (
        "Li & Liang 2021, Prefix-tuning: optimizing continuous prompts for generation, arXiv:2101.00190"
    )

    kind: Literal["prefix"]
    learning_rate: PositiveFloat = 1e-2
    length: Size = 20
    sites: Annotated[tuple[Site, ...], Field(min_length=1), LISTS] | None = None
    """Where it is; null for every site that the model has. A decoder-only model has one, decoder."""
    projection: Size | None = None
    """Width of the MLP that makes the prefix while training; null trains keys and values directly."""
    init: Literal["random", "vocabulary"] = "random"
    """Random numbers, or the keys and values that the base computes for real words."""
    relative_positions: bool = False
    """At the self-attention sites, whether T5's position bias treats the prefix as prepended text (as
    PEFT does in the decoder) or ignores it."""

    def in_words(self) -> str:  # noqa: D102
        sites = listed(_PLACES[site] for site in self.sites) if self.sites else "wherever it has any"
        made = f"made by an MLP of width {self.projection}" if self.projection else "trained directly"
        return (
            f"prepends {plural(self.length, 'trained vector')} to the keys and values of attention {sites}, "
            f"{made} and started from {_STARTS[self.init]}"
        )

    def for_inference(self) -> Self:  # noqa: D102
        return self.model_copy(update={"projection": None, "init": "random"})

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.sites is not None and len(set(self.sites)) < len(self.sites):
            raise ValueError(f"sites must not repeat, but got {shown(list(self.sites))}")
        if self.init == "vocabulary" and self.projection is not None:
            raise ValueError(
                "init: vocabulary sets keys and values, which a projection cannot start from, "
                f"but got projection={self.projection}; use projection: null"
            )
        if self.init == "vocabulary" and self.length > LONGEST_TEXT:
            raise ValueError(f"init: vocabulary reads at most {LONGEST_TEXT:,} words, but got {self.length}")
        return self
