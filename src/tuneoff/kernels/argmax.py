"""The highest of many products, such as the logits of a vocabulary, on a CPU."""

import torch
from torch import Tensor

PART = 1024
"""Rows of the matrix that are multiplied at a time."""


def argmax_of_product(weight: Tensor, x: Tensor) -> Tensor:
    """Return the row of `weight` [V, H] with the highest product with each row of `x` [N, H]: [N].

    For few rows of `x`, parts of `weight` that fit a CPU's caches are faster than the whole.
    """
    columns = x.t()  # [H, N]
    parts = torch.split(weight, PART)  # [V / parts, H] each
    # find the best row of each part, then the best part
    best_in_parts = [(part @ columns).max(dim=0) for part in parts]
    best_part = torch.stack([best.values for best in best_in_parts]).argmax(dim=0)  # [N]
    rows = torch.stack([best.indices for best in best_in_parts])  # [parts, N]
    return rows.gather(0, best_part[None])[0] + best_part * PART
