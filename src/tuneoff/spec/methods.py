"""Methods: ways of fine-tuning, and their settings."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from tuneoff.errors import shown
from tuneoff.spec.base import LISTS, Fraction, Scheduler, Size, Spec

Site = Literal["encoder", "decoder", "cross"]
_LONGEST_TEXT = 100_000
"""Tokens that a prompt or prefix can be initialized from: the model reads them as one text."""


class NoneSpec(Spec):
    """The base model without tuning (zero-shot)."""

    kind: Literal["none"]


class TunedSpec(Spec):
    """Settings of the optimizer, which every trained method has."""

    learning_rate: PositiveFloat
    optim: Literal["adamw_torch", "adafactor"] = "adamw_torch"
    scale_parameter: bool = False
    """With Adafactor: the rate is a share of each matrix's RMS, 1e-3 at least (Shazeer & Stern 2018)."""
    weight_decay: NonNegativeFloat | None = None
    """Overrides `training.weight_decay` for this method."""
    lr_scheduler_type: Scheduler | None = None
    """Overrides `training.lr_scheduler_type` for this method."""

    @model_validator(mode="after")
    def _scales_with_adafactor(self) -> Self:
        if self.scale_parameter and self.optim != "adafactor":
            raise ValueError(
                f"scale_parameter is a setting of Adafactor, but got optim={self.optim}; set optim: adafactor"
            )
        return self


class FullSpec(TunedSpec):
    """Every weight of the model is trained."""

    kind: Literal["full"]
    learning_rate: PositiveFloat = 1e-4


class LoraSpec(TunedSpec):
    """Low-rank updates of chosen linear layers (Hu et al. 2021)."""

    kind: Literal["lora"]
    learning_rate: PositiveFloat = 1e-3
    rank: Size = 8
    alpha: PositiveFloat = 16
    dropout: Fraction = 0.0
    targets: Annotated[tuple[str, ...], Field(min_length=1), LISTS] | Literal["all-linear"] | None = None
    """Ends of module names (of T5: q, k, v, o, wi, wi_0, wi_1, wo), in one stack alone if its name is
    prepended (decoder.q), or every linear layer but the head; null for those of the model's family: [q, v] of
    T5, all-linear of a decoder-only model (as QLoRA has it, arXiv:2305.14314)."""


class PrefixSpec(TunedSpec):
    """Trained keys and values prepended to those of every attention layer of a site (Li & Liang 2021)."""

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

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.sites is not None and len(set(self.sites)) < len(self.sites):
            raise ValueError(f"sites must not repeat, but got {shown(list(self.sites))}")
        if self.init == "vocabulary" and self.projection is not None:
            raise ValueError(
                "init: vocabulary sets keys and values, which a projection cannot start from, "
                f"but got projection={self.projection}; use projection: null"
            )
        if self.init == "vocabulary" and self.length > _LONGEST_TEXT:
            raise ValueError(f"init: vocabulary reads at most {_LONGEST_TEXT:,} words, but got {self.length}")
        return self


class PromptSpec(TunedSpec):
    """Trained vectors prepended to the input (Lester et al. 2021)."""

    kind: Literal["prompt"]
    learning_rate: PositiveFloat = 0.3
    length: Annotated[int, Field(gt=0, le=_LONGEST_TEXT)] = 20
    init: Literal["random", "vocabulary", "text"] = "vocabulary"
    """Random numbers, the embeddings of frequent tokens, or those of `init_text`."""
    init_text: str | None = None
    """Text whose tokens, repeated to the length, initialize the prompt (for instance the label words)."""

    @model_validator(mode="after")
    def _text_belongs_to_init(self) -> Self:
        if (self.init == "text") != (self.init_text is not None):
            raise ValueError(
                f"init: text and init_text go together, but got init={self.init}, "
                f"init_text={shown(self.init_text)}"
            )
        return self


Tuned = FullSpec | LoraSpec | PrefixSpec | PromptSpec
Part = Annotated[LoraSpec | PrefixSpec | PromptSpec, Field(discriminator="kind")]


class StackSpec(Spec):
    """Several methods on one model, each part with its own learning rate."""

    kind: Literal["stack"]
    parts: Annotated[tuple[Part, ...], Field(min_length=2), LISTS]

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        kinds = [part.kind for part in self.parts]
        if len(set(kinds)) < len(kinds):
            raise ValueError(f"a stack holds each kind of method once, but got {shown(kinds)}")
        for field in ("optim", "lr_scheduler_type"):
            values = {getattr(part, field) for part in self.parts}
            if len(values) > 1:
                raise ValueError(
                    f"the parts of a stack share one {field}, but got {sorted(map(str, values))}"
                )
        return self


Method = Annotated[
    NoneSpec | FullSpec | LoraSpec | PrefixSpec | PromptSpec | StackSpec, Field(discriminator="kind")
]


def tuned_parts(method: Method) -> tuple[Tuned, ...]:
    """Return the trained parts of a method: none, the method itself, or the parts of a stack."""
    if isinstance(method, NoneSpec):
        return ()
    return method.parts if isinstance(method, StackSpec) else (method,)
