"""Faster implementations of what a training step does besides matrix products; the mathematics stays."""

from tuneoff.kernels.argmax import argmax_of_product
from tuneoff.kernels.attention import SharedMasks, attend, causal_mask, share_masks, use_attention
from tuneoff.kernels.dropout import Dropout, dropout
from tuneoff.kernels.frozen import hold_frozen_in_bfloat16
from tuneoff.kernels.gate import Gate
from tuneoff.kernels.lora import LowRankLinear
from tuneoff.kernels.memory import give_back_freed_memory, keep_freed_memory
from tuneoff.kernels.model import use_fast_modules
from tuneoff.kernels.quantized import (
    QuantizedLinear,
    dequantize,
    is_quantized,
    linear_shape,
    parameter_count,
    quantize,
)

__all__ = [
    "Dropout",
    "Gate",
    "LowRankLinear",
    "QuantizedLinear",
    "SharedMasks",
    "argmax_of_product",
    "attend",
    "causal_mask",
    "dequantize",
    "dropout",
    "give_back_freed_memory",
    "hold_frozen_in_bfloat16",
    "is_quantized",
    "keep_freed_memory",
    "linear_shape",
    "parameter_count",
    "quantize",
    "share_masks",
    "use_attention",
    "use_fast_modules",
]
