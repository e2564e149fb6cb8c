"""Longest common subsequences of tokens: exact, and quick for texts of megabytes in little memory.

A set of positions in a text is one integer, with bit i for its token i (Hyyrö 2004, "Bit-parallel LCS-length
computation revisited").
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

Places = Callable[[str | None], int]
_KEPT_PLACES = 512
"""Tokens whose places are kept: for long texts, a number of many kilobytes each."""
_KEPT_COLUMNS = 256
"""Columns of a table that are kept; the others are computed again when their turn comes."""
_END = None


def places_in(tokens: Sequence[str | None]) -> Places:
    """A function from a token to the set of its positions."""
    positions = defaultdict[str | None, list[int]](list)
    for position, token in enumerate(tokens):
        positions[token].append(position)

    @lru_cache(maxsize=_KEPT_PLACES)
    def places(token: str | None) -> int:
        found = positions.get(token, [])
        bits = bytearray(found[-1] // 8 + 1 if found else 0)
        for position in found:
            bits[position >> 3] |= 1 << (position & 7)
        return int.from_bytes(bits, "little")

    return places


def common_length(places: Places, length: int, tokens: Sequence[str]) -> int:
    """The length of a longest common subsequence of some tokens and a text of `length` tokens at `places`."""
    free = every = (1 << length) - 1
    for token in tokens:
        free = _next(free, places(token), every)
    return length - free.bit_count()


def _next(free: int, places: int, every: int) -> int:
    """The next column of the table of lengths: a bit is 0 where the length rises by one."""
    hits = free & places
    return (free + hits | free ^ hits) & every if hits else free


def union_counts(text: Sequence[Sequence[str]], other: Sequence[Sequence[str]]) -> Counter[str]:
    """How often each token stands in the union of longest common subsequences, over the sentences of a text.

    A sentence's union holds its positions that are in its subsequence with any sentence of the other text. Of
    several longest ones, it is the one that rouge-score follows back from the end: a match where there is
    one, else the other text's token left out if the length allows it, else the text's.

    All sentences of the text go through one computation: they stand in a row, with a 0 bit after each that
    catches what an addition carries over.
    """
    shared = set(chain.from_iterable(other))
    kept = [[token for token in sentence if token in shared] for sentence in text]
    tokens = [*chain.from_iterable([*sentence, _END] for sentence in kept)]
    places = places_in(tokens)
    every = ((1 << len(tokens)) - 1) ^ places(_END)
    shifts = _shifts(places(_END), every, longest=max(map(len, kept), default=0))
    union = 0
    for sentence in dict.fromkeys(tuple(one) for one in other if one):
        active = every  # in each sentence of the text, the beginning that is still to be looked at
        for rising, hits in _columns_from_last(sentence, places, every):
            beginning = (rising | hits) & active
            for shift, inside in shifts:
                beginning |= beginning >> shift & inside
            last = beginning & ~(beginning >> 1 & shifts[0].inside)
            union |= last & hits
            active = beginning ^ (last & hits)
            if not active:
                break
    return Counter(
        str(token) for token, bit in zip(tokens, reversed(f"{union:b}"), strict=False) if bit == "1"
    )


class _Shift(NamedTuple):
    by: int
    inside: int
    """The positions that still lie in the same sentence when so many are added."""


def _shifts(ends: int, every: int, *, longest: int) -> list[_Shift]:
    """Shifts by 1, 2, 4, ..., which together spread a bit over all of a sentence before it."""
    found, by, near = [], 1, ends >> 1
    while True:
        found.append(_Shift(by, every & ~near))
        if 2 * by > longest:
            return found
        by, near = 2 * by, near | near >> by


def _columns_from_last(sentence: Sequence[str], places: Places, every: int) -> Iterator[tuple[int, int]]:
    """For each token from the last: where the table of lengths rises in its column, and where it stands."""
    parts = [sentence[start : start + _KEPT_COLUMNS] for start in range(0, len(sentence), _KEPT_COLUMNS)]
    starts = [every]
    for part in parts[:-1]:
        free = starts[-1]
        for token in part:
            free = _next(free, places(token), every)
        starts.append(free)
    for part, free in zip(reversed(parts), reversed(starts), strict=True):
        columns = []
        for token in part:
            free = _next(free, places(token), every)
            columns.append((every ^ free, places(token)))
        yield from reversed(columns)
