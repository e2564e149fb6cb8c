"""Where a run computes, and in which precision."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

Dtype = Literal["float32", "bfloat16"]


def resolve_dtype(dtype: Literal["auto", "float32", "bfloat16"], device: torch.device) -> Dtype:
    """bfloat16 for `auto` where the device multiplies it in hardware, otherwise float32.

    float16 is left out on purpose: T5's activations overflow it.
    """
    if dtype != "auto":
        return dtype
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        # emulated bfloat16 products were seen to be a hundred times slower than float32
        fast = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return "bfloat16" if fast else "float32"


def autocast(device: torch.device, dtype: Dtype) -> AbstractContextManager[None]:
    """A context in which matrix products run in the precision."""
    if dtype == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
