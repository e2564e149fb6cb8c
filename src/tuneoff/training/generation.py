"""Greedy generation; rows that have ended leave the batch."""

import torch
from torch import Tensor
from transformers import EncoderDecoderCache, T5ForConditionalGeneration

from tuneoff.training.likelihood import argmax_token, decode, without_tokens

_IDLE = 1 / 8
"""Largest share of ended rows that stay in the batch, since removing rows copies the caches."""


def greedy(
    model: T5ForConditionalGeneration,
    encoder_outputs: Tensor,
    mask: Tensor,
    cache: EncoderDecoderCache,
    *,
    max_new_tokens: int,
    eos_token_id: int,
    pad_token_id: int,
) -> Tensor:
    """Generate the most probable token, one after another, until the end of sequence: [N, max_new_tokens].

    `encoder_outputs`: [N, S, H], `mask`: [N, S]. Texts are padded after their end.
    `cache`: empty, or with keys and values of the same encoder outputs, which are reused; it is changed.
    """
    # the cache of a loss has the target's tokens, which must not be seen here
    cache = without_tokens(cache)
    texts = mask.new_full((len(encoder_outputs), max_new_tokens), pad_token_id)
    # of the rows still in the batch: their numbers, their last tokens, and which of them have not ended
    rows = torch.arange(len(encoder_outputs), device=mask.device)
    last = mask.new_full((len(rows),), model.config.decoder_start_token_id)
    unfinished = torch.ones_like(last, dtype=torch.bool)
    for step in range(max_new_tokens):
        last = argmax_token(model, decode(model, last[:, None], encoder_outputs, mask, cache)[:, 0])
        # ended rows still get tokens while they are in the batch; these are not written
        texts[rows[unfinished], step] = last[unfinished]
        unfinished = unfinished & (last != eos_token_id)
        count = int(unfinished.sum())
        if count == 0:
            break
        if count < (1 - _IDLE) * len(rows):
            cache.batch_select_indices(unfinished)
            encoder_outputs, mask = encoder_outputs[unfinished], mask[unfinished]
            rows, last = rows[unfinished], last[unfinished]
            unfinished = torch.ones_like(last, dtype=torch.bool)
    return texts
