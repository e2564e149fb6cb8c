"""Dropout that costs a CPU half as much: one draw of 16 random bits for an element, and one mask.

torch draws a Bernoulli sample for each element, divides the mask and multiplies by it. The chance
here is a multiple of 1/65536 (0.1 becomes 0.100006), and what is kept is scaled by exactly its
inverse, so the expectation is that of the input. Elsewhere than on a CPU torch's own is taken.
"""

from typing import Any, cast, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEVELS = 1 << 16
_LOWEST = -(1 << 15)


def dropout(x: Tensor, p: float) -> Tensor:
    """`x` with each element zero at a chance of `p`, and 1 / (1 - p) times itself otherwise.

    Any shape; drawn from torch's global generator, so that equal seeds give equal masks.
    """
    if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.bfloat16):
        return F.dropout(x, p)
    dropped = round(p * _LEVELS)
    if dropped == 0:
        return x
    if dropped == _LEVELS:
        return x * 0.0
    return cast(Tensor, _Masked.apply(x, mask(x, dropped)))  # type: ignore[no-untyped-call]


def mask(x: Tensor, dropped: int) -> Tensor:
    """0 or 65536 / (65536 - dropped) for each element of `x`, in its dtype; 0 at dropped / 65536."""
    count = x.numel()
    words = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(1 << 63), None)
    bits = words.view(torch.int16)[:count].view(x.shape)
    return (bits >= _LOWEST + dropped).to(x.dtype).mul_(_LEVELS / (_LEVELS - dropped))


class _Masked(torch.autograd.Function):
    """A product whose second factor needs no gradient; only that factor is kept for the way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factors: Tensor) -> Tensor:
        ctx.save_for_backward(factors)
        return x * factors

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (factors,) = ctx.saved_tensors
        return gradients[0] * factors, None


@final
class Dropout(nn.Dropout):
    """Takes the place of torch's module."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape; the identity outside training."""
        return dropout(x, self.p) if self.training and self.p else x
