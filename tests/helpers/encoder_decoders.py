"""Tiny random models of BART's kin, and of T5's that are classes of their own."""

from typing import Any

import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    M2M100Config,
    M2M100ForConditionalGeneration,
    MarianConfig,
    MarianMTModel,
    MBartConfig,
    MBartForConditionalGeneration,
    MT5Config,
    MT5ForConditionalGeneration,
    PegasusConfig,
    PegasusForConditionalGeneration,
    PreTrainedConfig,
    PreTrainedModel,
    UMT5Config,
    UMT5ForConditionalGeneration,
)

from tuneoff.families import family_of

PAD, END, START, VOCABULARY = 0, 1, 2, 60

_BART = {
    "d_model": 32,
    "encoder_layers": 3,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 40,
    "init_std": 0.3,
    "encoder_layerdrop": 0.0,
    "decoder_layerdrop": 0.0,
    "forced_eos_token_id": None,
}
_FORCED = ("bart", "m2m")
"""Kinds of which every target begins with a given token."""
_T5 = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 3, "num_decoder_layers": 2, "num_heads": 6}

_KINDS: dict[str, tuple[type[PreTrainedConfig], type[PreTrainedModel], dict[str, Any]]] = {
    "bart": (BartConfig, BartForConditionalGeneration, _BART),
    "mbart": (MBartConfig, MBartForConditionalGeneration, _BART | {"scale_embedding": True}),
    "pegasus": (PegasusConfig, PegasusForConditionalGeneration, _BART | {"scale_embedding": True}),
    "marian": (
        MarianConfig,
        MarianMTModel,
        _BART | {"activation_function": "swish", "decoder_start_token_id": PAD},
    ),
    "m2m": (M2M100Config, M2M100ForConditionalGeneration, _BART),
    "mt5": (MT5Config, MT5ForConditionalGeneration, _T5 | {"decoder_start_token_id": PAD}),
    "umt5": (UMT5Config, UMT5ForConditionalGeneration, _T5 | {"decoder_start_token_id": PAD}),
}
KINDS = tuple(_KINDS)
"""Names of the kinds of models."""


def tiny_encoder_decoder(kind: str, *, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """A random model in evaluation mode with unequal depths, one of `KINDS`."""
    config_class, model_class, values = _KINDS[kind]
    ids = {"pad_token_id": PAD, "eos_token_id": END, "bos_token_id": None, "decoder_start_token_id": START}
    config = config_class(vocab_size=VOCABULARY, **ids | values)
    if kind in _FORCED:
        config.first_target_token_id = START + 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = model_class(config)
        # what is zero or nearly so in a new model is not in a trained one
        for name, module in model.named_modules():
            if name.endswith("relative_attention_bias"):
                torch.nn.init.normal_(module.weight)
        if hasattr(model, "final_logits_bias"):
            model.final_logits_bias.normal_()
    family_of(model)  # as every model that is loaded: fixed positions are no parameters
    return model.eval().to(dtype)
