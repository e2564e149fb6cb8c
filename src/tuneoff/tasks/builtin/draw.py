"""Random choices that are equal on every machine, and rows whose splits share no combination.

A row joins a frame (how it is said) and a content (what it is about), both numbered. The class of a
row is (frame + content) mod 5: train takes the classes 0, 1 and 2, validation 3 and test 4, so that all
frames and all contents occur in every split, but no combination of the two occurs in more than one.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from tuneoff.spec import SplitName

SEED: Final = 20_260_101
SIZES: Mapping[SplitName, int] = {"train": 6000, "validation": 600, "test": 1000}
CLASSES: Mapping[SplitName, tuple[int, ...]] = {"train": (0, 1, 2), "validation": (3,), "test": (4,)}
LEVELS = ("easy", "medium", "hard")

T = TypeVar("T")
Row = TypeVar("Row")


class Draw:
    """Random choices by `random()` alone, the one method whose sequence Python promises to keep."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def below(self, end: int) -> int:
        """Return a number from 0 to end - 1."""
        return int(self._random.random() * end)

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self._random.random() < probability

    def one(self, options: Sequence[T]) -> T:
        """Return one of the options."""
        return options[self.below(len(options))]

    def some(self, count: int, options: Sequence[T]) -> tuple[T, ...]:
        """Return `count` different options, in random order."""
        left = list(options)
        return tuple(left.pop(self.below(len(left))) for _ in range(count))


@dataclass(frozen=True, slots=True)
class Position:
    """The place of a row in its split, which decides its level and content."""

    split: SplitName
    number: int
    """The number of the row in the split, from 0."""

    @property
    def level(self) -> str:
        """The level of the row: levels alternate."""
        return LEVELS[self.number % len(LEVELS)]

    @property
    def turn(self) -> int:
        """The number of the row among those of its level, from 0."""
        return self.number // len(LEVELS)

    def content(self, draw: Draw, frame: int, count: int) -> int:
        """Return one of `count` contents that this split may join with the frame."""
        first = (draw.one(CLASSES[self.split]) - frame) % 5
        return draw.one(range(first, count, 5))


def distinct_rows(
    make: Callable[[Draw, Position], Row], text: Callable[[Row], str], core: Callable[[Row], str]
) -> Iterator[tuple[SplitName, Row]]:
    """Generate the rows of all splits, one after another, training rows first.

    A row is drawn again if its text has occurred before, or its core (the part that matters) in another
    split.
    """
    draw = Draw(SEED)
    texts, cores = set[str](), dict[str, SplitName]()
    for position in (Position(split, number) for split, size in SIZES.items() for number in range(size)):
        row = make(draw, position)
        while text(row) in texts or cores.get(core(row), position.split) != position.split:
            row = make(draw, position)
        texts.add(text(row))
        cores[core(row)] = position.split
        yield position.split, row


def by_split(rows: Iterable[tuple[SplitName, Row]]) -> dict[SplitName, tuple[Row, ...]]:
    """Return the rows of each split."""
    splits: dict[SplitName, list[Row]] = {split: [] for split in SIZES}
    for split, row in rows:
        splits[split].append(row)
    return {split: tuple(own) for split, own in splits.items()}
