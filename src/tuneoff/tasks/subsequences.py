"""Longest common subsequences (LCS) of tokens: exact, and fast for texts of megabytes in little memory.

The table of LCS lengths has a row for each token of a text and a column for each token of another one, and
in each column the length rises by 0 or 1 from row to row. So a column is one integer, `free`, with bit i for
token i of the text: 0 where the length rises, 1 elsewhere. One addition computes the next column (Hyyrö 2004,
"Bit-parallel LCS-length computation revisited"). An example, with the text `a b c b` (`a` is bit 0, on the
right):

    tokens of the other    places    free = 1111, and then (free + hits) | (free ^ hits)
    b                      1010      (1111 + 1010) | (1111 ^ 1010) = 11101, cut to 4 bits: 1101
    c                      0100      (1101 + 0100) | (1101 ^ 0100) = 11001, cut to 4 bits: 1001

Bits 1 and 2 are 0: the LCS of `a b c b` and `b c` has length 2.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

Places = Callable[[str | None], int]
"""A function from a token to its positions in a text, as the bits of an integer."""
_CACHED_PLACES = 512
"""Tokens whose places are cached: for long texts, a number of many kilobytes each."""
_STORED_COLUMNS = 256
"""Columns of a table that are stored at a time; the others are computed again when they are needed."""
_END = None
"""The token after each sentence."""


def places_in(tokens: Sequence[str | None]) -> Places:
    """Return a function from a token to its positions."""
    positions = defaultdict[str | None, list[int]](list)
    for position, token in enumerate(tokens):
        positions[token].append(position)

    @lru_cache(maxsize=_CACHED_PLACES)
    def places(token: str | None) -> int:
        found = positions.get(token, [])
        # a bytearray is filled in place, where `1 << position` would make a long integer each time
        bits = bytearray(found[-1] // 8 + 1 if found else 0)
        for position in found:
            bits[position >> 3] |= 1 << (position & 7)
        return int.from_bytes(bits, "little")

    return places


def common_length(places: Places, length: int, tokens: Sequence[str]) -> int:
    """Return the LCS length of some tokens and a text of `length` tokens at `places`."""
    free = every = (1 << length) - 1
    for token in tokens:
        free = _next(free, places(token), every)
    return length - free.bit_count()


def _next(free: int, places: int, every: int) -> int:
    """Compute the column of the next token, whose places in the text are given.

    The hits are places where the length does not rise yet. In each run of 1 bits, the addition starts a carry
    at the lowest hit, which sets the 0 above the run: the rise moves from there down to the hit. The right
    side of the `|` restores the 1 bits that the carry cleared, except the hits.
    """
    hits = free & places
    return (free + hits | free ^ hits) & every if hits else free


def union_counts(text: Sequence[Sequence[str]], other: Sequence[Sequence[str]]) -> Counter[str]:
    """Count each token in the union of longest common subsequences, over the sentences of a text.

    A sentence's union is the set of its positions that are in its LCS with any sentence of the other text. Of
    several longest ones, it is the one that rouge-score finds from the end: a match where there is one, else
    skip the other text's token if the length stays the same, else the text's.

    All sentences of the text are computed at once: they are joined, with a 0 bit after each, which absorbs
    the carry of an addition. For each token of the other sentence, from its last:

    - `rising` are the rows where the length of this column rises, `hits` the places of the token;
    - `beginning` has all active rows up to the last one of each sentence that rises or is hit: the shifts
      spread a bit over all rows before it, doubling its reach each time;
    - `last` is the highest row of each beginning. If it is a hit, it belongs to the LCS and the search goes
      on before it, else at it.
    """
    shared = set(chain.from_iterable(other))
    # tokens that only one text has are in no common subsequence
    sentences = [[token for token in sentence if token in shared] for sentence in text]
    tokens: list[str | None] = []
    for sentence in sentences:
        tokens += [*sentence, _END]
    places = places_in(tokens)
    every = ((1 << len(tokens)) - 1) ^ places(_END)
    shifts = _shifts(places(_END), every, longest=max(map(len, sentences), default=0))
    union = 0
    for distinct in dict.fromkeys(tuple(sentence) for sentence in other if sentence):
        active = every  # in each sentence of the text, the rows that are still to be searched
        for rising, hits in _columns_from_last(distinct, places, every):
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
    """The positions that stay in the same sentence when moved up by this many."""


def _shifts(ends: int, every: int, *, longest: int) -> list[_Shift]:
    """Return shifts by 1, 2, 4, ..., which together spread a bit over all of its sentence before it."""
    found, by, near = [], 1, ends >> 1
    while True:
        found.append(_Shift(by, every & ~near))
        if 2 * by > longest:
            return found
        by, near = 2 * by, near | near >> by


def _columns_from_last(sentence: Sequence[str], places: Places, every: int) -> Iterator[tuple[int, int]]:
    """Yield for each token from the last: where the lengths rise in its column, and its places.

    Columns can only be computed from the first token on, and all of them together would take too much memory.
    So the first pass stores the column at each part's start, and the second computes one part at a time.
    """
    parts = [sentence[start : start + _STORED_COLUMNS] for start in range(0, len(sentence), _STORED_COLUMNS)]
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
