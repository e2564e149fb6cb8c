"""What a language model writes for the bundled base: how it is drawn, filtered, retold and kept."""

import itertools
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch

import generate
from chats import MEN, TO_RETELL, WOMEN
from corpus import Corpus, balanced
from corpus import generated as corpus_of_generated
from filters import Known, clean, echoes, letters, loops, strangers
from generate import builtin_texts, whole_batches
from prompts import BAD, EVENTS, GOOD
from retelling import retold
from sampling import Sampler, Sampling
from tuneoff.spec import ModelSpec
from tuneoff.training import load_backbone
from writing import REVIEWS_PER_BATCH, Judge, joined, write_chats, write_reviews

GREEDY = Sampling(temperature=1.0, top_p=1.0, top_k=1, longest=12)


class FakeWriter:
    """Writes sentences of invented words that begin with z, a pure function of its arguments."""

    name = "fake"

    def __init__(self, line: Callable[[random.Random], str] | None = None) -> None:
        self.written = 0
        self._line = line or self._sentence

    def lines(
        self, prefix: str, rows: Sequence[Sequence[str]], how: Sampling, seed: int
    ) -> list[list[str] | None]:
        draw = random.Random(f"{prefix} {how} {seed}")
        found = [[self._line(draw) for _ in parts] for parts in rows]
        self.written += sum(map(len, found))
        return [*found]

    def preferences(self, prefix: str, rows: Sequence[str], one: str, other: str) -> list[float]:
        return [good_or_bad(row) + random.Random(row).random() for row in rows]

    @staticmethod
    def _sentence(draw: random.Random) -> str:
        return f" painted {invented(draw)} {draw.choice(('good', 'bad'))} {invented(draw)} {invented(draw)}."


def invented(draw: random.Random) -> str:
    return "z" + "".join(draw.choice("bdfglmnprt") + draw.choice("aeiou") for _ in range(3))


def good_or_bad(text: str) -> float:
    return 1.0 if "good" in text else -1.0


def judge(rating: Callable[[str], float] = lambda text: 0.0, frames: Sequence[str] = ()) -> Judge:
    return Judge(rating, frozenset(), Known(3, 0.5, frames))


def after(batches: int) -> Callable[[], bool]:
    """Return a clock by which it is time to stop after so many batches."""
    left: Iterator[bool] = iter([False] * batches)
    return lambda: next(left, True)


def generated(path: Path, batches: int) -> str:
    """Write so many batches more; return the whole file."""
    generate.generate(path, FakeWriter(), judge(good_or_bad), seed=0, is_over=after(batches))
    return path.read_text("utf-8")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the file of three batches, without an end between them."""
    return generated(tmp_path_factory.mktemp("unbroken") / "generated.jsonl", 3)


@pytest.mark.slow
def test_a_file_has_rows_of_every_kind_and_a_line_at_the_end_of_each_batch(unbroken: str) -> None:
    rows = [json.loads(line) for line in unbroken.splitlines()]
    assert {row["kind"] for row in rows} == {"event", "chat", "review", "batch"}
    assert [row["batch"] for row in rows if row["kind"] == "batch"] == [0, 1, 2]
    assert [row["batch"] for row in rows] == sorted(row["batch"] for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("lines_left", [-1, 0, 0.5, 3])
def test_a_run_that_was_stopped_goes_on_to_the_file_of_an_unbroken_one(
    tmp_path: Path, unbroken: str, lines_left: float
) -> None:
    lines = unbroken.splitlines(keepends=True)
    first_end = next(n for n, line in enumerate(lines, 1) if json.loads(line)["kind"] == "batch")
    whole = int(first_end + lines_left)
    part = lines[whole][:20] if lines_left == 0.5 else ""
    stopped = tmp_path / "generated.jsonl"
    stopped.write_text("".join(lines[:whole]) + part, "utf-8")
    assert generated(stopped, 3 if lines_left < 0 else 2) == unbroken


def test_rows_before_a_file_ends_within_its_first_batch_are_none(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"kind": "event", "lines": ["He ran."]}\n', "utf-8")
    assert whole_batches(tmp_path / "rows.jsonl") == []
    assert whole_batches(tmp_path / "none.jsonl") == []


def test_chats_have_the_turns_and_names_of_their_scene_and_a_summary_of_them() -> None:
    chats = [
        row for row in write_chats(FakeWriter(), judge(), random.Random(0)).kept if row["kind"] == "chat"
    ]
    assert len(chats) > 20
    for row in chats:
        names, lines = row["names"], row["lines"]
        assert 3 <= len(lines) == len(names) <= 12
        assert 2 <= len(set(names)) <= 4
        assert all(name in row["scene"] for name in names)
        told = [word.strip(".,") for word in row["summary"].split() if word[0].isupper()]
        assert set(told) <= {*names, "He", "She"}
        content = re.findall(r"\bz\w+", row["summary"])
        assert content
        assert set(content) <= set(re.findall(r"\bz\w+", " ".join(lines)))


def test_a_chat_ends_before_a_turn_that_names_a_stranger() -> None:
    def line(draw: random.Random) -> str:
        return " Ask Zoe about it." if draw.random() < 0.3 else FakeWriter._sentence(draw)

    rows = write_chats(FakeWriter(line), judge(), random.Random(0)).kept
    chats = [row for row in rows if row["kind"] == "chat" and "Zoe" not in row["names"]]
    assert chats
    assert not any("Zoe" in said for row in chats for said in row["lines"])


def test_reviews_are_kept_where_prompt_rating_and_model_agree() -> None:
    # labels alternate: all four combinations of what rating and model go by occur equally often with each
    words = itertools.cycle(itertools.product(("nice", "poor"), ("good", "bad"), ("", "")))

    def line(draw: random.Random) -> str:
        return f" {invented(draw)} {invented(draw)} {' '.join(next(words))} {invented(draw)}."

    batch = write_reviews(
        FakeWriter(line), judge(lambda text: 1.0 if "nice" in text else -1.0), random.Random(0)
    )
    found = {
        (row["label"], *re.findall(r"\b(?:nice|poor|good|bad)\b", row["lines"][0])) for row in batch.kept
    }
    assert found == {("positive", "nice", "good"), ("negative", "poor", "bad")}
    assert batch.dropped["review: VADER disagrees"] == REVIEWS_PER_BATCH // 2
    assert batch.dropped["review: SmolLM2 disagrees"] == REVIEWS_PER_BATCH // 4


@pytest.fixture(scope="module")
def frames() -> set[str]:
    return builtin_texts()


@pytest.mark.slow
def test_no_text_of_the_builtin_tasks_passes(frames: set[str]) -> None:
    known = judge(frames=sorted(frames))
    longer = sorted(text for text in frames if len(text.split()) > 3)
    assert len(longer) > 10_000
    for text in random.Random(0).sample(longer, 500):
        assert known.unwanted([text]) == "like a builtin task"
        words = text.split()
        assert (
            known.unwanted([" ".join(["Well,", *words, "then"])]) == "like a builtin task" or len(words) < 6
        )


@pytest.mark.slow
def test_examples_in_the_prompts_are_none_of_the_builtin_tasks(frames: set[str]) -> None:
    known = judge(frames=sorted(frames))
    texts = [text for *_, text in (*EVENTS, *GOOD, *BAD)]
    assert [known.unwanted([text]) for text in texts] == [None] * len(texts)


def test_evaluation_sentences_are_left_out_whatever_their_spacing() -> None:
    one = Judge(lambda text: 0.0, frozenset({letters("a fine , quiet film .")}), Known(3, 0.5))
    assert one.unwanted(["A fine, quiet film."]) == "excluded"
    assert one.unwanted(["A fine, quiet film indeed."]) is None


def test_near_copies_of_kept_rows_are_unwanted() -> None:
    one = judge()
    one.before.add("She lost her old keys on the way to the station yesterday.")
    assert one.unwanted(["She lost her old keys on the way to the station again."]) == "near-copy"
    assert one.unwanted(["SHE lost her old keys, on the way to the station, yesterday!"]) == "near-copy"
    assert one.unwanted(["She lost her patience with the people at the station."]) is None


def test_generated_rows_become_chats_with_summaries_turns_and_rated_reviews(tmp_path: Path) -> None:
    rows = [
        {"kind": "event", "lines": ["He lost his keys."]},
        {
            "kind": "chat",
            "names": ["Ben", "Anna"],
            "lines": ["I lost my keys. I'll call Anna.", "Oh no!"],
            "summary": "Ben lost his keys. He will call Anna.",
        },
        {"kind": "review", "lines": ["A fine film."], "label": "positive"},
        {"kind": "batch"},
    ]
    (tmp_path / "generated.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    corpus = Corpus()
    corpus_of_generated(tmp_path / "generated.jsonl", corpus)
    said = "I lost my keys. I'll call Anna."
    assert corpus.chats == [[("Ben", said), ("Anna", "Oh no!")]]
    (task, source, target), asked = corpus.pairs
    assert (task, target) == ("summary", "Ben lost his keys. He will call Anna.")
    assert source.removesuffix(f"Ben: {said} Anna: Oh no!") in TO_RETELL
    assert asked == ("asked", f"who lost his keys? Ben: {said} Anna: Oh no!", "Ben")
    assert corpus.turns == ["He lost his keys.", said, "Oh no!"]
    assert corpus.rated == [("A fine film.", "positive")]
    assert len(corpus.texts) == 3


def test_labels_are_balanced_by_leaving_out_what_is_too_much() -> None:
    rows = [(f"good {n}", "positive") for n in range(5)] + [("bad 0", "negative"), ("bad 1", "negative")]
    found = balanced(rows)
    assert set(found) <= set(rows)
    assert [label for _, label in found] == ["positive"] * 2 + ["negative"] * 2


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (" I\u2019m late \u2013 sorry! ", "I'm late - sorry!"),
        ("Really?", None),
        ("I love it \U0001f600", None),
        ("**Bold** words are here", None),
        ("I am SmolLM, an AI assistant.", None),
        ("Call 5551234 and ask.", None),
        ("It is it is it is a dog.", None),
        ("What is b about?", None),
        ("Anna: I am late", None),
        ("It's 20 euros, I think.", "It's 20 euros, I think."),
    ],
)
def test_a_line_is_clean_if_somebody_could_have_typed_it(line: str, kept: str | None) -> None:
    assert clean(line) == kept


def test_loops_are_words_that_come_again_and_again() -> None:
    assert loops("I'm happy, I'm happy, I'm happy.")
    assert loops("no no, not that")
    assert loops("a story about a story in a story")
    assert not loops("I took the bus to the market and the train to the lake.")


def test_a_line_names_nobody_but_the_others() -> None:
    assert strangers("Thanks, Anna!", "Anna", ["Anna", "Ben"])
    assert strangers("Ask Tom.", "Anna", ["Anna", "Ben"])
    assert not strangers("Thanks, Ben! See you on Monday.", "Anna", ["Anna", "Ben"])


def test_an_echo_says_an_earlier_line_again() -> None:
    earlier = ["I'll take care of it.", "Great!"]
    assert echoes("Yes, I'll take care of it.", earlier)
    assert echoes("great", earlier)
    assert not echoes("I'll ask my brother about it.", earlier)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Oh no, I'll bring you my ladder tomorrow.", "Anna will bring Ben her ladder tomorrow."),
        ("I've never been to your garden.", "Anna has never been to Ben's garden."),
        ("Wow! I really want a dog too.", "Anna really wants a dog too."),
        ("I don't have time for a walk.", "Anna doesn't have time for a walk."),
        ("I am going to see my sister.", "Anna is going to see her sister."),
        ("How are you? I lost my keys on the bus.", "Anna lost her keys on the bus."),
        ("I'm so sorry about your dog.", None),
        ("I hope you like my cake.", None),
        ("I'll ask them about it later.", None),
        ("Can I bring my brother along?", None),
        ("You lost my keys on the bus.", None),
        ("I know the way to the station.", None),
        ("I'll go.", None),
    ],
)
def test_a_turn_is_told_of_its_speaker_or_not_at_all(said: str, told: str | None) -> None:
    assert retold(said, "Anna", "Ben") == told


def test_nobody_is_you_in_a_group() -> None:
    assert retold("I'll bring you my ladder tomorrow.", "Anna", None) is None
    assert retold("I'll bring my ladder tomorrow.", "Anna", None) == "Anna will bring her ladder tomorrow."


def test_men_are_he() -> None:
    assert retold("I'll call my boss about myself.", "Ben", "Anna") == "Ben will call his boss about himself."


def test_a_name_that_would_follow_itself_is_a_pronoun() -> None:
    told = [("Anna", "Anna is late."), ("Anna", "Anna lost her keys."), ("Ben", "Ben waits for Anna.")]
    assert joined(told) == "Anna is late. She lost her keys. Ben waits for Anna."
    assert "Anna" in WOMEN
    assert "Ben" in MEN


@pytest.fixture(scope="module")
def sampler() -> Sampler:
    base = load_backbone(ModelSpec(id="builtin:random-llama"))
    sampler = Sampler(base.model, base.tokenizer, "random")
    sampler.ends = frozenset(range(0, len(base.tokenizer), 4))  # the model is random, and lines should end
    return sampler


ROWS = [["the dog", " ran home", " again"], ["a"], ["one two three four five", " six"]]


@pytest.mark.slow
def test_lines_are_those_of_a_model_that_reads_everything_again_for_each_token(sampler: Sampler) -> None:
    def read(ids: list[int]) -> torch.Tensor:
        with torch.no_grad():
            return sampler.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]

    def slowly(prefix: str, parts: list[str]) -> list[str] | None:
        tokens = sampler.tokenizer
        ids, lines = tokens(prefix, add_special_tokens=False).input_ids, []
        for part in parts:
            ids = ids + tokens(part, add_special_tokens=False).input_ids
            line: list[int] = []
            while (token := int(read(ids).argmax())) not in sampler.ends:
                line.append(token)
                ids = [*ids, token]
                if len(line) > GREEDY.longest:
                    return None
            lines.append(tokens.decode(line))
        return lines

    expected = [slowly("they said", row) for row in ROWS]
    assert sampler.lines("they said", ROWS, GREEDY, seed=0) == expected
    assert any(expected)


@pytest.mark.slow
def test_equal_seeds_give_equal_lines(sampler: Sampler) -> None:
    how = Sampling(temperature=1.0, top_p=0.95, longest=30)
    once = sampler.lines("they said", ROWS, how, seed=1)
    assert sampler.lines("they said", ROWS, how, seed=1) == once
    assert sampler.lines("they said", ROWS, how, seed=2) != once


@pytest.mark.slow
def test_preferences_do_not_depend_on_the_batch(sampler: Sampler) -> None:
    rows = [row[0] for row in ROWS]
    together = sampler.preferences("they said", rows, " a", " b")
    alone = [sampler.preferences("they said", [row], " a", " b")[0] for row in rows]
    assert together == pytest.approx(alone, abs=1e-4)
