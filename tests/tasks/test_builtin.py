"""The generated data: pinned, balanced, distinct, answerable, and not answerable by copying."""

import re
from collections import Counter
from itertools import combinations, pairwise
from pathlib import Path

import pytest

from helpers.task_specs import LABELS, classification, summarization
from tuneoff.errors import DataError
from tuneoff.spec import BuiltinSource, Task
from tuneoff.tasks import load_task
from tuneoff.tasks.builtin import SIZES, builtin_tables
from tuneoff.tasks.builtin.activities import ACTIVITIES, DAYS, NAMES
from tuneoff.tasks.builtin.dialogues import dialogue_rows
from tuneoff.tasks.builtin.reviews import review_rows
from tuneoff.tasks.builtin.scripts import SUMMARIES

DOCS = Path(__file__).parents[2] / "docs" / "builtin_tasks.md"
TASKS: dict[str, Task] = {
    "reviews": classification(BuiltinSource(builtin="reviews")),
    "dialogues": summarization(BuiltinSource(builtin="dialogues"), prompt="{dialogue}"),
}
PINNED = {
    "reviews": {"train": "3175329edcceb25b", "validation": "57406063d96ab5fd", "test": "cb48910448b300fe"},
    "dialogues": {"train": "9f2c72c1486a2d6b", "validation": "d76aa791507898b4", "test": "8e37b4ad30e1c301"},
}
SUMMARY_WORDS = set(re.findall(r"\w+(?![}\w])", " ".join(SUMMARIES))) | {"without"}
"""Words of the summaries' wordings, which say nothing about the dialogue."""
DOING = {activity.do: activity.doing for activity in ACTIVITIES}


def _cores(name: str) -> list[list[tuple[str, str, str]]]:
    """Return frame, content and what matters of each row, for each split."""
    if name == "reviews":
        return [[(row.frame, row.topic, row.opinion) for row in rows] for rows in review_rows().values()]
    return [[(row.frame, row.agreed[0], row.dialogue) for row in rows] for rows in dialogue_rows().values()]


@pytest.mark.parametrize("name", TASKS)
def test_generated_data_never_changes(name: str) -> None:
    assert {split: digest[:16] for split, digest in load_task(TASKS[name]).digests.items()} == PINNED[name]


@pytest.mark.parametrize("name", TASKS)
def test_every_split_has_its_size_and_the_levels_in_thirds(name: str) -> None:
    assert SIZES == {"train": 6000, "validation": 600, "test": 1000}
    for split, table in builtin_tables(name).items():
        levels = Counter(record.cells["level"] for record in table.records)
        assert sum(levels.values()) == len(table.records) == SIZES[split]
        assert set(levels) == {"easy", "medium", "hard"}
        assert max(levels.values()) - min(levels.values()) <= 1


@pytest.mark.parametrize("name", TASKS)
def test_no_generated_input_occurs_twice_in_or_across_splits(name: str) -> None:
    data = load_task(TASKS[name])
    inputs = [example.source for split in (data.train, data.validation, data.test) for example in split]
    assert len(set(inputs)) == len(inputs) == sum(SIZES.values())


@pytest.mark.parametrize("name", TASKS)
def test_splits_share_all_frames_and_contents_but_no_combination(name: str) -> None:
    splits = [[(frame, content) for frame, content, _ in rows] for rows in _cores(name)]
    for column in (0, 1):
        first, *others = ({pair[column] for pair in split} for split in splits)
        assert all(other == first for other in others)
    assert all(set(one).isdisjoint(other) for one, other in combinations(splits, 2))


@pytest.mark.parametrize("name", TASKS)
def test_no_opinion_or_dialogue_occurs_in_two_splits(name: str) -> None:
    splits = [{core for *_, core in rows} for rows in _cores(name)]
    assert all(one.isdisjoint(other) for one, other in combinations(splits, 2))


def test_both_labels_are_equally_frequent_at_every_level() -> None:
    for rows in review_rows().values():
        for level in ("easy", "medium", "hard"):
            labels = Counter(row.label for row in rows if row.level == level)
            assert abs(labels[0] - labels[1]) <= 1


def test_two_in_a_hundred_training_labels_are_wrong_and_no_others() -> None:
    wrong = {
        split: [row for row in rows if row.label != row.sentiment] for split, rows in review_rows().items()
    }
    assert {split: len(rows) for split, rows in wrong.items()} == {"train": 120, "validation": 0, "test": 0}
    assert set(Counter((row.level, row.label) for row in wrong["train"]).values()) == {20}


def test_no_frame_gives_the_label_away() -> None:
    uses = Counter((row.frame, row.sentiment) for row in review_rows()["train"])
    for frame, sentiment in uses:
        assert abs(uses[frame, sentiment] - uses[frame, 1 - sentiment]) <= 1


def test_no_word_gives_the_label_away_beyond_the_easy_level() -> None:
    rows = [row for row in review_rows()["train"] if row.level != "easy"]
    seen = {label: Counter[str]() for label in (0, 1)}
    for row in rows:
        seen[row.sentiment].update(set(re.findall(r"\w+", row.text.lower())))
    total = seen[0] + seen[1]
    telling = {word: seen[1][word] / total[word] for word in total if total[word] >= 60}
    assert len(telling) > 100
    assert {word: share for word, share in telling.items() if not 0.3 <= share <= 0.7} == {}


def test_reviews_are_short() -> None:
    lengths = [len(row.text.split()) for rows in review_rows().values() for row in rows]
    assert 18 <= sorted(lengths)[len(lengths) // 2] <= 24
    assert max(lengths) <= 45


def test_every_text_is_written_out() -> None:
    for rows in review_rows().values():
        for row in rows:
            assert re.fullmatch(r"[A-Z][^{}]*\.", row.text)
            assert not re.search(r"\b[Aa] (?:[aeio]|un)|\b[Aa]n (?!hour)[^aeiou]|  | ,|\. [a-z]", row.text)
    for chats in dialogue_rows().values():
        for chat in chats:
            assert "{" not in chat.dialogue + chat.summary
            assert re.fullmatch(r"([A-Z][a-z]+: [A-Z0-9].*[.!?]\n?)+", chat.dialogue)
            assert re.fullmatch(r"[A-Z].*\.", chat.summary)
            assert not re.search(r"[.!?] [a-z]|  | [,.]", chat.dialogue + chat.summary)


def test_dialogues_have_four_to_nine_turns_by_two_or_three_people() -> None:
    for rows in dialogue_rows().values():
        for row in rows:
            speakers = [turn.split(": ")[0] for turn in row.dialogue.split("\n")]
            assert 4 <= len(speakers) <= 9
            assert len(set(speakers)) in (2, 3)
            assert set(speakers) <= set(NAMES.split())
            assert all(one != following for one, following in pairwise(speakers))
            assert len(row.dialogue.split()) <= 120
            assert 12 <= len(row.summary.split()) <= 30


def test_what_a_summary_says_stands_in_its_dialogue() -> None:
    for rows in dialogue_rows().values():
        for row in rows:
            activity = row.agreed[0]
            assert activity in row.dialogue or DOING[activity] in row.dialogue
            said, claimed = _words(row.dialogue), _words(row.summary.replace(activity, ""))
            assert claimed - SUMMARY_WORDS <= said


def test_a_summary_names_what_the_people_agreed_on_and_nothing_else() -> None:
    for rows in dialogue_rows().values():
        for row in rows:
            activity, day, time, place = row.agreed
            assert [word for word in DAYS.split() if word in row.summary] == [day]
            assert re.findall(r"at (\d+(?::30)?|noon)\b", row.summary) == [time]
            assert activity in row.summary
            assert place in row.summary and place in row.dialogue


def test_the_first_proposal_holds_at_the_easy_level_only() -> None:
    for split, rows in dialogue_rows().items():
        changed = Counter(row.level for row in rows if row.proposed != row.agreed)
        levels = Counter(row.level for row in rows)
        assert changed == {level: levels[level] for level in ("medium", "hard")}, split


def test_what_was_proposed_and_dropped_stands_in_the_dialogue_but_not_in_the_summary() -> None:
    for row in dialogue_rows()["test"]:
        day, time, place = row.proposed[1:]
        assert day in row.dialogue and re.search(rf"\b{time}\b", row.dialogue) and place in row.dialogue
        dropped = [old for old, new in zip(row.proposed, row.agreed, strict=True) if old != new]
        for old in dropped:
            assert not re.search(rf"\b{old}\b(?!:)", row.summary)


def test_summaries_come_in_at_least_six_wordings() -> None:
    wordings = Counter[tuple[str, ...]]()
    for row in dialogue_rows()["test"]:
        text = row.summary
        for fact in row.agreed:
            text = text.replace(fact, "")
        wordings[
            tuple(
                word for word in re.findall(r"\w+", text) if word in SUMMARY_WORDS - {"and", "the", "without"}
            )
        ] += 1
    assert len(wordings) >= 6
    assert min(wordings.values()) > 50


def test_the_examples_in_the_docs_are_rows_of_the_test_splits() -> None:
    docs = DOCS.read_text(encoding="utf-8")
    reviews = {(row.level, LABELS[str(row.label)], row.text) for row in review_rows()["test"]}
    told = re.findall(r"^\| (easy|medium|hard) \| (\w+) \| (.*) \|$", docs, re.MULTILINE)
    assert len(told) == 6
    assert set(told) <= reviews
    dialogues = {(row.dialogue, row.summary) for row in dialogue_rows()["test"]}
    chats = re.findall(r"```\n((?:\w+: .*\n)+)```\n> (.*)", docs)
    assert len(chats) == 6
    assert {(chat.rstrip("\n"), summary) for chat, summary in chats} <= dialogues


def test_an_unknown_name_gets_near_matches() -> None:
    with pytest.raises(DataError, match=r"there is no builtin data set 'review'; did you mean 'reviews'\?"):
        load_task(classification(BuiltinSource(builtin="review")))


def _words(text: str) -> set[str]:
    """Split a text into words and times; a colon before a space only ends a speaker's name."""
    return set(re.findall(r"[\w'-]+(?::\d+)?", text))
