"""Words and sentences of a text in any script, as ROUGE and the baselines count them.

In ASCII text, words and stems are exactly those of rouge-score with its stemmer. In other text:

- A word is a run of letters, digits and the marks on them. Everything else separates words or is dropped:
  symbols and emoji, punctuation, and apostrophes in any spelling.
- Scripts that put no spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Myanmar and their relatives)
  are split into single characters, each with its marks.
- Spellings of one word are equal: composed and decomposed, full and half width, ligatures, upper and lower
  case (`casefold`), digits of any script, with or without Arabic and Hebrew points, tatweel, soft hyphens,
  and invisible joiners and direction marks. Accents count: `cafe` is not `café`.
- Words of a-z and 0-9 alone are stemmed (Porter).
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Any

TOKENIZER = "tuneoff-words-1"
"""The version of the rules in this file; a change of any word or sentence needs a new number."""

_UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Myanmar
    "\u1780-\u17ff\u19e0-\u19ff"  # Khmer
    "\u1950-\u19df\u1a20-\u1aaf\uaa80-\uaadf\U00011700-\U0001174f"  # Tai, Ahom
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303c"  # radicals, iteration marks, zero
    "\u3041-\u30ff\u3105-\u312f\u3190-\u31ff"  # kana, Bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003fffd"  # Han
    "\ua000-\ua4cf\U00016fe0-\U00018cff\U0001aff0-\U0001b2ff"  # Yi, Tangut, Khitan, further kana, Nushu
)
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003fffd]")
"""Letters even where they are newer than Python's version of Unicode."""
_APOSTROPHES = "\u02bb\u02bc\u02bd"
"""Letters by their Unicode category, but used as apostrophes."""
_OPTIONAL = re.compile(
    "[\u0640\u0610-\u061a\u064b-\u0652\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed"  # Arabic
    "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"  # Hebrew
    "\u034f\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]"  # joiner and variation selectors
)
_ZERO_WIDTH_SPACE = "\u200b"
_ASCII_WORD = re.compile("[a-z0-9]+")

_STOP_BEFORE_SPACE = re.compile(r"(?<=[.!?])\s+")
_STOPS = (
    "\u061f\u06d4\u0589\u0964\u0965"  # Arabic, Urdu, Armenian, Devanagari and its relatives
    "\u1362\u1367\u1368\u17d4\u17d5\u104b\u0f0d\u0f0e"  # Ethiopic, Khmer, Myanmar, Tibetan
    "\u3002\uff01\uff1f\uff61\u203c\u203d\u2047-\u2049"  # Chinese and Japanese, double marks
)
_CLOSING = "\"'\u201d\u2019\u00bb\u300d\u300f\uff09\u3011\u300b\u3009)\\]"
_STOP = re.compile(f"[{_STOPS}][{_STOPS}.!?]*[{_CLOSING}]*")


def sentences(text: str) -> list[str]:
    """Split a text into sentences: at line breaks, and after `.`, `!` or `?` before a space.

    The stops of other scripts end a sentence everywhere, together with the closing quotes and brackets that
    follow.
    """
    lines = _STOP_BEFORE_SPACE.sub("\n", text)
    if not text.isascii():
        lines = _STOP.sub("\\g<0>\n", lines)
    return [sentence.strip() for sentence in lines.split("\n") if sentence.strip()]


def words(text: str) -> list[str]:
    """Split a text into words in lower case, by the rules of this file."""
    if text.isascii():
        return _ASCII_WORD.findall(text.lower())
    folded = unicodedata.normalize("NFC", text).translate(_Folding())
    # casefold is defined on decomposed text, and words are compared in composed form
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFD", folded).casefold())
    # casefold turns the Turkish capital of i into i and a combining dot
    return _any_words().findall(folded.replace("i\u0307", "i"))


def stems(text: str) -> list[str]:
    """Split a text into words, with ASCII words reduced to their Porter stems."""
    return [_stem(word) if len(word) > 3 and word.isascii() else word for word in words(text)]


def spaced(text: str) -> list[str]:
    """Split a text at spaces, and into single characters where a script has none."""
    return text.split() if text.isascii() else _unspaced().sub(r" \g<0> ", text).split()


@lru_cache(maxsize=2**16)
def _stem(word: str) -> str:
    (stem,) = _stemmer().tokenize(word)
    return str(stem)


@cache
def _stemmer() -> Any:
    from rouge_score.tokenizers import DefaultTokenizer

    return DefaultTokenizer(use_stemmer=True)


class _Folding:
    """The mapping of `_folded` in the form that `str.translate` takes."""

    def __getitem__(self, code: int) -> str:
        return _folded(chr(code))


@lru_cache(maxsize=2**16)
def _folded(character: str) -> str:
    """Return a character's simpler form within a word: nothing if it is dropped, a space if it separates."""
    category = unicodedata.category(character)
    if _OPTIONAL.match(character) or (category in ("Cf", "Me") and character != _ZERO_WIDTH_SPACE):
        return ""
    if character in _APOSTROPHES:
        return " "
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category[0] in "LM" or category == "Nl" or _HAN.match(character):
        form = unicodedata.normalize("NFKC", character)
        return character if form == character else "".join(map(_folded, form))
    # numerals of scripts that have no digits, but not ² or ½
    return character if category == "No" and not unicodedata.decomposition(character) else " "


@cache
def _unspaced() -> re.Pattern[str]:
    """Match a character of a script without spaces, with its marks."""
    return re.compile(f"[{_UNSPACED}][{_marks()}]*")


@cache
def _any_words() -> re.Pattern[str]:
    """Match a word: a character of a script without spaces, or a run of other characters."""
    marks = _marks()
    return re.compile(f"[{_UNSPACED}][{marks}]*|[^\\s{_UNSPACED}{marks}][^\\s{_UNSPACED}]*")


@cache
def _marks() -> str:
    """Return all combining marks, as ranges of a regular expression."""
    codes = (code for code in range(0x300, 0x20000) if unicodedata.category(chr(code))[0] == "M")
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in _ranges(codes))


def _ranges(codes: Iterable[int]) -> list[tuple[int, int]]:
    """Join consecutive codes into pairs of first and last."""
    found: list[tuple[int, int]] = []
    for code in codes:
        if found and found[-1][1] == code - 1:
            found[-1] = (found[-1][0], code)
        else:
            found.append((code, code))
    return found
