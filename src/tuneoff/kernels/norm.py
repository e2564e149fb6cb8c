"""Root mean square norm (Zhang and Sennrich 2019, arXiv:1910.07467) in about half the time on a CPU.

transformers' modules consist of seven operations, and autograd adds up their gradients; each reads and writes
all elements. Here the forward pass has three such passes, and the gradients are those of the formula, in six.

Under autocast, the two or three products that read a norm each round its output. Here it is rounded once, and
the sum of their gradients is in bfloat16, as each of them is.
"""

from typing import Any, cast, final

import torch
from torch import Tensor, nn

from tuneoff.kernels.autocast import autocast_dtype

_ROUNDED = {
    "T5LayerNorm": "as the weight",
    "MT5LayerNorm": "as the weight",
    "UMT5LayerNorm": "as the weight",
    "LlamaRMSNorm": "as the input",
    "MistralRMSNorm": "as the input",
    "Qwen2RMSNorm": "as the input",
    "Qwen3RMSNorm": "as the input",
    "Gemma2RMSNorm": "with 1 + weight",
    "Gemma3RMSNorm": "with 1 + weight",
}
"""Classes of transformers, by name so that none is imported, and how each rounds before the weight.

The last ones add 1 to the weight and round after it.
"""


def is_rms_norm(module: nn.Module) -> bool:
    """Return whether `RmsNorm` can take the place of a module."""
    return type(module).__name__ in _ROUNDED


@final
class RmsNorm(nn.Module):
    """A module in place of one of transformers', with its weight.

    One that is `read_by_products` alone has results in their precision.
    """

    def __init__(self, module: Any, *, read_by_products: bool) -> None:
        super().__init__()
        self._read_by_products = read_by_products
        self.weight: nn.Parameter = module.weight
        self._rounded = _ROUNDED[type(module).__name__]
        self._eps: float = module.eps if hasattr(module, "eps") else module.variance_epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Divide by the root mean square of the last dimension, and multiply by the weight; any shape."""
        weight = 1 + self.weight if self._rounded == "with 1 + weight" else self.weight
        if x.dtype == weight.dtype == torch.float32:
            dtype = (autocast_dtype(x.device) if self._read_by_products else None) or torch.float32
            if x.device.type == "cpu":
                return cast(Tensor, _Scaled.apply(x, weight, self._eps, dtype))  # type: ignore[no-untyped-call]
            return (self._normed(x) * weight).to(dtype)
        if self._rounded == "with 1 + weight":
            return (self._normed(x) * weight).to(x.dtype)
        return weight * self._normed(x).to(weight.dtype if self._rounded == "as the weight" else x.dtype)

    def _normed(self, x: Tensor) -> Tensor:
        return x.float() * torch.rsqrt(x.float().square().mean(-1, keepdim=True) + self._eps)


class _Scaled(torch.autograd.Function):
    """x r w, where r = 1 / sqrt(mean(x^2) + eps) for each row of d elements.

    With the gradient g of the result, that of x is r (g w) - x r^3 (g w . x) / d, and that of w the sum of
    g x r over rows.
    """

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)  # type: ignore[untyped-decorator]
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
        size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        scale = size.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, scale, weight)
        return (x * scale).mul_(weight).to(dtype)

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        gradient = gradients[0].float()
        x, scale, weight = ctx.saved_tensors
        width = x.shape[-1]
        products = (gradient * x).reshape(-1, width)
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            shares = (products @ weight).view_as(scale).mul_(scale.pow(3)).div_(width)
            of_x = (gradient * weight).mul_(scale).addcmul_(x, shares, value=-1)
        if ctx.needs_input_grad[1]:
            of_weight = products.t() @ scale.reshape(-1)
        return of_x, of_weight, None, None
