"""Attention with a position bias: it is joined with the mask once for a stack, and dropout is cheap.

On a CPU, dropout inside attention disables torch's fused kernel, so that softmax and dropout are computed
explicitly.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from tuneoff.kernels.dropout import dropout as drop

T = TypeVar("T")


class SharedMasks:
    """What is computed from a position bias and a mask, memoized for one forward pass of a stack.

    All layers of a stack get the same bias and the same mask object, one pair for self-attention and one for
    cross-attention. A new instance is made for each forward pass, so nothing outlives it.
    """

    def __init__(self) -> None:
        self._results: list[tuple[Tensor | None, Tensor | None, Any]] = []

    def once(self, bias: Tensor | None, mask: Tensor | None, compute: Callable[[], T]) -> T:
        """Return the result of `compute` for this pair, computed at the first call only."""
        # by identity: to compare values would cost more than to compute the result again
        for known_bias, known_mask, result in self._results:
            if known_bias is bias and known_mask is mask:
                return result
        result = compute()
        self._results.append((bias, mask, result))
        return result


def share_masks(stack: nn.Module, inputs: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Add `SharedMasks` to the arguments of a stack; a forward pre-hook.

    A stack passes arguments that it does not know on to the attention function of every layer.
    """
    return inputs, {"masks": SharedMasks()} | kwargs


def use_attention(model: PreTrainedModel, function: Callable[..., Any], *, name: str) -> str:
    """Let a model compute attention by `function`; return the name of the function it used before.

    A model refers to its attention function by name only, and transformers looks the name up in tables of the
    whole process. An entry is never changed: each name stands for one function.
    """
    name_attention(function, name)
    before: str = model.config._attn_implementation
    model.set_attn_implementation(name)
    return before


def name_attention(function: Callable[..., Any], name: str) -> None:
    """Enter an attention function into this process's tables under a name."""
    AttentionInterface.register(name, function)
    AttentionMaskInterface.register(name, sdpa_mask)


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    position_bias: Tensor | None = None,
    dropout: float = 0.0,
    scaling: float = 1.0,
    is_causal: bool | None = None,
    masks: SharedMasks | None = None,
    softcap: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Return what transformers' `sdpa_attention_forward` returns for the same arguments.

    With `softcap`, which it refuses, scores are kept within +-softcap (Gemma Team 2024, arXiv:2408.00118).

    Shapes: query [B, heads, Q, d_kv]; key and value [B, heads, K, d_kv], cached ones included;
    attention_mask [B, 1, Q, K] or None; position_bias [1, heads, Q, K] or None -> [B, Q, heads, d_kv].
    Without a position bias, key and value may have fewer heads than the query.
    """
    if softcap is not None:
        causal = bool(module.is_causal) if is_causal is None else is_causal
        if attention_mask is None and causal:
            attention_mask = causal_mask(query.shape[2], key.shape[2], query.device)
        return _capped(query * scaling, key, value, attention_mask, dropout=dropout, softcap=softcap), None
    if position_bias is None:
        return sdpa_attention_forward(
            module,
            query,
            key,
            value,
            attention_mask,
            dropout=dropout,
            scaling=scaling,
            is_causal=is_causal,
            **kwargs,
        )
    causal = bool(module.is_causal) if is_causal is None else is_causal
    bias = (masks or SharedMasks()).once(
        position_bias, attention_mask, lambda: _joined(position_bias, attention_mask, causal)
    )
    if dropout and query.device.type == "cpu":
        scores = torch.matmul(query if scaling == 1.0 else query * scaling, key.transpose(2, 3))
        # in float32, as the bias is; products and dropout in their own precision
        weights = drop((scores + bias).softmax(dim=-1).to(query.dtype), dropout)
        return torch.matmul(weights, value).transpose(1, 2), None
    return sdpa_attention_forward(
        module, query, key, value, bias, dropout=dropout, scaling=scaling, is_causal=False, **kwargs
    )


def _capped(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, *, dropout: float, softcap: float
) -> Tensor:
    """Compute attention with capped scores; shapes are those of `attend`."""
    groups = query.shape[1] // key.shape[1]
    key, value = (tensor.repeat_interleave(groups, dim=1) for tensor in (key, value))
    scores = softcap * torch.tanh(torch.matmul(query, key.transpose(2, 3)).float() / softcap)
    if mask is not None:
        # the lowest number and not -inf, so that a query that sees nothing, in padding, is not NaN
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    weights = drop(scores.softmax(dim=-1).to(query.dtype), dropout)
    return torch.matmul(weights, value).transpose(1, 2)


def causal_mask(queries: int, keys: int, device: torch.device) -> Tensor | None:
    """Return which of K positions each of Q queries sees: [1, 1, Q, K]; None for a single query.

    The queries are the last Q of the K positions. SDPA's own causal mask would align the first query with the
    first key.
    """
    if queries == 1:
        return None
    visible = torch.ones(queries, keys, dtype=torch.bool, device=device)
    return visible.tril(keys - queries)[None, None]


def _joined(position_bias: Tensor, attention_mask: Tensor | None, causal: bool) -> Tensor:
    """Add bias and mask: [B or 1, heads, Q, K], to be added to the scores."""
    if attention_mask is None and causal:
        attention_mask = causal_mask(position_bias.shape[2], position_bias.shape[3], position_bias.device)
    if attention_mask is None:
        return position_bias
    if attention_mask.dtype == torch.bool:
        lowest = torch.finfo(position_bias.dtype).min
        return torch.where(attention_mask, position_bias, lowest)
    return position_bias + attention_mask
