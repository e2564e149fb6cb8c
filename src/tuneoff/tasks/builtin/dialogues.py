"""The dialogues: plans, changes of plan and small talk, with who does what, when and where as the summary."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Final

from tuneoff.spec import SplitName
from tuneoff.tasks.builtin.activities import ACTIVITIES, DAYS, NAMES, REASONS, Activity
from tuneoff.tasks.builtin.draw import Draw, Position, by_split, distinct_rows
from tuneoff.tasks.builtin.scripts import SCRIPTS, SUMMARIES
from tuneoff.tasks.builtin.turns import EXCHANGES

MAX_TURNS: Final = 9
MAX_WORDS: Final = 120


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A row and its ingredients."""

    dialogue: str
    summary: str
    level: str
    proposed: tuple[str, str, str, str]
    """Activity, day, time and place as they are first named."""
    agreed: tuple[str, str, str, str]
    """Activity, day, time and place of the summary."""
    frame: str


@cache
def dialogue_rows() -> dict[SplitName, tuple[Dialogue, ...]]:
    """Generate the rows of all splits."""
    return by_split(dialogues_in_order())


def dialogues_in_order() -> Iterator[tuple[SplitName, Dialogue]]:
    """Generate rows one after another, as far as they are asked for."""
    return distinct_rows(_dialogue, text=lambda row: row.dialogue, core=lambda row: row.dialogue)


def _dialogue(draw: Draw, position: Position) -> Dialogue:
    scripts = SCRIPTS[position.level]
    frame = position.turn % len(scripts)
    activity = position.content(draw, frame, len(ACTIVITIES))
    facts = _facts(draw, scripts[frame], ACTIVITIES[activity])
    return Dialogue(
        dialogue=_chat(draw, scripts[frame], facts),
        summary=_summary(SUMMARIES[activity % len(SUMMARIES)], scripts[frame], facts),
        level=position.level,
        proposed=(facts["first_do"], facts["first_day"], facts["first_time"], facts["first_place"]),
        agreed=(facts["do"], facts["day"], facts["time"], facts["place"]),
        frame=f"{position.level} {frame}",
    )


def _facts(draw: Draw, script: Sequence[str], activity: Activity) -> dict[str, str]:
    """Choose what the slots of turns and summary stand for."""
    day, other_day, else_day = draw.some(3, DAYS.split())
    early, late = sorted(draw.some(2, range(len(activity.hours))))
    other_activity = draw.one([option for option in ACTIVITIES if option is not activity])
    place, other_place = draw.some(2, activity.places)
    item, other_item = draw.some(2, activity.items)
    names = dict(zip("ABCE", draw.some(4, NAMES.split()), strict=True))
    bringing, other = draw.some(2, "ABC" if "join" in script else "AB")
    reason, other_reason = draw.some(2, REASONS)
    return names | {
        "X": names[bringing],
        "Y": names[other],
        "do": activity.do,
        "doing": activity.doing,
        "first_do": other_activity.do if "propose_other" in script else activity.do,
        "other_do": other_activity.do,
        "other_doing": other_activity.doing,
        "day": day,
        "time": activity.hours[late],
        "place": place,
        "first_day": other_day if _changes(script, "day") else day,
        "first_time": activity.hours[early if _changes(script, "time") else late],
        "first_place": other_place if _changes(script, "place") else place,
        "else_day": else_day,
        "else_time": draw.one(activity.hours),
        "item": item,
        "other_item": other_item,
        "reason": reason,
        "other_reason": other_reason,
    }


def _changes(script: Sequence[str], what: str) -> bool:
    return any(exchange.endswith(f"_changes_{what}") for exchange in script)


def _chat(draw: Draw, script: Sequence[str], facts: Mapping[str, str]) -> str:
    """Return the turns as lines; wordings that give too many turns or words are drawn again."""
    while True:
        turns = _turns(draw, script, facts)
        chat = "\n".join(turns)
        if len(turns) <= MAX_TURNS and len(chat.split()) <= MAX_WORDS:
            return chat


def _turns(draw: Draw, script: Sequence[str], facts: Mapping[str, str]) -> list[str]:
    """Return the turns as `Name: text`; consecutive lines of one person become one turn."""
    said = [line.split(": ", 1) for exchange in script for line in draw.one(EXCHANGES[exchange]).split("\n")]
    spoken = [(facts[role], text.format_map(facts)) for role, text in said]
    return [
        f"{name}: {' '.join(text for _, text in lines)}"
        for name, lines in groupby(spoken, lambda line: line[0])
    ]


def _summary(wording: str, script: Sequence[str], facts: Mapping[str, str]) -> str:
    people = "{A}, {B} and {C}" if "join" in script else "{A} and {B}"
    without = " without {C}" if "decline" in script else ""
    load = "{item} and {Y} {other_item}" if "share" in script else "{item}"
    parts = {"people": people, "without": without, "load": load}
    return wording.format_map({**facts, **{part: text.format_map(facts) for part, text in parts.items()}})
