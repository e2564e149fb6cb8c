"""Masks for training, of which nothing is asked: to learn a value of a GPU is to wait for all before it.

transformers asks a mask [B, S] whether it hides anything; one with four dimensions it takes as it is. On a
CPU asking costs nothing, and rows of one length need no mask at all.
"""

import torch
from torch import Tensor


def is_waited_for(tensor: Tensor) -> bool:
    """Return whether asking for a value of a tensor waits for its device."""
    return tensor.device.type != "cpu"


def mask_of_rows(mask: Tensor, queries: int) -> Tensor:
    """Return the mask of padded rows [B, S] for Q queries: [B, 1, Q, S], or as it is if it can be asked."""
    return (mask > 0)[:, None, None].expand(-1, -1, queries, -1) if is_waited_for(mask) else mask


def causal_mask_of_rows(tokens: Tensor) -> Tensor | None:
    """Return the mask of a decoder's tokens [B, T]: [1, 1, T, T]; None, for the model's own, on a CPU."""
    if not is_waited_for(tokens):
        return None
    length = tokens.shape[1]
    return torch.ones(length, length, dtype=torch.bool, device=tokens.device).tril()[None, None]
