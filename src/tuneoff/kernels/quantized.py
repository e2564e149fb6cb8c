"""Linear layers whose frozen weight is kept in 8 or 4 bits, and is computed in full for each product.

torchao and bitsandbytes quantize and dequantize, but their layers are not used. torchao's keeps its weight in
full from the forward to the backward pass. bitsandbytes' Linear4bit (0.50) packs its weight anew in the first
evaluation on a CPU with AVX512-BF16, and no gradient passes it from then on. Here a layer does the same in
training and in evaluation.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast, final

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers import Conv1D, PreTrainedModel

from tuneoff.kernels.autocast import autocast_dtype
from tuneoff.spec import Quantization

_BLOCK, _SCALES_BLOCK = 64, 256
"""Numbers that share a scale in NF4, and such scales that share one (Dettmers et al. 2023, section 3)."""


class _Product(torch.autograd.Function):
    """x W^T + b; W is computed again for the backward pass, so that it is not kept until then."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor | None, layer: "QuantizedLinear") -> Tensor:
        ctx.layer = layer
        return linear(x, layer.dequantized(x.dtype), bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        to_output = gradients[0]
        to_x = to_bias = None
        if ctx.needs_input_grad[0]:
            to_x = to_output @ ctx.layer.dequantized(to_output.dtype)
        if ctx.needs_input_grad[1]:
            to_bias = to_output.sum(dim=tuple(range(to_output.dim() - 1)))
        return to_x, to_bias, None


class QuantizedLinear(nn.Linear, ABC):
    """A linear layer x W^T + b with a frozen W in few bits, in buffers.

    It computes what an `nn.Linear` with the weight `dequantized` computes, in every precision. Its own
    `weight` is what is kept of W, in one column, so that code which takes it for W fails. It is int8, since
    to any other type transformers' T5 would convert the layer's input.
    """

    def __init__(self, base: nn.Linear | Conv1D, kept: Mapping[str, Tensor]) -> None:
        """Take the shape and the bias of a layer, and what is kept of its weight, by name."""
        nn.Module.__init__(self)  # that of nn.Linear would make a weight in full
        self.out_features, self.in_features = linear_shape(base)
        self._was_conv1d = isinstance(base, Conv1D)
        self.register_parameter("bias", base.bias)
        for name, tensor in kept.items():
            self.register_buffer(name, tensor)

    @abstractmethod
    def dequantized(self, dtype: torch.dtype) -> Tensor:
        """Return W: [out, in]."""

    def plain(self) -> nn.Linear | Conv1D:
        """Return a layer of the kind that was quantized, with W in float32."""
        weight = self.dequantized(torch.float32)
        layer: nn.Linear | Conv1D
        if self._was_conv1d:
            layer, weight = Conv1D(self.out_features, self.in_features), weight.t().contiguous()
        else:
            layer = nn.Linear(self.in_features, self.out_features, bias=False)
        layer.weight = nn.Parameter(weight, requires_grad=False)
        layer.register_parameter("bias", self.bias)
        return layer.train(self.training)

    def forward(self, x: Tensor) -> Tensor:
        """`x`: [..., in] -> [..., out]."""
        if dtype := autocast_dtype(x.device):
            x = x.to(dtype)
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return cast(Tensor, _Product.apply(x, bias, self))  # type: ignore[no-untyped-call]


@final
class Int8Linear(QuantizedLinear):
    """W as whole numbers of 8 bits with a scale for each row: torchao's int8 weight-only quantization."""

    def __init__(self, base: nn.Linear | Conv1D) -> None:
        from torchao.quantization import Int8Tensor, PerRow

        made = Int8Tensor.from_hp(_full_weight(base), PerRow())
        super().__init__(base, {"weight": made.qdata.reshape(-1, 1), "scale": made.scale})

    def dequantized(self, dtype: torch.dtype) -> Tensor:  # noqa: D102
        whole = self.weight.view(self.out_features, self.in_features)
        return (whole * self.get_buffer("scale")).to(dtype)


@final
class NF4Linear(QuantizedLinear):
    """W in bitsandbytes' 4-bit NormalFloat with double quantization (Dettmers et al. 2023, arXiv:2305.14314).

    Each 64 numbers have a scale, their absolute maximum. The scales, less their mean `offset`, are in 8 bits,
    too: places in a table of numbers, with a scale for each 256 of them.
    """

    def __init__(self, base: nn.Linear | Conv1D) -> None:
        from bitsandbytes import functional

        packed, state = functional.quantize_4bit(
            _full_weight(base), blocksize=_BLOCK, compress_statistics=True, quant_type="nf4"
        )
        kept = {
            "weight": packed.view(torch.int8),
            "scales": state.absmax,
            "scales_scales": state.state2.absmax,
            "table": state.state2.code,
            "offset": state.offset.reshape(1),
        }
        super().__init__(base, kept)

    def dequantized(self, dtype: torch.dtype) -> Tensor:  # noqa: D102
        from bitsandbytes import functional

        kept = dict(self.named_buffers())
        scales = functional.dequantize_blockwise(
            kept["scales"], absmax=kept["scales_scales"], code=kept["table"], blocksize=_SCALES_BLOCK
        )
        state = functional.QuantState(
            absmax=scales + kept["offset"],
            shape=torch.Size([self.out_features, self.in_features]),
            dtype=dtype,
            blocksize=_BLOCK,
            quant_type="nf4",
        )
        return cast(Tensor, functional.dequantize_4bit(kept["weight"].view(torch.uint8), state))


_LAYERS: Mapping[Quantization, type[Int8Linear | NF4Linear]] = MappingProxyType(
    {"int8": Int8Linear, "nf4": NF4Linear}
)


def quantize(model: PreTrainedModel, quantization: Quantization) -> None:
    """Replace every linear layer of a model but its head by one whose weight is quantized; names stay."""
    head = model.get_output_embeddings()
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear | Conv1D) and module is not head:
            layer = _LAYERS[quantization](module)
            model.set_submodule(name, layer.train(module.training))


def dequantize(model: PreTrainedModel) -> None:
    """Replace quantized layers by plain ones that compute the same; names stay."""
    for name, module in list(model.named_modules()):
        if isinstance(module, QuantizedLinear):
            model.set_submodule(name, module.plain())


def parameter_count(model: nn.Module) -> int:
    """Return the number of parameters of a model, those that are quantized as they were before."""
    quantized = [module for module in model.modules() if isinstance(module, QuantizedLinear)]
    in_few_bits = sum(layer.in_features * layer.out_features for layer in quantized)
    return in_few_bits + sum(parameter.numel() for parameter in model.parameters())


def is_quantized(model: nn.Module) -> bool:
    """Return whether any weight of a model is quantized."""
    return any(isinstance(module, QuantizedLinear) for module in model.modules())


def linear_shape(layer: nn.Linear | Conv1D) -> tuple[int, int]:
    """Return how many outputs and inputs a linear layer has."""
    # Conv1D, GPT-2's linear layer, has its W the other way around
    return (layer.nf, layer.nx) if isinstance(layer, Conv1D) else (layer.out_features, layer.in_features)


def _full_weight(layer: nn.Linear | Conv1D) -> Tensor:
    """Return W: [out, in], in float32."""
    weight = layer.weight.detach().float()
    return weight.t().contiguous() if isinstance(layer, Conv1D) else weight
