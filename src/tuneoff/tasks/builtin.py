"""Data sets that tuneoff generates itself, equal on every machine: `reviews` and `dialogues`."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence

from tuneoff.errors import DataError, unknown_name
from tuneoff.spec import SplitName
from tuneoff.tasks.table import Record, Table

SIZES: Mapping[SplitName, int] = {"train": 1200, "validation": 200, "test": 200}

_ASPECTS = {
    "film": "plot, acting, ending, music, script, opening, cast, dialogue",
    "book": "story, style, cover, ending, first chapter, last chapter, hero, translation",
    "restaurant": "soup, service, dessert, wine, bread, menu, view, waiter",
    "hotel": "room, breakfast, pool, bed, lobby, staff, view, shower",
    "concert": "sound, singer, band, stage, first song, encore, drummer, hall",
    "game": "controls, story, music, graphics, final level, tutorial, map, puzzles",
    "phone": "screen, battery, camera, speaker, case, keyboard, price, software",
    "course": "teacher, exercises, slides, exam, pace, examples, homework, group work",
}
_PLURAL = ("exercises", "slides", "examples", "controls", "graphics", "puzzles")
_GOOD = (
    "great lovely superb charming brilliant clever delightful excellent fine impressive pleasant wonderful"
)
_BAD = "dull awful poor clumsy terrible boring dreadful weak annoying disappointing tedious horrible"
_DEGREES = ("", "", "really ", "quite ", "simply ", "truly ")

_NAMES = (
    "Ada Bruno Clara Deniz Emil Farah Greta Hugo Ines Jonas Kira Leo Mira Nils Olga Pavel Rosa Sami Tara Vito"
)
_PLANS = {
    "go bowling": "the shoes",
    "have a picnic": "the blanket",
    "cook dinner": "the vegetables",
    "play tennis": "the rackets",
    "go hiking": "the map",
    "paint the fence": "the brushes",
    "watch the match": "the snacks",
    "bake a cake": "the eggs",
    "repair the bike": "the tools",
    "visit the museum": "the tickets",
    "go swimming": "the towels",
    "play chess": "the board",
}
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday"
_HOURS = ("9", "10", "11", "noon", "2", "3", "4", "5", "6", "7")
_BUSY = (
    "I have to work then",
    "my sister is in town that day",
    "I'm at the dentist's",
    "I promised to babysit",
)


def builtin_tables(name: str) -> dict[SplitName, Table]:
    """The splits of a generated data set.

    Raises:
        DataError: there is none of this name.
    """
    if name not in _BUILTIN:
        raise DataError(f"builtin must name generated data, but got an {unknown_name(name, _BUILTIN)}")
    rows = _distinct(_BUILTIN[name])
    tables: dict[SplitName, Table] = {}
    for split, size in SIZES.items():
        records = tuple(Record(f"row {row}", next(rows)) for row in range(size))
        tables[split] = Table(f"builtin data {name}, split {split}", tuple(records[0].cells), records)
    return tables


class _Draw:
    """Random choices by `random()` alone, the one method whose sequence Python promises to keep."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def one(self, options: Sequence[str]) -> str:
        return options[int(self._random.random() * len(options))]

    def two(self, options: Sequence[str]) -> tuple[str, str]:
        first = self.one(options)
        return first, self.one([option for option in options if option != first])


def _distinct(make: Callable[[_Draw], dict[str, str]]) -> Iterator[dict[str, str]]:
    """Rows that differ in their first column, so that no split shares one with another."""
    draw, seen = _Draw(20_260_101), set[str]()
    while True:
        row = make(draw)
        text = next(iter(row.values()))
        if text not in seen:
            seen.add(text)
            yield row


def _review(draw: _Draw) -> dict[str, str]:
    topic = draw.one(list(_ASPECTS))
    first, second = draw.two(_ASPECTS[topic].split(", "))
    label = draw.one("01")
    other = "0" if label == "1" else "1"
    opinion, against = _clause(draw, second, label), _clause(draw, first, other)
    text = draw.one(
        (
            f"{_clause(draw, first, label)}.",
            f"{_clause(draw, first, label)}, and {opinion}.",
            f"{against}, but {opinion}, and that is what counts.",
            f"although {against}, {opinion}, so I {_verdict(label)} this {topic}.",
            f"{opinion}, even though {against}; all in all I {_verdict(label)} the {topic}.",
            f"what a {_word(draw, label)} {topic}: {opinion}.",
        )
    )
    return {"text": text[0].upper() + text[1:], "label": label}


def _clause(draw: _Draw, aspect: str, label: str) -> str:
    verb = "were" if aspect in _PLURAL else "was"
    word, opposite = _word(draw, label), _word(draw, "0" if label == "1" else "1")
    return draw.one(
        (
            f"the {aspect} {verb} {draw.one(_DEGREES)}{word}",
            f"I found the {aspect} {draw.one(_DEGREES)}{word}",
            f"the {aspect} {verb} not {opposite} at all",
            f"nobody could call the {aspect} {opposite}",
        )
    )


def _word(draw: _Draw, label: str) -> str:
    return draw.one((_GOOD if label == "1" else _BAD).split())


def _verdict(label: str) -> str:
    return "recommend" if label == "1" else "regret"


def _dialogue(draw: _Draw) -> dict[str, str]:
    asking, asked = draw.two(_NAMES.split())
    plan = draw.one(list(_PLANS))
    day, later_day = draw.two(_DAYS.split())
    hour, later_hour = sorted(draw.two(_HOURS), key=_HOURS.index)
    greeting = draw.one((f"Hi {asked}!", f"Hey {asked}, how are you?", f"Hello {asked}, a quick question."))
    offer = draw.one(("Shall we", "Do you want to", "How about it, shall we"))
    turns = [f"{asking}: {greeting} {offer} {plan} on {day}?"]
    proposal = f"{draw.one(('At', 'Is it all right at', 'Let us say'))} {hour}?"
    if draw.chance(0.4):
        turns += [f"{asked}: Sorry, {draw.one(_BUSY)}. {later_day}?", f"{asking}: Fine. {proposal}"]
        day = later_day
    else:
        turns += [
            f"{asked}: {draw.one(('Yes, gladly!', 'Good idea.', 'Sure, why not?'))}",
            f"{asking}: {proposal}",
        ]
    if draw.chance(0.3):
        turns += [f"{asked}: That is too early for me, {later_hour} would be better.", f"{asking}: OK."]
        hour = later_hour
    summary = f"{asking} and {asked} will {plan} on {day} at {hour}"
    if draw.chance(0.5):
        bringing = draw.one((asking, asked))
        turns.append(f"{bringing}: I'll bring {_PLANS[plan]}.")
        summary += f", and {bringing} will bring {_PLANS[plan]}"
    turns.append(f"{asked}: {draw.one(('See you then!', 'Great, see you.', 'Perfect, bye!'))}")
    return {"dialogue": "\n".join(turns), "summary": f"{summary}."}


_BUILTIN: dict[str, Callable[[_Draw], dict[str, str]]] = {"reviews": _review, "dialogues": _dialogue}
