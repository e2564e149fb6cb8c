"""The decoder-only models that are known, as values: their names, classes, and where their layers are."""

import re
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from transformers import LlamaConfig

from tuneoff.families.causal import Causal
from tuneoff.families.causal_config import CausalKeys
from tuneoff.families.family import Architecture

_COMPUTED = re.compile(r".*\.(rotary_emb\.inv_freq|attn\.(masked_)?bias|attention\.(masked_)?bias)")
"""In old checkpoints: what a model computes of its config alone, frequencies and causal masks."""


def _architecture(
    model_type: str,
    name: str,
    members: str,
    model_class: str,
    *,
    layers: str = "layers",
    attention: str = "self_attn",
    learned_positions: bool = False,
    former_names: Mapping[str, str] = MappingProxyType({}),
) -> Architecture:
    return Architecture(
        model_type=model_type,
        name=name,
        members=members,
        keys=CausalKeys,
        model_class=model_class,
        unused_weights=_COMPUTED,
        layers=lambda config: int(config.num_hidden_layers),
        ends_input=False,
        complete=_without_padding,
        family=partial(Causal, layers=layers, attention=attention, learned_positions=learned_positions),
        former_names=former_names,
    )


def _without_padding(config: object) -> None:
    # see CausalKeys
    config.pad_token_id = None  # type: ignore[attr-defined]


ARCHITECTURES = (
    _architecture("llama", "Llama", "Llama, SmolLM2", "LlamaForCausalLM"),
    _architecture("mistral", "Mistral", "Mistral 7B", "MistralForCausalLM"),
    _architecture("qwen2", "Qwen2", "Qwen2, Qwen2.5", "Qwen2ForCausalLM"),
    _architecture("qwen3", "Qwen3", "Qwen3", "Qwen3ForCausalLM"),
    _architecture("gemma2", "Gemma 2", "Gemma 2", "Gemma2ForCausalLM"),
    _architecture("gemma3_text", "Gemma 3", "Gemma 3 270M and 1B", "Gemma3ForCausalLM"),
    _architecture(
        "gpt2",
        "GPT-2",
        "GPT-2, DistilGPT2",
        "GPT2LMHeadModel",
        layers="h",
        attention="attn",
        learned_positions=True,
    ),
    _architecture(
        "gpt_neox",
        "GPT-NeoX",
        "Pythia",
        "GPTNeoXForCausalLM",
        attention="attention",
        former_names={"embed_out.weight": "lm_head.weight"},
    ),
    _architecture("opt", "OPT", "OPT", "OPTForCausalLM", layers="decoder.layers", learned_positions=True),
    _architecture("phi", "Phi", "Phi-1, Phi-2", "PhiForCausalLM"),
)


def random_config(*, vocab_size: int, pad_token_id: int, eos_token_id: int) -> LlamaConfig:
    """Return the config of a small Llama with random weights and grouped queries."""
    return LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=8,
        num_key_value_heads=2,
        head_dim=20,
        tie_word_embeddings=True,
        pad_token_id=None,
        eos_token_id=eos_token_id,
        bos_token_id=None,
    )
