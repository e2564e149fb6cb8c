"""Dropout at half the cost on a CPU: 16 random bits for each element, and one mask.

torch draws a Bernoulli sample for each element, divides the mask and multiplies by it. Here the probability
is a multiple of 1/65536 (0.1 becomes 0.100006), and the elements that stay are scaled by exactly its inverse,
so that the expectation is the input. On other devices torch's own dropout is used.
"""

from typing import Any, cast, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEVELS = 1 << 16
"""Values of a 16-bit number."""
_LOWEST = -(1 << 15)
"""The lowest signed 16-bit number."""


def dropout(x: Tensor, p: float) -> Tensor:
    """Set each element to zero with probability `p`, and multiply the others by 1 / (1 - p).

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
    """Draw a factor for each element of `x`: 0 with probability dropped / 65536, else its inverse scale.

    The scale is 65536 / (65536 - dropped); shape and dtype are those of `x`.
    """
    count = x.numel()
    # one draw of 64 bits serves four elements; -(-n // 4) is n / 4, rounded up
    words = torch.empty(-(-count // 4), dtype=torch.int64)
    # from the lowest signed number to the highest, which None stands for: all 64 bits are random
    words.random_(-(1 << 63), None)
    # the same memory read as 16-bit numbers: uniform in -32768 ... 32767
    bits = words.view(torch.int16)[:count].view(x.shape)
    # `dropped` of the 65536 numbers lie below this bound
    return (bits >= _LOWEST + dropped).to(x.dtype).mul_(_LEVELS / (_LEVELS - dropped))


class _Masked(torch.autograd.Function):
    """The product of x and factors without gradient; only the factors are saved for the backward pass."""

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
    """A module in place of torch's `nn.Dropout`."""

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements in training only; any shape."""
        return dropout(x, self.p) if self.training and self.p else x
