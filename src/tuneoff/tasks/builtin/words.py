"""Words that praise or blame an aspect of a topic."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """Words of judgment, and the aspects that they suit."""

    bad: str
    good: str
    aspects: str = ""

    def of(self, sentiment: int) -> list[str]:
        """Return the bad words for 0, the good ones for 1."""
        return (self.good if sentiment else self.bad).split()


GENERAL = Words(
    bad="bad poor awful terrible horrible dreadful disappointing mediocre lousy miserable unpleasant "
    "hopeless dismal pathetic",
    good="good great excellent wonderful fantastic superb amazing brilliant lovely marvellous impressive "
    "splendid outstanding terrific",
)
"""Words for anything."""

SPECIAL = (
    Words(
        bad="dull boring silly tedious lifeless",
        good="clever charming exciting delightful lively",
        aspects="plot, acting, script, ending, story, style, characters, first chapter, translation, songs, "
        "encore, exercises, puzzles, final level, dialogue, interviews, jokes, opening, topics, "
        "lyrics, melodies, stories, first episode, videos, textbook, classes, music",
    ),
    Words(
        bad="bland disgusting",
        good="delicious tasty",
        aspects="soup, dessert, bread, breakfast, lunch, coffee, cakes, sandwiches, croissants, pizza, "
        "salad, pasta, wine",
    ),
    Words(
        bad="rude careless unfriendly",
        good="friendly helpful attentive",
        aspects="service, waiter, staff, teacher, guide, crew, owner, trainer",
    ),
    Words(
        bad="dirty shabby gloomy ugly",
        good="clean tidy comfortable beautiful",
        aspects="terrace, room, pool, bathroom, hall, kitchen, garden, cafeteria, showers, playground, "
        "changing rooms, sauna, rooms, classroom, deck",
    ),
    Words(
        bad="unreliable flimsy useless",
        good="reliable practical solid",
        aspects="screen, battery, camera, speaker, speakers, keyboard, controls, touchpad, audio guide, "
        "machines, pen, software",
    ),
)
WORDS_FOR: Mapping[str, Words] = {aspect: words for words in SPECIAL for aspect in words.aspects.split(", ")}
"""The special words of an aspect; not every aspect has some."""

PLURAL = (
    "cakes, changing rooms, characters, classes, controls, costumes, croissants, exercises, graphics, "
    "interviews, jokes, lyrics, machines, melodies, paintings, photographs, puzzles, recipes, rooms, "
    "sandwiches, showers, songs, speakers, staff, stories, topics, videos"
)
"""Aspects that take a plural verb."""
