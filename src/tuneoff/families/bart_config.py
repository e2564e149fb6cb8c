"""The keys of the config.json of BART and its kin, each of them checked."""

from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator
from transformers import (
    BartConfig,
    M2M100Config,
    MarianConfig,
    MBartConfig,
    PegasusConfig,
    PreTrainedConfig,
)
from transformers.activations import ACT2FN

from tuneoff.errors import shown
from tuneoff.families.family import ConfigKeys

_Size = Annotated[int, Field(gt=0, lt=2**31)]
_Positions = Annotated[int, Field(gt=0, le=2**20)]
_Id = Annotated[int, Field(ge=0, lt=2**31)]
_Share = Annotated[float, Field(ge=0, lt=1)]


class BartKeys(ConfigKeys):
    """Sizes and token ids; what is not given has the default of transformers, which leaves it out, too.

    LayerDrop is not among them: a layer that is left out would take a method's step from it.
    """

    config_class: ClassVar[type[PreTrainedConfig]] = BartConfig

    vocab_size: _Size | None = None
    decoder_vocab_size: _Size | None = None
    share_encoder_decoder_embeddings: bool | None = None
    d_model: _Size | None = None
    encoder_layers: _Size | None = None
    decoder_layers: _Size | None = None
    encoder_attention_heads: _Size | None = None
    decoder_attention_heads: _Size | None = None
    encoder_ffn_dim: _Size | None = None
    decoder_ffn_dim: _Size | None = None
    max_position_embeddings: _Positions | None = None
    activation_function: str | None = None
    dropout: _Share | None = None
    attention_dropout: _Share | None = None
    activation_dropout: _Share | None = None
    scale_embedding: bool | None = None
    tie_word_embeddings: bool | None = None
    pad_token_id: _Id | None = None
    decoder_start_token_id: _Id | None = None
    forced_bos_token_id: _Id | None = None

    @model_validator(mode="after")
    def _computable(self) -> Self:
        config: Any = self.config()
        if config.activation_function not in ACT2FN:
            raise ValueError(
                f"activation_function must be an activation, but got {shown(config.activation_function)}"
            )
        heads = config.encoder_attention_heads
        if config.decoder_attention_heads != heads or config.d_model % heads:
            raise ValueError(
                "encoder_attention_heads and decoder_attention_heads must be one divisor of d_model, "
                f"but got {heads}, {config.decoder_attention_heads} and {config.d_model}"
            )
        known = min(config.vocab_size, getattr(config, "decoder_vocab_size", config.vocab_size))
        for field in ("pad_token_id", "decoder_start_token_id", "forced_bos_token_id"):
            token = getattr(self, field)
            if token is not None and token >= known:
                raise ValueError(f"{field} must be below the vocabulary's size, {known}, but got {token}")
        return self

    def config(self) -> PreTrainedConfig:  # noqa: D102
        given = self.model_dump(exclude_none=True, exclude={"forced_bos_token_id"})
        # a text that reaches its limit is not given an end
        config = self.config_class(
            **given, encoder_layerdrop=0.0, decoder_layerdrop=0.0, forced_eos_token_id=None
        )
        config.first_target_token_id = self.forced_bos_token_id
        return config


class MBartKeys(BartKeys):
    """Sizes and token ids of an mBART."""

    config_class = MBartConfig


class PegasusKeys(BartKeys):
    """Sizes and token ids of a Pegasus."""

    config_class = PegasusConfig


class MarianKeys(BartKeys):
    """Sizes and token ids of a Marian."""

    config_class = MarianConfig


class M2M100Keys(BartKeys):
    """Sizes and token ids of an M2M100 or NLLB."""

    config_class = M2M100Config
