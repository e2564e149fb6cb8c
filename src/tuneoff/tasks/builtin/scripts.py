"""The scripts of the dialogues, which put exchanges in order, and the wordings of their summaries."""

from collections.abc import Mapping

SCRIPTS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "easy": (
        ("greet", "propose", "accept", "bring", "bye"),
        ("greet", "propose", "accept", "share", "bye"),
        ("greet", "propose_day", "ask_place", "bring", "bye"),
        ("greet", "propose_day", "ask_place", "share", "bye"),
        ("greet", "talk", "propose", "accept", "bring", "bye"),
        ("greet", "talk", "propose", "accept", "share", "bye"),
    ),
    "medium": (
        ("greet", "propose", "b_changes_day", "bring", "bye"),
        ("greet", "propose", "accept", "a_changes_day", "share", "bye"),
        ("greet", "talk", "propose", "b_changes_day", "share", "bye"),
        ("greet", "propose", "accept", "a_changes_time", "bring", "bye"),
        ("greet", "talk", "propose", "b_changes_time", "share", "bye"),
        ("greet", "talk", "propose", "b_changes_place", "bring", "bye"),
        ("greet", "propose_other", "agree", "share", "bye"),
        ("greet", "propose_other", "agree", "bring", "bye"),
    ),
    "hard": (
        ("news", "propose", "b_changes_day", "a_changes_time", "share", "bye"),
        ("news", "propose", "b_changes_day", "a_changes_place", "bring", "bye"),
        ("news", "propose", "b_changes_time", "a_changes_place", "correct", "bye"),
        ("news", "propose", "accept", "a_changes_day", "decline", "bring", "bye"),
        ("news", "propose", "b_changes_place", "join", "correct", "bye"),
        ("news", "propose_other", "agree", "a_changes_day", "correct", "bye"),
        ("news", "propose_other", "agree", "a_changes_time", "share", "bye"),
        ("news", "propose_other", "agree", "a_changes_place", "bring", "bye"),
        ("news", "propose_other", "agree", "join", "correct", "bye"),
        ("news", "propose_other", "agree", "decline", "bring", "bye"),
    ),
}
"""The exchanges of a dialogue in order. At level medium one thing changes; at hard two things change, or
one does and a third person joins or declines, and there is somebody else's plan besides."""

SUMMARIES = (
    # what is brought may go on with "the blanket and Tom the lemonade"
    "{people} will {do}{without} {place} on {day} at {time}. {X} will bring {load}.",
    "On {day} at {time}, {people} plan to {do}{without} {place}. {X} is bringing {load}.",
    "{people} have agreed to {do}{without} {place} on {day} at {time}. {X} brings {load}.",
    "{people} are meeting{without} {place} on {day} at {time} to {do}, and {X} will bring {load}.",
    "{X} will bring {load} when {people} {do}{without} {place} on {day} at {time}.",
    "{people} want to {do}{without} {place} at {time} on {day}, with {X} bringing {load}.",
    "The plan is that {people} {do}{without} {place} at {time} on {day}. {X} will take along {load}.",
)
"""Wordings of the summary; which one is chosen depends on the activity."""
