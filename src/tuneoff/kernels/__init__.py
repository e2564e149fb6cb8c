"""What costs time in a step beside matrix products, done faster at the same mathematics."""

from tuneoff.kernels.attention import attend, causal_mask, kept
from tuneoff.kernels.dropout import Dropout, dropout
from tuneoff.kernels.lora import LowRankLinear
from tuneoff.kernels.memory import keep_freed_memory
from tuneoff.kernels.model import quicken

__all__ = [
    "Dropout",
    "LowRankLinear",
    "attend",
    "causal_mask",
    "dropout",
    "keep_freed_memory",
    "kept",
    "quicken",
]
