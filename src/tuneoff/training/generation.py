"""Greedy generation, in which a row that has ended costs nothing more."""

import torch
from torch import Tensor
from transformers import EncoderDecoderCache, T5ForConditionalGeneration

from tuneoff.training.likelihood import argmax_token, decode, without_tokens

_IDLE = 1 / 8
"""Share of ended rows that are carried along, since taking rows out copies the caches."""


def greedy(
    model: T5ForConditionalGeneration,
    encoder_outputs: Tensor,
    mask: Tensor,
    known: EncoderDecoderCache,
    *,
    max_new_tokens: int,
    eos_token_id: int,
    pad_token_id: int,
) -> Tensor:
    """The likeliest next token, one after another, until the end of sequence: [N, max_new_tokens].

    `encoder_outputs`: [N, S, H], `mask`: [N, S]; padded behind the end.
    `known`: a cache, empty or used for the same encoder outputs; it is used up.
    """
    cache = without_tokens(known)
    texts = mask.new_full((len(encoder_outputs), max_new_tokens), pad_token_id)
    rows = torch.arange(len(encoder_outputs), device=mask.device)
    last = mask.new_full((len(rows),), model.config.decoder_start_token_id)
    going = torch.ones_like(last, dtype=torch.bool)
    for step in range(max_new_tokens):
        last = argmax_token(model, decode(model, last[:, None], encoder_outputs, mask, cache)[:, 0])
        texts[rows[going], step] = last[going]
        going = going & (last != eos_token_id)
        live = int(going.sum())
        if live == 0:
            break
        if live < (1 - _IDLE) * len(rows):
            cache.batch_select_indices(going)
            encoder_outputs, mask = encoder_outputs[going], mask[going]
            rows, last = rows[going], last[going]
            going = going[going]
    return texts
