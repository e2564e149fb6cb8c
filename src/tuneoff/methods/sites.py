"""The places in a T5 where a prefix can meet attention; all that depends on T5's modules is here."""

import torch
from torch import Tensor
from transformers import T5ForConditionalGeneration
from transformers.models.t5.modeling_t5 import T5Attention, T5Stack

from tuneoff.spec import Site


def stack_of(model: T5ForConditionalGeneration, site: Site) -> T5Stack:
    """Return the encoder or the decoder, whichever holds the site."""
    return model.encoder if site == "encoder" else model.decoder


def attentions(model: T5ForConditionalGeneration, site: Site) -> list[T5Attention]:
    """Return the attention modules of a site, first layer first."""
    blocks = stack_of(model, site).block
    if site == "cross":
        return [block.layer[1].EncDecAttention for block in blocks]
    return [block.layer[0].SelfAttention for block in blocks]


def position_source(model: T5ForConditionalGeneration, site: Site) -> T5Attention | None:
    """Return the attention that computes the position bias of a whole stack; None for cross-attention.

    T5's first self-attention holds the bias of all layers, and cross-attention has none.
    """
    return None if site == "cross" else attentions(model, site)[0]


def bias_before_text(
    source: T5Attention, *, queries: int, keys: int, length: int, device: torch.device
) -> Tensor:
    """Return the position bias towards `length` tokens in front of `keys` tokens: [1, heads, Q, length].

    The Q queries are the last of the `keys` tokens.
    """
    before = length + keys - queries  # tokens before the first query
    bias: Tensor = source.compute_bias(queries, length + keys, device=device, past_seen_tokens=before)
    return bias[..., :length]
