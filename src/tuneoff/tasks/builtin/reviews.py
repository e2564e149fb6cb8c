"""The reviews: sentiment that takes more than counting good and bad words."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from tuneoff.spec import SplitName
from tuneoff.tasks.builtin.draw import SEED, SIZES, Draw, Position, by_split, distinct_rows
from tuneoff.tasks.builtin.opinions import ELSEWHERE, FRAMES, OPPOSITES, PEOPLE
from tuneoff.tasks.builtin.topics import TOPICS, Topic
from tuneoff.tasks.builtin.words import GENERAL, PLURAL, WORDS_FOR

NOISE: Final = 0.02
"""The share of training rows whose label is wrong on purpose; validation and test have none."""
ASIDES: Mapping[str, float] = {"easy": 1.0, "medium": 0.8, "hard": 0.5}
"""How many of a level's reviews have a sentence without opinion before or after the frame."""
ELSEWHERES: Mapping[str, float] = {"easy": 0.0, "medium": 0.0, "hard": 0.3}
"""How many have a sentence about another thing at the end instead."""


@dataclass(frozen=True, slots=True)
class Review:
    """A row and its ingredients."""

    text: str
    label: int
    """The label in the data: 1 for positive."""
    level: str
    sentiment: int
    """The label without noise."""
    opinion: str
    """The text without the irrelevant sentence."""
    frame: str
    topic: str


@cache
def review_rows() -> dict[SplitName, tuple[Review, ...]]:
    """Generate the rows of all splits."""
    return by_split(reviews_in_order())


def reviews_in_order() -> Iterator[tuple[SplitName, Review]]:
    """Generate rows one after another, as far as they are asked for."""
    wrong = set(_wrong(Draw(SEED)))
    rows = distinct_rows(_review, text=lambda row: row.text, core=lambda row: row.opinion)
    for number, (split, row) in enumerate(rows):
        is_wrong = split == "train" and number in wrong
        yield split, replace(row, label=1 - row.sentiment) if is_wrong else row


def _review(draw: Draw, position: Position) -> Review:
    frames = FRAMES[position.level]
    turn, sentiment = divmod(position.turn, 2)
    frame = 17 * turn % len(frames)  # neighbors in the list are alike, but consecutive rows should not be
    topic = TOPICS[position.content(draw, frame, len(TOPICS))]
    opinion = _polished(frames[frame].format_map(_words(draw, topic, sentiment)))
    return Review(
        text=_with_aside(draw, topic, opinion, position.level),
        label=sentiment,
        level=position.level,
        sentiment=sentiment,
        opinion=opinion,
        frame=f"{position.level} {frame}",
        topic=topic.name,
    )


def _words(draw: Draw, topic: Topic, sentiment: int) -> dict[str, str]:
    """Choose what the slots of a frame stand for."""
    main, second = draw.some(2, topic.aspects.split(", "))
    words = {slot: pair[sentiment] for slot, pair in OPPOSITES.items()}
    for suffix, aspect in (("", ""), ("_a", main), ("_b", second)):
        words["good" + suffix] = _word(draw, aspect, sentiment, words)
        words["bad" + suffix] = _word(draw, aspect, 1 - sentiment, words)
    return words | {
        "topic": topic.name,
        "topics": topic.plural,
        "tried": topic.tried,
        "outside": topic.outside,
        "person": draw.one(PEOPLE),
        "a": main,
        "b": second,
        "was_a": _was(main),
        "was_b": _was(second),
    }


def _word(draw: Draw, aspect: str, sentiment: int, taken: Mapping[str, str]) -> str:
    """Return a good or bad word that suits the aspect and is not taken yet."""
    special = aspect in WORDS_FOR and draw.chance(0.5)
    options = (WORDS_FOR[aspect] if special else GENERAL).of(sentiment)
    return draw.one([word for word in options if word not in taken.values()])


def _was(aspect: str) -> str:
    return "were" if aspect in PLURAL.split(", ") else "was"


def _polished(text: str) -> str:
    text = re.sub(r"\b([Aa]) (?=[aeio]|un)", r"\1n ", text)
    return text[0].upper() + text[1:]


def _with_aside(draw: Draw, topic: Topic, opinion: str, level: str) -> str:
    """Return the opinion, mostly with an irrelevant sentence before or after it."""
    if draw.chance(ELSEWHERES[level]):
        return f"{opinion} {_elsewhere(draw, topic)}"
    if not draw.chance(ASIDES[level] / (1 - ELSEWHERES[level])):
        return opinion
    aside = draw.one(topic.asides)
    return f"{aside} {opinion}" if draw.chance(0.5) else f"{opinion} {aside}"


def _elsewhere(draw: Draw, topic: Topic) -> str:
    """Return a sentence about another thing of the kind, good or bad."""
    word = draw.one(GENERAL.of(draw.below(2)))
    sentence = draw.one(ELSEWHERE)
    return _polished(sentence.format(topic=topic.name, tried=topic.tried, person=draw.one(PEOPLE), word=word))


def _wrong(draw: Draw) -> Iterator[int]:
    """Yield the training rows whose label is wrong: the share `NOISE` at every level and of either label."""
    positions = [Position("train", number) for number in range(SIZES["train"])]
    for level in FRAMES:
        for sentiment in (0, 1):
            group = [one.number for one in positions if (one.level, one.turn % 2) == (level, sentiment)]
            yield from draw.some(round(NOISE * len(group)), group)
