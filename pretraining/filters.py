"""Which generated lines are kept: clean in form, without loops, no copies of known texts."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from chats import MEN, WOMEN

NAMES = frozenset(WOMEN + MEN)
TYPED = str.maketrans("\u2018\u2019\u201c\u201d\u2013\u2014\u00e9", "''\"\"--e")
_PLAIN = re.compile(r"[A-Za-z0-9 .,!?'$%&-]+")
_OUT_OF_PLACE = re.compile(
    r"\b(smollm|hugging|chatbot|assistant|language model|ai|conversation|topic|sentence|"
    r"fuck\w*|shit\w*|sex\w*|"
    r"rape\w*|kill\w*|suicide|nazi\w*|bitch\w*|porn\w*|nigg\w*|fag\w*|slut\w*|cunt\w*|dick\w*|pussy|\d{3,})\b",
    re.IGNORECASE,
)
_BARE_LETTER = re.compile(r"\b[b-hj-zB-HJ-Z]\b(?<!'[smtd])")


def clean(line: str, fewest: int = 2, most: int = 30) -> str | None:
    """Return a line in typewriter characters, or None if it is not of the form of something said.

    Long numbers, single letters, symbols, markup, coarse words and those of a chatbot are not.
    """
    line = " ".join(line.translate(TYPED).split())
    words = line.split()
    if not fewest <= len(words) <= most or not _PLAIN.fullmatch(line):
        return None
    if _OUT_OF_PLACE.search(line) or _BARE_LETTER.search(line) or loops(line):
        return None
    return line


def loops(line: str) -> bool:
    """Return whether three words in a row, or a longer word three times, occur again in a line."""
    words = _words(line)
    threes = [tuple(words[at : at + 3]) for at in range(len(words) - 2)]
    often = [word for word in words if len(word) > 3 and words.count(word) > 2]
    twice = [word for word, following in pairwise(words) if word == following]
    return len(set(threes)) < len(threes) or bool(often) or bool(twice)


def strangers(line: str, speaker: str, others: Sequence[str]) -> bool:
    """Return whether a line names its own speaker, or somebody who is not in the chat."""
    named = NAMES & set(re.findall(r"[A-Z][a-z]+", line))
    return not named <= set(others) - {speaker}


def echoes(line: str, earlier: Iterable[str]) -> bool:
    """Return whether a line says again what an earlier one of its chat says."""
    own = shingles(line, 3)
    if not own:
        return letters(line) in map(letters, earlier)
    return any(len(own & shingles(other, 3)) > len(own) / 3 for other in earlier)


class Known:
    """Shingles (words in a row) of texts; a text made of known ones for the most part is a near-copy."""

    def __init__(self, size: int, share: float, texts: Iterable[str] = ()) -> None:
        self.size, self.share = size, share
        self._shingles: set[int] = set()
        self._letters: set[int] = set()
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        """Take note of a text."""
        self._letters.add(_number(letters(text)))
        self._shingles.update(_number(" ".join(shingle)) for shingle in shingles(text, self.size))

    def has(self, text: str) -> bool:
        """Return whether a text is known, or nearly."""
        own = shingles(text, self.size)
        found = sum(_number(" ".join(shingle)) in self._shingles for shingle in own)
        return found > self.share * max(1, len(own)) or _number(letters(text)) in self._letters


def shingles(text: str, size: int) -> set[tuple[str, ...]]:
    """Return all runs of `size` words."""
    words = _words(text)
    return {tuple(words[at : at + size]) for at in range(len(words) - size + 1)}


def letters(text: str) -> str:
    """Keep letters only, so that spacing, case and punctuation do not make two texts of one."""
    return re.sub(r"[^a-z]", "", text.lower())


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


def _number(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
