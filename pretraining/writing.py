"""What a batch of generated rows is made of: events, chats around them, and reviews."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Protocol

from chats import WOMEN, Statement, Turn, statement
from filters import Known, clean, echoes, letters, strangers
from prompts import (
    CHAT_PREFIX,
    TOPICS,
    ReviewPrompt,
    event_prefix,
    event_prompts,
    opinion_prefix,
    review_prefix,
    review_prompt,
    scene,
    speakers,
)
from retelling import retold
from sampling import Sampling

EVENT_SAMPLING = Sampling(temperature=0.9, top_p=0.9)
CHAT_SAMPLING = Sampling(temperature=0.8, top_p=0.9, presence=1.0)
REVIEW_SAMPLING = Sampling(temperature=1.0, top_p=0.95, presence=0.5)
TOPICS_PER_BATCH, EVENTS_PER_TOPIC, REVIEWS_PER_BATCH = 40, 8, 320
LENGTHS = (4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 12)
"""Turns that a chat is drawn to have."""
FEWEST_TURNS, MOST_WORDS = 3, 130
MOST_SENTENCES = 3
"""Of a summary."""
CLEAR = 0.3
"""VADER's compound rating, from -1 to 1, beyond which it has an opinion about a review."""

Row = dict[str, object]


class Writer(Protocol):
    """What is asked of a language model; `sampling.Sampler` is one."""

    name: str
    """The model, its precision and its threads, to be recorded."""
    written: int
    """Tokens so far."""

    def lines(
        self, prefix: str, rows: Sequence[Sequence[str]], how: Sampling, seed: int
    ) -> list[list[str] | None]:
        """Return what is written after each part of each row."""
        ...

    def preferences(self, prefix: str, rows: Sequence[str], one: str, other: str) -> list[float]:
        """Return by how much one continuation of each row is likelier than the other, in nats."""
        ...


@dataclass
class Judge:
    """What decides about a text beside its form: opinions, evaluation sentences, texts that are known."""

    rating: Callable[[str], float]
    """From -1 (negative) to 1 (positive)."""
    excluded: frozenset[str]
    """Letters of evaluation sentences."""
    frames: Known
    """The texts of the builtin tasks."""
    before: Known = field(default_factory=lambda: Known(size=4, share=0.5))
    """The rows that were kept before."""

    def unwanted(self, lines: Sequence[str]) -> str | None:
        """Return why a row of these lines is not kept, or None."""
        if any(letters(line) in self.excluded for line in lines):
            return "excluded"
        if any(len(line.split()) > 3 and self.frames.has(line) for line in lines):
            return "like a builtin task"
        return "near-copy" if self.before.has(" ".join(lines)) else None


@dataclass
class Batch:
    """Rows that are kept, and how many are not, for which reason."""

    judge: Judge
    kept: list[Row] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    prompts: dict[str, str] = field(default_factory=dict)
    """What all prompts of a kind begin with."""

    def keep(self, kind: str, lines: Sequence[str], **values: object) -> bool:
        """Keep a row unless its lines are unwanted; return whether it was kept."""
        reason = self.judge.unwanted(lines)
        if reason:
            self.dropped[f"{kind}: {reason}"] += 1
            return False
        self.judge.before.add(" ".join(lines))
        self.kept.append({"kind": kind, "lines": list(lines), **values})
        return True


def write_chats(writer: Writer, judge: Judge, draw: random.Random) -> Batch:
    """Write events, and around them chats with a summary that tells them in the third person."""
    batch = Batch(judge, prompts={"chat": CHAT_PREFIX})
    drafts = [_Draft.drawn(told, draw) for told in _grouped(_events(writer, batch, draw), draw)]
    written = writer.lines(
        CHAT_PREFIX, [draft.parts() for draft in drafts], CHAT_SAMPLING, draw.getrandbits(32)
    )
    for draft, lines in zip(drafts, written, strict=True):
        chat = draft.filled(lines)
        if len(chat) < FEWEST_TURNS:
            batch.dropped["chat: few turns of good form"] += 1
            continue
        batch.keep(
            "chat",
            [said for _, said in chat],
            scene=draft.scene,
            names=[name for name, _ in chat],
            summary=draft.summary(chat),
        )
    return batch


def write_reviews(writer: Writer, judge: Judge, draw: random.Random) -> Batch:
    """Write reviews about whose polarity prompt, VADER's rules and SmolLM2's likelihoods agree."""
    prefix = review_prefix(draw)
    batch = Batch(judge, prompts={"review": prefix, "opinion": opinion_prefix(draw)})
    labels = ("positive", "negative") * (REVIEWS_PER_BATCH // 2)
    prompts = [review_prompt(draw, label) for label in labels]
    written = writer.lines(
        prefix, [[prompt.text] for prompt in prompts], REVIEW_SAMPLING, draw.getrandbits(32)
    )
    found: list[tuple[ReviewPrompt, str]] = []
    for prompt, lines in zip(prompts, written, strict=True):
        text = lines and clean(f"{prompt.opening}{lines[0]}", fewest=4)
        if not text:
            batch.dropped["review: form"] += 1
        elif judge.rating(text) * prompt.sign < CLEAR:
            batch.dropped["review: VADER disagrees"] += 1
        else:
            found.append((prompt, text))
    liked = writer.preferences(
        batch.prompts["opinion"],
        [f"Review: {text}\nSentiment:" for _, text in found],
        " positive",
        " negative",
    )
    middle = median(liked) if liked else 0.0  # a model prefers one label whatever the review
    for (prompt, text), preference in zip(found, liked, strict=True):
        if (preference - middle) * prompt.sign <= 0:
            batch.dropped["review: SmolLM2 disagrees"] += 1
        else:
            batch.keep("review", [text], **vars(prompt))
    return batch


def _events(writer: Writer, batch: Batch, draw: random.Random) -> dict[str, list[Statement]]:
    """Write events; return what can be told in the first person, by topic."""
    batch.prompts["event"] = prefix = event_prefix(draw)
    topics = draw.sample(TOPICS, TOPICS_PER_BATCH)
    prompts = [prompt for topic in topics for prompt in event_prompts(draw, topic, EVENTS_PER_TOPIC)]
    written = writer.lines(
        prefix, [[prompt.text] for prompt in prompts], EVENT_SAMPLING, draw.getrandbits(32)
    )
    found: dict[str, list[Statement]] = {}
    for prompt, lines in zip(prompts, written, strict=True):
        # the model may also write "won" on to "won't"
        text = clean(f"{prompt.opening}{lines[0]}", fewest=5, most=20) if lines else None
        if not text or not text.startswith(f"{prompt.opening} "):
            batch.dropped["event: form"] += 1
        elif batch.keep("event", [text], topic=prompt.topic, opening=prompt.opening) and (
            told := statement(text)
        ):
            found.setdefault(prompt.topic, []).append(told)
    return found


def _grouped(events: Mapping[str, list[Statement]], draw: random.Random) -> Iterator[list[Statement]]:
    """Yield one or two events of a topic each, every event once."""
    for statements in events.values():
        left = draw.sample(statements, len(statements))
        while left:
            size = draw.choice((1, 2))
            yield left[:size]
            left = left[size:]


@dataclass(frozen=True)
class _Draft:
    """A chat some turns of which are given, for the model to write the others."""

    scene: str
    order: list[str]
    """Who speaks, turn by turn."""
    told: dict[int, Statement]
    """By the number of the turn."""

    @staticmethod
    def drawn(statements: Sequence[Statement], draw: random.Random) -> "_Draft":
        """Draw names and places for one or two statements; the last turn is the model's."""
        names, count = speakers(draw), draw.choice(LENGTHS)
        order = [draw.choice(names)]
        while len(order) < count:
            order.append(draw.choice([name for name in names if name != order[-1]]))
        places = [draw.choice((0, 0, 1)), draw.randrange(2, count - 1)]
        return _Draft(scene(draw, names), order, dict(zip(places, statements, strict=False)))

    def parts(self) -> list[str]:
        """Return what is given before each turn of the model."""
        parts, given = [], f" {self.scene}\n"
        for number, name in enumerate(self.order):
            given += f"\n{name}:"
            if number in self.told:
                given += f" {self.told[number].said}."
            else:
                parts.append(given)
                given = ""
        return parts

    def filled(self, lines: Sequence[str] | None) -> list[Turn]:
        """Return the chat with the model's lines, up to the first that is not of good form."""
        chat: list[Turn] = []
        left = iter(lines or ())
        for number, name in enumerate(self.order):
            if number in self.told:
                said = f"{self.told[number].said}."
            else:
                said = clean(next(left, ""), fewest=1) or ""
            earlier = [other for _, other in chat]
            words = sum(len(line.split()) for line in [*earlier, said])
            if not said or words > MOST_WORDS or strangers(said, name, self.order) or echoes(said, earlier):
                break
            chat.append((name, said))
        return chat

    def summary(self, chat: Sequence[Turn]) -> str:
        """Tell the statements, and what else can be told by rule, in the third person."""
        sentences: list[Turn] = []
        for number, (name, said) in enumerate(chat):
            if number in self.told:
                sentence = f"{self.told[number].told(name)}."
            else:
                others = set(self.order) - {name}
                sentence = retold(said, name, others.pop() if len(others) == 1 else None) or ""
            if sentence:
                sentences.append((name, sentence))
        return joined(sentences[:MOST_SENTENCES])


def joined(sentences: Sequence[Turn]) -> str:
    """Join sentences that begin with a name, with a pronoun where it would follow itself."""
    told = []
    for number, (name, sentence) in enumerate(sentences):
        if number and sentences[number - 1][0] == name:
            sentence = sentence.replace(name, "She" if name in WOMEN else "He", 1)
        told.append(sentence)
    return " ".join(told)
