"""Caches of keys and values."""

import copy
from typing import final

from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

_ROOM = 16
"""Fewest tokens to make room for at a time, where one token follows after the other."""


@final
class GrowingCache(DynamicCache):
    """transformers' cache, but a token that follows is written behind the others, which are not copied."""

    def __init__(self) -> None:
        super().__init__()
        self.layer_class_to_replicate = _GrowingLayer


class _GrowingLayer(DynamicLayer):
    """Keys and values of one layer, [N, heads, T, head_dim]: views of stores that have room for more."""

    def __init__(self) -> None:
        super().__init__()
        self._stores: list[Tensor | None] = [None, None]

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Append keys and values, [N, heads, T, head_dim] each; return all."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states.contiguous(), value_states.contiguous()
        elif key_states.shape[2] > 1 or key_states.requires_grad:
            return super().update(key_states, value_states)
        else:
            self.keys = self._with_token(0, self.keys, key_states)
            self.values = self._with_token(1, self.values, value_states)
        return self.keys, self.values

    def _with_token(self, number: int, before: Tensor, token: Tensor) -> Tensor:
        store, length = self._stores[number], before.shape[2]
        if store is None or not _has_room(store, before):
            store = before.new_empty(*before.shape[:2], length + max(_ROOM, length // 2), before.shape[3])
            store[:, :, :length] = before
            # copies of a layer have stores of their own
            self._stores = [*self._stores[:number], store, *self._stores[number + 1 :]]
        store[:, :, length : length + 1] = token
        return store[:, :, : length + 1]


def _has_room(store: Tensor, before: Tensor) -> bool:
    """Return whether `before` is the first part of a store, and not all of it."""
    is_part = before.data_ptr() == store.data_ptr() and before.stride() == store.stride()
    return is_part and len(before) == len(store) and before.shape[2] < store.shape[2]


def move_rows(cache: DynamicCache, other: DynamicCache, *, width: int, at_end: bool) -> None:
    """Append the rows of another cache, which is empty afterwards; of all rows `width` tokens are kept.

    These are the last ones (`at_end`) or the first; where a row has fewer, zeros take their place.
    """
    for layer, others in zip(cache.layers, other.layers, strict=True):
        layer.keys = stacked(layer.keys, others.keys, width=width, at_end=at_end)
        layer.values = stacked(layer.values, others.values, width=width, at_end=at_end)
        others.reset()


def stacked(one: Tensor, other: Tensor, *, width: int, at_end: bool) -> Tensor:
    """Return [N, heads, T, head_dim] and [M, heads, U, head_dim] as [N + M, heads, width, head_dim].

    The last tokens of each are kept (`at_end`), or the first, with zeros for those that are missing.
    """
    both = one.new_zeros(len(one) + len(other), one.shape[1], width, one.shape[3])
    for place, part in ((both[: len(one)], one), (both[len(one) :], other)):
        kept = min(width, part.shape[2])
        if at_end:
            place[:, :, width - kept :] = part[:, :, part.shape[2] - kept :]
        else:
            place[:, :, :kept] = part[:, :, :kept]
    return both


def stacked_masks(one: Tensor, other: Tensor, *, width: int, at_end: bool) -> Tensor:
    """Return masks [N, T] and [M, U] as [N + M, width]; see `stacked`."""
    wide = stacked(one[:, None, :, None], other[:, None, :, None], width=width, at_end=at_end)
    return wide[:, 0, :, 0]


def cache_bytes(cache: DynamicCache) -> int:
    """Return the bytes of the keys and values of a cache."""
    return sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers if layer.is_initialized)


def repeated_cache(cache: DynamicCache, times: int) -> DynamicCache:
    """Return a cache with each row `times` times; the given one stays."""
    repeated = copied_cache(cache)
    repeated.batch_repeat_interleave(times)
    return repeated


def copied_cache(cache: DynamicCache) -> DynamicCache:
    """Return a cache with the same tensors, to be given others; the given one stays."""
    copied = copy.copy(cache)
    copied.layers = [copy.copy(layer) for layer in cache.layers]
    return copied
