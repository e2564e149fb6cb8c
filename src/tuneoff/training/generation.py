"""Greedy generation; rows that have ended leave the batch."""

import torch
from torch import Tensor

from tuneoff.families import Context, Family

_IDLE = 1 / 8
"""Largest share of ended rows that stay in the batch, since removing rows copies the caches."""


def greedy(
    family: Family,
    context: Context,
    *,
    max_new_tokens: int,
    eos_token_id: int,
    pad_token_id: int,
    lengths: Tensor | None = None,
) -> Tensor:
    """Generate the most probable token, one after another, until the end of sequence: [N, max_new_tokens].

    Texts are padded after their end. With `lengths` [N], a text ends after that many tokens instead. Tokens
    that the context holds after its input are forgotten, and it is changed.
    """
    context.rewind()
    device = family.model.device
    # of the rows still in the batch: their numbers, and which of them have not ended
    rows = torch.arange(context.rows, device=device)
    unfinished = torch.ones_like(rows, dtype=torch.bool)
    texts = rows.new_full((len(rows), max_new_tokens), pad_token_id)
    last = family.argmax_token(context.first())
    for step in range(max_new_tokens):
        if step > 0:
            last = family.argmax_token(context.follow(last[:, None])[:, 0])
        # ended rows still get tokens while they are in the batch; these are not written
        texts[rows[unfinished], step] = last[unfinished]
        ended = last == eos_token_id if lengths is None else lengths[rows] <= step + 1
        unfinished = unfinished & ~ended
        count = int(unfinished.sum())
        if count == 0:
            break
        if count < (1 - _IDLE) * len(rows):
            context.keep(unfinished)
            rows, last = rows[unfinished], last[unfinished]
            unfinished = torch.ones_like(last, dtype=torch.bool)
    return texts
