"""Caches of keys and values."""

import copy

from transformers import DynamicCache


def cache_bytes(cache: DynamicCache) -> int:
    """Return the bytes of the keys and values of a cache."""
    return sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers if layer.is_initialized)


def repeated_cache(cache: DynamicCache, times: int) -> DynamicCache:
    """Return a cache with each row `times` times; the given one stays."""
    # shallow copies of the layers are enough, since repeating gives them new tensors
    repeated = copy.copy(cache)
    repeated.layers = [copy.copy(layer) for layer in cache.layers]
    repeated.batch_repeat_interleave(times)
    return repeated
