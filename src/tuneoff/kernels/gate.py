"""A learned gate (Mao et al. 2022, UniPELT, arXiv:2110.07577)."""

from typing import final

import torch
from torch import Tensor, nn


@final
class Gate(nn.Module):
    """How much of a method a token gets, from 0 to 1: sigmoid(w x + b), one half at first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """`x`: [..., width] -> [..., 1], in float32."""
        weight = self.weight.to(x.dtype)
        return torch.sigmoid((x @ weight).float() + self.bias)[..., None]
