"""The keys of a decoder-only model's config.json, each of them checked."""

from dataclasses import fields
from typing import Annotated, Literal, Self

from huggingface_hub.errors import StrictDataclassError
from pydantic import AliasChoices, Field, model_validator
from transformers import AutoConfig, PreTrainedConfig
from transformers.activations import ACT2FN

from tuneoff.errors import first_line, shown
from tuneoff.families.family import ConfigKeys

_Size = Annotated[int, Field(gt=0, lt=2**31)]
_Share = Annotated[float, Field(ge=0, lt=1)]
_Epsilon = Annotated[float, Field(gt=0, lt=1)]
_Positive = Annotated[float, Field(gt=0)]
_LEGACY = {
    "rope_theta",
    "rope_scaling",
    "rope_local_base_freq",
    "rotary_emb_base",
    "rotary_pct",
    "partial_rotary_factor",
    "sliding_window_pattern",
}
"""Keys of older checkpoints, of which transformers makes others."""


class CausalKeys(ConfigKeys):
    """The keys of all known decoder-only models; each has some of them, under these names.

    What a config leaves out is as transformers has it for the `model_type`. Token ids are left out: masks
    tell padding, and an embedding that knows its padding gets no gradient for it, even where it is the end of
    sequence, too.
    """

    model_type: str
    # sizes
    vocab_size: _Size | None = None
    hidden_size: _Size | None = Field(None, validation_alias=AliasChoices("hidden_size", "n_embd"))
    intermediate_size: _Size | None = None
    n_inner: _Size | None = None
    ffn_dim: _Size | None = None
    word_embed_proj_dim: _Size | None = None
    num_hidden_layers: _Size | None = Field(
        None, validation_alias=AliasChoices("num_hidden_layers", "n_layer")
    )
    num_attention_heads: _Size | None = Field(
        None, validation_alias=AliasChoices("num_attention_heads", "n_head")
    )
    num_key_value_heads: _Size | None = None
    head_dim: _Size | None = None
    # layers
    hidden_act: str | None = None
    hidden_activation: str | None = None
    activation_function: str | None = None
    rms_norm_eps: _Epsilon | None = None
    layer_norm_eps: _Epsilon | None = None
    layer_norm_epsilon: _Epsilon | None = None
    qk_layernorm: bool | None = None
    do_layer_norm_before: bool | None = None
    layer_norm_elementwise_affine: bool | None = None
    use_parallel_residual: bool | None = None
    attention_bias: bool | None = None
    mlp_bias: bool | None = None
    enable_bias: bool | None = None
    tie_word_embeddings: bool | None = None
    # attention
    scale_attn_weights: bool | None = None
    scale_attn_by_inverse_layer_idx: bool | None = None
    query_pre_attn_scalar: _Size | None = None
    attn_logit_softcapping: _Positive | None = None
    final_logit_softcapping: _Positive | None = None
    sliding_window: _Size | None = None
    use_sliding_window: bool | None = None
    max_window_layers: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    layer_types: list[Literal["full_attention", "sliding_attention"]] | None = None
    sliding_window_pattern: _Size | None = None
    use_bidirectional_attention: Literal[False] | None = None
    # positions
    max_position_embeddings: _Size | None = Field(
        None, validation_alias=AliasChoices("max_position_embeddings", "n_positions")
    )
    rope_theta: _Positive | None = None
    rope_local_base_freq: _Positive | None = None
    rope_parameters: dict[str, object] | None = None
    rope_scaling: dict[str, object] | None = None
    rotary_emb_base: _Positive | None = None
    rotary_pct: Annotated[float, Field(gt=0, le=1)] | None = None
    partial_rotary_factor: Annotated[float, Field(gt=0, le=1)] | None = None
    # dropout
    attention_dropout: _Share | None = None
    hidden_dropout: _Share | None = None
    dropout: _Share | None = None
    layerdrop: _Share | None = None
    attn_pdrop: _Share | None = None
    resid_pdrop: _Share | None = None
    embd_pdrop: _Share | None = None

    @model_validator(mode="after")
    def _computable(self) -> Self:
        for name in ("hidden_act", "hidden_activation", "activation_function"):
            activation = getattr(self, name)
            if activation is not None and activation not in ACT2FN:
                raise ValueError(f"{name} must be an activation, but got {shown(activation)}")
        try:
            config = self.config()
        except (StrictDataclassError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise ValueError(f"transformers refuses it: {first_line(error)}") from error
        heads = config.num_attention_heads
        kv_heads = getattr(config, "num_key_value_heads", None) or heads
        if heads % kv_heads:
            raise ValueError(
                f"num_key_value_heads must divide num_attention_heads, but got {kv_heads} and {heads}"
            )
        if getattr(config, "head_dim", None) is None and config.hidden_size % heads:
            raise ValueError(
                f"num_attention_heads must divide hidden_size, but got {heads} and {config.hidden_size}"
            )
        return self

    def config(self) -> PreTrainedConfig:  # noqa: D102
        plain = AutoConfig.for_model(self.model_type)
        # names that a family has for common sizes, such as n_embd for hidden_size
        names = {field.name for field in fields(plain)} | plain.attribute_map.keys() | _LEGACY
        given = self.model_dump(exclude_unset=True, exclude={"model_type"})
        values = {name: value for name, value in given.items() if name in names}
        return AutoConfig.for_model(
            self.model_type, **values, pad_token_id=None, bos_token_id=None, eos_token_id=None
        )
