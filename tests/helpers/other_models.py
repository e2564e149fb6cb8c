"""Tiny random models without a family of their own, by model_type."""

from typing import Any

import torch
from transformers import AutoConfig, PreTrainedModel

from helpers.encoder_decoders import END, PAD, START, VOCABULARY
from tuneoff.families import architecture_of

_BART = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 40,
    "init_std": 0.3,
}
_T5 = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
_GEMMA = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "sliding_window": 4,
    "query_pre_attn_scalar": 8,
    "initializer_range": 0.3,
    "pad_token_id": PAD,
    "eos_token_id": END,
    "bos_token_id": None,
}
_SIZES: dict[str, dict[str, Any]] = {
    "bigbird_pegasus": _BART | {"block_size": 2, "num_random_blocks": 1, "attention_type": "original_full"},
    "blenderbot": _BART,
    "blenderbot-small": _BART,
    "fsmt": _BART | {"langs": ["en", "de"], "src_vocab_size": VOCABULARY, "tgt_vocab_size": VOCABULARY},
    "led": _BART
    | {"attention_window": 4, "max_encoder_position_embeddings": 40, "max_decoder_position_embeddings": 40},
    "longt5": _T5,
    "mvp": _BART,
    "pegasus_x": _BART | {"block_size": 4, "num_global_tokens": 4},
    "plbart": _BART,
    "prophetnet": {
        "hidden_size": 32,
        "num_encoder_layers": 2,
        "num_decoder_layers": 2,
        "num_encoder_attention_heads": 4,
        "num_decoder_attention_heads": 4,
        "encoder_ffn_dim": 48,
        "decoder_ffn_dim": 48,
        "max_position_embeddings": 40,
        "init_std": 0.3,
    },
    "t5gemma": {"encoder": _GEMMA, "decoder": _GEMMA},
}


def tiny_other(model_type: str, *, vocabulary: int = VOCABULARY) -> PreTrainedModel:
    """A random model in evaluation mode; `model_type` is one of `tuneoff.families.other.MODELS`."""
    ids = {"pad_token_id": PAD, "eos_token_id": END, "bos_token_id": None, "decoder_start_token_id": START}
    config = AutoConfig.for_model(
        model_type, vocab_size=vocabulary, **ids, **_SIZES[model_type], forced_eos_token_id=None
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = architecture_of(model_type).model(config)
    return model.eval()
