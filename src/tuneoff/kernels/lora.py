"""LoRA as one product with W + s B A, or as a low-rank path that is added within its last product.

With r far below the number of tokens, it costs less to add s B A to the weight than to carry the low-rank
path beside it. In bfloat16 the sum would be rounded, and with it the update, which is often smaller than the
rounding; and dropout is of the path alone. Gradients of A and B are computed from the layer's input and
output as usual.
"""

from typing import Any, cast, final

import torch
from torch import Tensor, nn
from transformers import Conv1D

from tuneoff.kernels.autocast import autocast_dtype
from tuneoff.kernels.gate import Gate
from tuneoff.kernels.quantized import linear_shape


class _Summed(torch.autograd.Function):
    """x (W + s B A)^T."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, a: Tensor, b: Tensor, scaling: float) -> Tensor:
        summed = torch.addmm(weight, b, a, alpha=scaling)
        ctx.save_for_backward(x, a, b, summed)
        ctx.scaling = scaling
        return nn.functional.linear(x, summed)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None, Tensor, Tensor, None]:
        x, a, b, summed = ctx.saved_tensors
        inputs = x.reshape(-1, x.shape[-1])  # [N, in]
        outputs = gradients[0].reshape(-1, len(summed))  # [N, out]
        to_x = gradients[0] @ summed if ctx.needs_input_grad[0] else None
        # with r as the rows of every product: with r as columns a CPU takes three to ten times as long
        to_a = (b.t() @ outputs.t()) @ inputs  # [r, in]
        to_b = (a @ inputs.t()) @ outputs  # [r, out]
        return to_x, None, to_a.mul_(ctx.scaling), to_b.mul_(ctx.scaling).t(), None


class _Beside(torch.autograd.Function):
    """y + s x A^T B^T for N results y of the base layer; the products in a precision of their own."""

    @staticmethod
    def forward(
        ctx: Any, y: Tensor, x: Tensor, a: Tensor, b: Tensor, scaling: float, dtype: torch.dtype
    ) -> Tensor:
        ctx.dtypes = x.dtype, a.dtype, b.dtype
        x, a, b = x.to(dtype), a.to(dtype), b.to(dtype)
        low = a @ x.t()  # [r, N]
        ctx.save_for_backward(x, a, b, low)
        ctx.scaling = scaling
        return torch.addmm(y.to(dtype), low.t(), b.t(), alpha=scaling).to(y.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, a, b, low = ctx.saved_tensors
        of_x, of_a, of_b = ctx.dtypes
        outputs = gradients[0].to(x.dtype)  # [N, out]
        to_low = (b.t() @ outputs.t()).mul_(ctx.scaling)  # [r, N]
        to_x = (to_low.t() @ a).to(of_x) if ctx.needs_input_grad[1] else None
        to_a = (to_low @ x).to(of_a)  # [r, in]
        to_b = (low @ outputs).to(of_b).mul_(ctx.scaling).t()  # [out, r]
        return gradients[0], to_x, to_a, to_b, None, None


@final
class LowRankLinear(nn.Module):
    """A linear layer W with a low-rank update: x W^T + alpha / r * dropout(x) (B A)^T.

    It computes what PEFT's LoRA layer computes, in fewer operations. A and B are created in float32, even
    beside a bfloat16 W: small updates would be rounded away. A gated update is multiplied by a gate of x.
    """

    def __init__(
        self,
        base_layer: nn.Linear | Conv1D,
        *,
        rank: int,
        alpha: float,
        dropout: float = 0.0,
        gated: bool = False,
    ) -> None:
        super().__init__()
        outside, inside = linear_shape(base_layer)
        self.base_layer = base_layer
        self.lora_dropout = nn.Dropout(dropout) if dropout > 0 else nn.Identity()
        device = base_layer.weight.device
        self.lora_A = nn.Parameter(torch.zeros(rank, inside, device=device))
        self.lora_B = nn.Parameter(torch.zeros(outside, rank, device=device))
        self.gate = Gate(inside).to(device) if gated else None
        self.scaling = alpha / rank

    @property
    def weight(self) -> Tensor:
        """The weight of the base layer; some models look at its dtype."""
        return self.base_layer.weight

    def forward(self, x: Tensor) -> Tensor:
        """`x`: [..., in] -> [..., out]."""
        if self._can_be_summed(x) and self._is_worth_summing(x):
            return cast(
                Tensor,
                _Summed.apply(x, self.base_layer.weight, self.lora_A, self.lora_B, self.scaling),  # type: ignore[no-untyped-call]
            )
        rounded = autocast_dtype(x.device)
        dtype = rounded or self.lora_A.dtype
        if rounded:
            x = x.to(rounded)  # once for all products
        result = self.base_layer(x)
        if self.gate is None:
            # made flat here and not within: a model may change the result in place
            flat, inputs = (one.reshape(-1, one.shape[-1]) for one in (result, self.lora_dropout(x)))
            summed = _Beside.apply(flat, inputs, self.lora_A, self.lora_B, self.scaling, dtype)  # type: ignore[no-untyped-call]
            return cast(Tensor, summed.view_as(result))
        low = nn.functional.linear(self.lora_dropout(x.to(dtype)), self.lora_A)
        update = nn.functional.linear(low, self.lora_B) * self.scaling * self.gate(x)
        return cast(Tensor, (result + update).to(result.dtype))

    def _can_be_summed(self, x: Tensor) -> bool:
        """Return whether the layer is x W^T + s x (B A)^T in one dtype, with W frozen and in full."""
        base = self.base_layer
        return (
            type(base) is nn.Linear  # the weight of a quantized layer is not W
            and isinstance(self.lora_dropout, nn.Identity)
            and self.gate is None
            and base.bias is None
            and not base.weight.requires_grad
            and all(matrix.dtype == x.dtype for matrix in (base.weight, self.lora_A, self.lora_B))
            and autocast_dtype(x.device) is None
        )

    def _is_worth_summing(self, x: Tensor) -> bool:
        """Compare r products for each of in x out weights with r for N tokens of in + out numbers."""
        outside, inside = self.lora_B.shape[0], self.lora_A.shape[1]
        tokens = x.numel() // inside
        return tokens * (inside + outside) > inside * outside
