"""Prefix-tuning."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from tuneoff.errors import shown
from tuneoff.phrases import listed, plural
from tuneoff.spec.base import LISTS, Fraction, Size
from tuneoff.spec.methods.base import GATED, LONGEST_TEXT, TunedSpec

Site = Literal["encoder", "decoder", "cross"]
_PLACES = {
    "encoder": "in the encoder",
    "decoder": "in the decoder",
    "cross": "from the decoder to the encoder",
}
_STARTS = {"random": "random numbers", "vocabulary": "words of the vocabulary", "text": "a text"}
_SEMANTIC = (
    "made by one linear layer of the keys and values that the model computes for a text (Prottasha et al. "
    "2024, SK-Tuning, arXiv:2410.08598)"
)


class PrefixSpec(TunedSpec):
    """Trained keys and values prepended to those of every attention layer of a site (Li & Liang 2021)."""

    implementation: ClassVar[str] = "tuneoff.methods.prefix"
    source: ClassVar[str] = (
        "Li & Liang 2021, Prefix-tuning: optimizing continuous prompts for generation, arXiv:2101.00190"
    )

    kind: Literal["prefix"]
    learning_rate: PositiveFloat = 1e-2
    length: Size = 20
    """Trained positions at each attention."""
    sites: Annotated[tuple[Site, ...], Field(min_length=1), LISTS] | None = None
    """Where it is; null for every site that the model has. A decoder-only model has one, decoder."""
    projection: Size | None = None
    """Width of the MLP that makes the prefix while training; null trains keys and values directly."""
    init: Literal["random", "vocabulary", "text"] = "random"
    """Random numbers, or the keys and values that the base computes for real words, or for `init_text`."""
    init_text: str | None = None
    """Text whose tokens, repeated to the length, the base reads for the first keys and values."""
    semantic: bool = False
    """Keeps keys and values of the text as they are, and trains one linear layer of the width of a head at
    each site, through which those of all layers pass: semantic knowledge tuning."""
    dropout: Fraction = 0.0
    """With `semantic`: of the keys and values in training."""
    relative_positions: bool = False
    """At the self-attention sites, whether T5's position bias treats the prefix as prepended text (as
    PEFT does in the decoder) or ignores it."""
    gate: bool = False
    """Multiplies keys and values of a layer's prefix by a learned number from 0 to 1, which is computed for
    each token from what the attention reads (Mao et al. 2022)."""

    def in_words(self) -> str:  # noqa: D102
        sites = listed(_PLACES[site] for site in self.sites) if self.sites else "wherever it has any"
        made = f"made by an MLP of width {self.projection}" if self.projection else "trained directly"
        made = _SEMANTIC if self.semantic else f"{made} and started from {_STARTS[self.init]}"
        return (
            f"prepends {plural(self.length, 'trained vector')} to the keys and values of attention {sites}, "
            f"{made}{f', {GATED}' if self.gate else ''}"
        )

    def for_inference(self) -> Self:  # noqa: D102
        return self.model_copy(
            update={
                "projection": None,
                "init": "random",
                "init_text": None,
                "semantic": False,
                "dropout": 0.0,
            }
        )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.sites is not None and len(set(self.sites)) < len(self.sites):
            raise ValueError(f"sites must not repeat, but got {shown(list(self.sites))}")
        if self.init != "random" and self.projection is not None:
            raise ValueError(
                f"init: {self.init} sets keys and values, which a projection cannot start from, "
                f"but got projection={self.projection}; use projection: null"
            )
        if self.init != "random" and self.length > LONGEST_TEXT:
            raise ValueError(f"init: {self.init} reads at most {LONGEST_TEXT:,} words, but got {self.length}")
        return self

    @model_validator(mode="after")
    def _text_belongs_to_init(self) -> Self:
        if (self.init == "text") != (self.init_text is not None):
            raise ValueError(
                f"init: text and init_text go together, but got init={self.init}, "
                f"init_text={shown(self.init_text)}"
            )
        if self.semantic and self.init != "text":
            raise ValueError(
                f"semantic: true starts from a text, but got init={self.init}; use init: text with init_text"
            )
        if self.dropout and not self.semantic:
            raise ValueError(
                f"the dropout of a prefix is that of semantic: true, but got dropout={self.dropout:g} "
                "without it; leave it out"
            )
        return self
