"""The keys of a T5's config.json, each of them checked."""

from typing import Annotated, ClassVar, Self

from pydantic import AliasChoices, Field, model_validator
from transformers import MT5Config, T5Config, UMT5Config
from transformers.activations import ACT2FN

from tuneoff.errors import shown
from tuneoff.families.family import ConfigKeys

_Size = Annotated[int, Field(gt=0, lt=2**31)]
_Id = Annotated[int, Field(ge=0, lt=2**31)]
_Share = Annotated[float, Field(ge=0, lt=1)]
_FEWEST_BUCKETS = 4
"""The encoder has half of the buckets for each direction, and half of these for exact distances."""


class T5Keys(ConfigKeys):
    """Sizes and token ids of a T5, under the names that they have had."""

    config_class: ClassVar[type[T5Config | MT5Config | UMT5Config]] = T5Config
    vocab_size: _Size = 32128
    d_model: _Size = Field(512, validation_alias=AliasChoices("d_model", "hidden_size"))
    d_kv: _Size = Field(64, validation_alias=AliasChoices("d_kv", "head_dim"))
    d_ff: _Size = 2048
    num_layers: _Size = Field(6, validation_alias=AliasChoices("num_layers", "num_hidden_layers"))
    num_decoder_layers: _Size | None = None
    num_heads: _Size = Field(8, validation_alias=AliasChoices("num_heads", "num_attention_heads"))
    relative_attention_num_buckets: Annotated[_Size, Field(ge=_FEWEST_BUCKETS)] = 32
    relative_attention_max_distance: _Size = 128
    dropout_rate: _Share = 0.1
    layer_norm_epsilon: Annotated[_Share, Field(gt=0)] = 1e-6
    feed_forward_proj: str = "relu"
    dense_act_fn: str | None = None
    is_gated_act: bool | None = None
    tie_word_embeddings: bool | None = None
    scale_decoder_outputs: bool | None = None
    pad_token_id: _Id | None = None
    decoder_start_token_id: _Id | None = None

    @model_validator(mode="after")
    def _computable(self) -> Self:
        if self.relative_attention_max_distance <= self.relative_attention_num_buckets // 2:
            raise ValueError(
                "relative_attention_max_distance must be more than half of relative_attention_num_buckets, "
                f"but got {self.relative_attention_max_distance} and {self.relative_attention_num_buckets}"
            )
        gate, _, activation = self.feed_forward_proj.rpartition("-")
        known = activation in ACT2FN and (self.dense_act_fn is None or self.dense_act_fn in ACT2FN)
        if gate not in ("", "gated") or not known:
            raise ValueError(
                "feed_forward_proj must be an activation or gated-ACTIVATION (relu, gated-gelu), "
                f"and dense_act_fn an activation, but got {shown(self.feed_forward_proj)} and "
                f"{shown(self.dense_act_fn)}"
            )
        for field in ("pad_token_id", "decoder_start_token_id"):
            token = getattr(self, field)
            if token is not None and token >= self.vocab_size:
                raise ValueError(f"{field} must be below vocab_size={self.vocab_size}, but got {token}")
        return self

    def config(self) -> T5Config | MT5Config | UMT5Config:  # noqa: D102
        # what is not given has the default of transformers, which leaves defaults out where it saves a config
        sizes = self.model_dump(exclude_unset=True, exclude_none=True)
        ids = {"pad_token_id": self.pad_token_id, "decoder_start_token_id": self.decoder_start_token_id}
        return self.config_class(**sizes | ids)


class MT5Keys(T5Keys):
    """Sizes and token ids of an mT5."""

    config_class = MT5Config


class UMT5Keys(T5Keys):
    """Sizes and token ids of a umT5."""

    config_class = UMT5Config
