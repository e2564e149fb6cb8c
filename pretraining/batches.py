"""Endless training batches, a pure function of (seed, pool number), so that training continues exactly."""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from chats import Chats

FIRST_SHARES = {
    "span": 0.10,
    "copy": 0.06,
    "order": 0.02,
    "gap": 0.08,
    "first": 0.03,
    "synopsis": 0.14,
    "define": 0.04,
    "word": 0.04,
    "polarity": 0.10,
    "rated": 0.04,
    "who": 0.03,
    "asked": 0.02,
    "says": 0.08,
    "last": 0.04,
    "speakers": 0.04,
    "retell": 0.06,
    "summary": 0.08,
}
SECOND_SHARES = {
    "span": 0.06,
    "copy": 0.03,
    "gap": 0.06,
    "first": 0.02,
    "synopsis": 0.12,
    "define": 0.03,
    "word": 0.03,
    "polarity": 0.08,
    "rated": 0.20,
    "who": 0.02,
    "asked": 0.02,
    "says": 0.06,
    "last": 0.03,
    "speakers": 0.03,
    "retell": 0.07,
    "summary": 0.14,
}
"""More of what the first stage had least of: whole sentences with a sentiment, and chats retold."""
ASKED = (
    "does this sound positive or negative: {}",
    "is the sentiment positive or negative? {}",
    "positive or negative? {}",
    "{} is that positive or negative?",
)
POOL = 1024
"""Rows drawn together, sorted by length and cut into batches: short rows meet short rows."""
NEAR = 12
"""Tokens by which answers may differ in length before their rows are parted."""


@dataclass(frozen=True)
class Batch:
    """Right-padded rows; labels are -100 and ids 0 where there is nothing."""

    source: torch.Tensor  # [B, S]
    labels: torch.Tensor  # [B, T]
    clean: torch.Tensor
    """[B]: no sentinel in the source, so that the teacher can read it."""


class Mixture:
    """Draws rows of every task in its share."""

    def __init__(
        self, work: Path, tokenizer: PreTrainedTokenizerFast, seed: int, shares: Mapping[str, float]
    ) -> None:
        self.tokenizer, self.seed, self.shares = tokenizer, seed, shares
        self.texts = _rows(work / "texts.jsonl")
        self.long = [text for text in self.texts if len(text) > 2]
        self.pairs: dict[str, list[tuple[str, str]]] = {}
        for task, source, target in _rows(work / "pairs.jsonl"):
            self.pairs.setdefault(task, []).append((source, target))
        self.rated = _rows(work / "rated.jsonl")
        self.chats = Chats(_rows(work / "chats.jsonl"), _rows(work / "turns.jsonl"))
        self.sentinels = [tokenizer.convert_tokens_to_ids(f"<extra_id_{i}>") for i in range(32)]

    def pool(self, number: int, tokens: int) -> list[Batch]:
        """Return the batches of one pool, at most `tokens` padded tokens each, in random order."""
        draw = random.Random(f"{self.seed}-{number}")
        tasks = draw.choices(list(self.shares), self.shares.values(), k=POOL)
        rows = [self._row(task, draw) for task in tasks]
        rows.sort(key=lambda row: (len(row[1]) // NEAR, len(row[0])))
        batches = [_padded(group) for group in _cut(rows, tokens)]
        draw.shuffle(batches)
        return batches

    def _row(self, task: str, draw: random.Random) -> tuple[list[int], list[int], bool]:
        if task == "span":
            ids = self._ids(" ".join(draw.choice(self.texts)), 160)
            return (*self._corrupt(ids, draw), False)
        source, target = self.pair(task, draw)
        return self._ids(source, 192), self._ids(target, 64), "<extra_id_" not in source

    def pair(self, task: str, draw: random.Random) -> tuple[str, str]:
        """Draw source and target of any task but span corruption."""
        if task in self.pairs:
            return draw.choice(self.pairs[task])
        made = {
            "copy": self._copy,
            "order": self._order,
            "gap": self._gap,
            "first": self._first,
            "rated": self._rated,
        }
        return made[task](draw) if task in made else getattr(self.chats, task)(draw)

    def _ids(self, text: str, longest: int) -> list[int]:
        return self.tokenizer(text, truncation=True, max_length=longest).input_ids

    def _corrupt(self, ids: list[int], draw: random.Random) -> tuple[list[int], list[int]]:
        """Apply T5's span corruption: 15% of the tokens, in spans of 3 on average."""
        body, end = ids[:-1], ids[-1]
        count = max(1, min(round(len(body) * 0.15 / 3), len(self.sentinels)))
        starts = sorted(draw.sample(range(len(body)), min(count, len(body))))
        source, target, at = [], [], 0
        for sentinel, start in zip(self.sentinels, starts, strict=False):
            if start < at:
                continue
            stop = min(start + draw.randint(1, 5), len(body))
            source += [*body[at:start], sentinel]
            target += [sentinel, *body[start:stop]]
            at = stop
        return [*source, *body[at:], end], [*target, end]

    def _copy(self, draw: random.Random) -> tuple[str, str]:
        sentence = draw.choice(draw.choice(self.texts))
        return f"repeat this: {sentence}", sentence

    def _order(self, draw: random.Random) -> tuple[str, str]:
        sentence = " ".join(draw.choice(draw.choice(self.texts)).split()[:12])
        words = sentence.split()
        draw.shuffle(words)
        return f"put the words in order: {' '.join(words)}", sentence

    def _gap(self, draw: random.Random) -> tuple[str, str]:
        """Draw one sentence of a text: left out half of the time, else marked, to teach copying."""
        text = draw.choice(self.long)[:6]
        at = draw.randrange(len(text))
        shown = "<extra_id_0>" if draw.random() < 0.5 else f"<extra_id_0> {text[at]} <extra_id_1>"
        return f"which sentence is marked: {' '.join([*text[:at], shown, *text[at + 1 :]])}", text[at]

    def _first(self, draw: random.Random) -> tuple[str, str]:
        text = draw.choice(self.long)[:6]
        return f"what comes first: {' '.join(text)}", text[0]

    def _rated(self, draw: random.Random) -> tuple[str, str]:
        sentence, label = draw.choice(self.rated)
        return draw.choice(ASKED).format(sentence), label


def _rows(path: Path) -> list:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _cut(rows: list, tokens: int) -> Iterator[list]:
    """Yield runs of rows (sorted by length) whose padded size stays within `tokens`."""
    group: list = []
    for row in rows:
        larger = [*group, row]
        size = len(larger) * (max(len(r[0]) for r in larger) + max(len(r[1]) for r in larger))
        if group and size > tokens:
            yield group
            larger = [row]
        group = larger
    yield group


def _padded(rows: list) -> Batch:
    sources, targets, clean = zip(*rows, strict=True)
    pad = torch.nn.utils.rnn.pad_sequence
    return Batch(
        pad([torch.tensor(ids) for ids in sources], batch_first=True, padding_value=0),
        pad([torch.tensor(ids) for ids in targets], batch_first=True, padding_value=-100),
        torch.tensor(clean),
    )
