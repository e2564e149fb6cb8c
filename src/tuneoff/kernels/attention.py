"""T5's attention: masks joined once for all layers of a stack, and cheap dropout of its weights.

Dropout inside attention throws torch's off its fused kernel on a CPU; there it is done by hand.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from tuneoff.kernels.dropout import dropout as drop

ATTENTION = "tuneoff"
"""The name under which a model chooses `attend`."""
T = TypeVar("T")


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    position_bias: Tensor,
    dropout: float = 0.0,
    scaling: float = 1.0,
    is_causal: bool | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """What transformers' `sdpa_attention_forward` gives for the same arguments.

    Shapes: query [B, heads, Q, d_kv]; key and value [B, heads, K, d_kv], cached ones included;
    attention_mask [B, 1, Q, K] or None; position_bias [1, heads, Q, K] -> [B, Q, heads, d_kv].
    """
    causal = bool(module.is_causal) if is_causal is None else is_causal
    bias = kept(position_bias, attention_mask, lambda: _joined(position_bias, attention_mask, causal))
    if dropout and query.device.type == "cpu":
        scores = torch.matmul(query if scaling == 1.0 else query * scaling, key.transpose(2, 3))
        weights = drop((scores + bias).softmax(dim=-1), dropout)
        return torch.matmul(weights, value).transpose(1, 2), None
    return sdpa_attention_forward(
        module, query, key, value, bias, dropout=dropout, scaling=scaling, is_causal=False, **kwargs
    )


AttentionInterface.register(ATTENTION, attend)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


def kept(bias: Tensor, mask: Tensor | None, make: Callable[[], T]) -> T:
    """What `make` gives for a bias and a mask, made once: the layers of a stack hand on both of them.

    It is kept at the bias and lives as long.
    """
    found = getattr(bias, "_kept", None)
    if found is None or found[0] is not mask:
        found = mask, make()
        bias._kept = found  # type: ignore[attr-defined]
    return found[1]


def causal_mask(position_bias: Tensor) -> Tensor | None:
    """What each of Q queries, the last of K positions, may see: [1, 1, Q, K]; None for a single query.

    SDPA's own causal mask aligns the first query with the first key.
    """
    queries, keys = position_bias.shape[2:]
    if queries == 1:
        return None
    visible = torch.ones(queries, keys, dtype=torch.bool, device=position_bias.device)
    return visible.tril(keys - queries)[None, None]


def _joined(position_bias: Tensor, attention_mask: Tensor | None, causal: bool) -> Tensor:
    """Bias and mask as one addend of the scores: [B or 1, heads, Q, K]."""
    if attention_mask is None and causal:
        attention_mask = causal_mask(position_bias)
    if attention_mask is None:
        return position_bias
    if attention_mask.dtype == torch.bool:
        lowest = torch.finfo(position_bias.dtype).min
        return torch.where(attention_mask, position_bias, lowest)
    return position_bias + attention_mask
