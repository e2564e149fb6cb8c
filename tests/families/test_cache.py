import pytest
import torch
from transformers import DynamicCache

from tuneoff.families.cache import GrowingCache, copied_cache, repeated_cache

HEADS, WIDTH = 2, 3


def tokens(rows, count, seed):
    return torch.randn(rows, HEADS, count, WIDTH, generator=torch.Generator().manual_seed(seed))


def append(cache, count, seed, rows=4):
    """What the layers of a cache return once tokens are appended; taken back, their place is written anew."""
    keys, values = tokens(rows, count, seed), tokens(rows, count, seed + 1000)
    return [tensor.clone() for layer in range(2) for tensor in cache.update(keys, values, layer)]


CHANGES = {
    "rows dropped": lambda cache: cache.batch_select_indices(torch.tensor([True, False, True, True])),
    "rows repeated": lambda cache: repeated_cache(cache, 2),
    "tokens taken back": lambda cache: cache.crop(-2),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_it_holds_what_the_cache_of_transformers_holds(change):
    caches = [GrowingCache(), DynamicCache()]
    found = []
    for cache in caches:
        seen = append(cache, 5, seed=1)
        for step in range(40):  # beyond its room, several times
            seen += append(cache, 1, seed=2 + step)
        cache = change(cache) or cache
        rows = len(cache.layers[0].keys)
        for step in range(20):
            seen += append(cache, 1 + step % 3, seed=50 + step, rows=rows)
        found.append((seen, cache.get_seq_length()))
    torch.testing.assert_close(*found, rtol=0, atol=0)


def test_a_token_is_written_behind_the_others_which_are_not_copied():
    cache = GrowingCache()
    append(cache, 5, seed=1)
    places = []
    for step in range(60):
        append(cache, 1, seed=2 + step)
        places.append(cache.layers[0].keys.data_ptr())
    assert len(set(places)) < 8


def test_a_copy_and_what_it_was_copied_from_grow_apart():
    cache = GrowingCache()
    append(cache, 5, seed=1)
    append(cache, 1, seed=2)
    copied = copied_cache(cache)
    copied.batch_select_indices(torch.arange(4))
    before = cache.layers[0].keys.clone()
    append(copied, 1, seed=3)
    assert torch.equal(cache.layers[0].keys, before)
    append(cache, 1, seed=4)
    assert torch.equal(copied.layers[0].keys[:, :, -1], tokens(4, 1, 3)[:, :, 0])
