"""What somebody says of himself or herself, told in the third person by rule."""

import re

from chats import SAME_FOR_I, WOMEN
from lists import words_of

_OPENING = re.compile(
    r"^((oh|no|yes|yeah|well|sure|okay|ok|hey|hi|hello|haha|sorry|thanks|wow|of course|great|alright|right|"
    r"really|good|nice|perfect|absolutely|hmm|thank you|no way|no worries|so|but|and)\b[ ,]*|[A-Z][a-z]+, )*",
    re.IGNORECASE,
)
_VERBS = {"have": "has", "don't": "doesn't", "haven't": "hasn't"}
_SHORT = {"I'm": "is", "I've": "has", "I'll": "will"}
_PRESENT = words_of(
    "want need love like hate hope feel live work play prefer plan enjoy keep remember bring own eat"
)
_MODAL = frozenset(
    words_of("can can't could couldn't will won't would must should shouldn't might did didn't had hadn't")
)
_ADVERBS = frozenset(words_of("just really always never already also still only often usually"))
_EMPTY = frozenset(
    words_of("sorry glad happy sure not afraid fine okay good so all just too really here from")
)
"""After "I'm", what says hardly anything."""
_AFTER_YOU = frozenset(
    words_of(
        "my can will could should to with a an the some at in on for tomorrow today tonight soon later about "
        "from home there after before when"
    )
)
_UNCLEAR = frozenset(
    words_of(
        "i i'm i'll i've i'd we we're we'll we've us our they they're them their he he's him his she she's "
        "her it it's its this that that's these those here one ones something anything mine yours you're "
        "you'll you've"
    )
)
"""Words whose meaning is lost, or whose verb would have to change, outside of the chat."""


def retold(said: str, speaker: str, listener: str | None) -> str | None:
    """Return the first sentence of a turn that can be told of its speaker, or None.

    Without a single listener, nobody knows who "you" is.

    "Oh no, I'll bring you my ladder tomorrow.", said by Anna to Ben, is "Anna will bring Ben her ladder
    tomorrow." Sentences that need the rest of the chat to be understood are not told.
    """
    for sentence in re.split(r"(?<=[.!?]) ", said):
        if told := _told(sentence, speaker, listener):
            return told
    return None


def _told(sentence: str, speaker: str, listener: str | None) -> str | None:
    words = _OPENING.sub("", sentence, count=1).rstrip(".!").split()
    if sentence.endswith("?") or not 5 <= len(words) <= 18:
        return None
    start = _predicate(words)
    if start is None:
        return None
    rest = [
        _moved(word, following, speaker, listener)
        for word, following in zip(start, [*start[1:], ""], strict=True)
    ]
    certain = [word for word in rest if word is not None]
    if len(certain) < len(rest) or sum(listener in word for word in certain if listener) > 1:
        return None
    return " ".join([speaker, *certain]) + "."


def _predicate(words: list[str]) -> list[str] | None:
    """Return what follows "I", its verb in the third person; None where the verb is not known."""
    first, *rest = words
    if first == "I" and rest[0] == "am":
        first, rest = "I'm", rest[1:]
    if first in _SHORT:
        return None if first == "I'm" and rest[0] in _EMPTY else [_SHORT[first], *rest]
    if first != "I":
        return None
    adverb = [rest.pop(0)] if rest and rest[0] in _ADVERBS else []
    verb, *rest = rest
    if verb in _VERBS:
        third = _VERBS[verb]
    elif verb in _MODAL or verb in SAME_FOR_I or verb.endswith("ed"):
        third = verb
    elif verb in _PRESENT:
        third = f"{verb}s"
    else:
        return None
    return [*adverb, third, *rest]


def _moved(word: str, following: str, speaker: str, listener: str | None) -> str | None:
    """Return a word as another person says it; None where that is not certain."""
    bare = word.strip(",").lower()
    if bare in _UNCLEAR or (bare in ("you", "your") and listener is None):
        return None
    if word == "you" and following and following not in _AFTER_YOU:  # "I hope you like it"
        return None
    woman = speaker in WOMEN
    other = {
        "my": "her" if woman else "his",
        "me": "her" if woman else "him",
        "myself": "herself" if woman else "himself",
        "your": f"{listener}'s",
        "you": listener,
    }.get(bare)
    return word if other is None else word.lower().replace(bare, other)
