"""Caches of keys and values."""

import copy

from transformers import DynamicCache


def repeated_cache(cache: DynamicCache, times: int) -> DynamicCache:
    """Return a cache with each row `times` times; the given one stays."""
    # shallow copies of the layers are enough, since repeating gives them new tensors
    repeated = copy.copy(cache)
    repeated.layers = [copy.copy(layer) for layer in cache.layers]
    repeated.batch_repeat_interleave(times)
    return repeated
