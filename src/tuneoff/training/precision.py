"""Where a run computes, and in which precision."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from transformers import PreTrainedModel

from tuneoff.kernels import hold_frozen_in_bfloat16

Dtype = Literal["float32", "bfloat16"]


def resolve_dtype(dtype: Literal["auto", "float32", "bfloat16"], device: torch.device) -> Dtype:
    """Resolve `auto`: bfloat16 where the device multiplies it in hardware, otherwise float32.

    float16 is not offered, since activations of some models (T5) overflow it.
    """
    if dtype != "auto":
        return dtype
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        # without the instructions, bfloat16 products were measured to be a hundred times slower than float32
        fast = device.type == "cpu" and _cpu_multiplies_bfloat16()
    return "bfloat16" if fast else "float32"


def _cpu_multiplies_bfloat16() -> bool:
    # older releases of torch have no public way to ask
    if not hasattr(torch.cpu, "get_capabilities"):
        return False
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))


def prepare_frozen(model: PreTrainedModel, dtype: Dtype) -> None:
    """Round frozen weights to the precision of their products, if that is not their own."""
    if dtype == "bfloat16":
        hold_frozen_in_bfloat16(model)


def autocast(device: torch.device, dtype: Dtype) -> AbstractContextManager[None]:
    """Return a context in which matrix products run in a precision."""
    if dtype == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
