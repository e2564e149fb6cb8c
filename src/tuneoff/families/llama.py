"""Llama (Touvron et al. 2023, arXiv:2302.13971) and models of its architecture, such as SmolLM2."""

import re
from typing import Annotated, Self

import torch
from pydantic import Field, model_validator
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.activations import ACT2FN

from tuneoff.errors import shown
from tuneoff.families.causal import Causal
from tuneoff.families.family import Architecture, ConfigKeys

_Size = Annotated[int, Field(gt=0, lt=2**31)]
_Id = Annotated[int, Field(ge=0, lt=2**31)]


class LlamaKeys(ConfigKeys):
    """Sizes, positions and token ids of a Llama."""

    vocab_size: _Size = 32000
    hidden_size: _Size = 4096
    intermediate_size: _Size = 11008
    num_hidden_layers: _Size = 32
    num_attention_heads: _Size = 32
    num_key_value_heads: _Size | None = None
    head_dim: _Size | None = None
    hidden_act: str = "silu"
    rms_norm_eps: Annotated[float, Field(gt=0, lt=1)] = 1e-6
    rope_theta: Annotated[float, Field(gt=0)] | None = None
    rope_parameters: dict[str, object] | None = None
    rope_scaling: dict[str, object] | None = None
    max_position_embeddings: _Size = 2048
    attention_bias: bool = False
    mlp_bias: bool = False
    attention_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    tie_word_embeddings: bool = False
    pad_token_id: _Id | None = None

    @model_validator(mode="after")
    def _computable(self) -> Self:
        if self.hidden_act not in ACT2FN:
            raise ValueError(f"hidden_act must be an activation, but got {shown(self.hidden_act)}")
        kv_heads = self.num_key_value_heads or self.num_attention_heads
        if self.num_attention_heads % kv_heads:
            raise ValueError(
                "num_key_value_heads must divide num_attention_heads, but got "
                f"{kv_heads} and {self.num_attention_heads}"
            )
        if self.pad_token_id is not None and self.pad_token_id >= self.vocab_size:
            raise ValueError(
                f"pad_token_id must be below vocab_size={self.vocab_size}, but got {self.pad_token_id}"
            )
        return self

    def config(self) -> LlamaConfig:  # noqa: D102
        return LlamaConfig(
            **self.model_dump(exclude_none=True, exclude={"pad_token_id"}), pad_token_id=self.pad_token_id
        )


ARCHITECTURE = Architecture(
    model_type="llama",
    name="Llama",
    members="Llama, SmolLM2",
    keys=LlamaKeys,
    model=LlamaForCausalLM,
    # computed, and in old checkpoints
    unused_weights=re.compile(r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq"),
    layers=lambda config: config.num_hidden_layers,
    ends_input=False,
    complete=lambda config: None,
    family=Causal,
)


def random_model(*, vocab_size: int, pad_token_id: int, eos_token_id: int) -> LlamaForCausalLM:
    """Return a small Llama with random weights and grouped queries, the same at every call."""
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=8,
        num_key_value_heads=2,
        head_dim=20,
        tie_word_embeddings=True,
        pad_token_id=pad_token_id,
        eos_token_id=eos_token_id,
        bos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    return model.eval()
