"""LoRA as one product with W + s B A, in place of three products and passes over their results.

With r far below the number of tokens, adding s B A to the weight costs less than carrying the
low-rank path beside it. Gradients of A and B come from the layer's input and output as before.
"""

from typing import Any, cast, final

import torch
from peft.tuners.lora import Linear
from torch import Tensor, nn


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


@final
class LowRankLinear(Linear):
    """PEFT's LoRA layer, which goes through one product where that is the cheaper way."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """`x`: [..., in] -> [..., out]."""
        if not (self._is_plain(x) and self._is_worth_adding(x)):
            return cast(Tensor, super().forward(x, *args, **kwargs))
        (name,) = self.active_adapters
        a, b = self.lora_A[name].weight, self.lora_B[name].weight
        return cast(Tensor, _Summed.apply(x, self.get_base_layer().weight, a, b, self.scaling[name]))  # type: ignore[no-untyped-call]

    def _is_plain(self, x: Tensor) -> bool:
        """Whether the layer is x W^T + s x (B A)^T in one dtype, with W frozen."""
        if len(self.active_adapters) != 1 or self.disable_adapters or self.merged:
            return False
        (name,) = self.active_adapters
        base = self.get_base_layer()
        parts = (base.weight, self.lora_A[name].weight, self.lora_B[name].weight)
        return (
            isinstance(self.lora_dropout[name], nn.Identity)
            and base.bias is None
            and not base.weight.requires_grad
            and all(part.dtype == x.dtype for part in parts)
            and not torch.is_autocast_enabled(x.device.type)
        )

    def _is_worth_adding(self, x: Tensor) -> bool:
        """Whether r products for each of in x out weights are fewer than for N tokens of in + out."""
        tokens = x.numel() // self.in_features
        return bool(tokens * (self.in_features + self.out_features) > self.in_features * self.out_features)
