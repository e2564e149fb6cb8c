"""Turn the sources and the generated rows into a corpus: texts, pairs of source and target, chats, turns."""

import argparse
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chats import TO_RETELL, Turn, shown
from filters import letters
from ratings import vader

_SENTENCE = re.compile(r"(?<=[.!?]) +(?=[A-Z0-9\"'])")
_GLOSS = re.compile(r"\| (.*)$")
_OF_POSTS = re.compile(r"@\w+|https?://\S+|^RT\b[ :]*|#(?=\w)")
_TYPED = str.maketrans("\u2018\u2019\u201c\u201d\u2013\u2014", "''\"\"--")

CLEAR = 0.4
"""VADER's compound rating, from -1 to 1, beyond which a sentence counts as rated."""


@dataclass
class Corpus:
    """What the task mixture draws from; each part becomes a file of JSON lines of its name."""

    texts: list[list[str]] = field(default_factory=list)
    """Sentences that belong together."""
    pairs: list[tuple[str, str, str]] = field(default_factory=list)
    """(task, source, target)"""
    chats: list[list[Turn]] = field(default_factory=list)
    """Turns of people with everyday names: (speaker, what is said)."""
    turns: list[str] = field(default_factory=list)
    """Sentences that somebody could say in a chat."""
    rated: list[tuple[str, str]] = field(default_factory=list)
    """(sentence, positive or negative): generated reviews, and what VADER's rules find clear;
    as many of one as of the other."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--exclude", type=Path, nargs="*", default=[], help="files of sentences to leave out")
    arguments = parser.parse_args()
    banned = {letters(line) for path in arguments.exclude for line in path.read_text("utf-8").splitlines()}
    corpus = Corpus()
    for gather in (debian, wordnet, posts, lexicon):
        gather(arguments.work / "sources", corpus)
    generated(arguments.work / "generated.jsonl", corpus)
    _leave_out(corpus, lambda text: letters(text) in banned)
    corpus.rated = balanced([*corpus.rated, *rated(arguments.work / "sources", corpus.turns)])
    for name, rows in vars(corpus).items():
        _write(arguments.work / f"{name}.jsonl", rows)
    counts = {name: len(rows) for name, rows in vars(corpus).items()}
    counts["words"] = sum(len(sentence.split()) for text in corpus.texts for sentence in text)
    print(json.dumps(counts | Counter(task for task, _, _ in corpus.pairs)))


def debian(sources: Path, corpus: Corpus) -> None:
    """Add package descriptions, and synopses as summaries; near-copies (-dev, -doc) count once."""
    seen = set()
    for block in (sources / "Translation-en").read_text("utf-8").split("\n\n"):
        _, _, body = block.partition("Description-en: ")
        synopsis, _, long = body.partition("\n")
        paragraphs = [" ".join(p.split()) for p in re.split(r"\n \.\n", long) if "\n  " not in p]
        opening = paragraphs[0] if paragraphs else ""
        if len(opening.split()) < 12 or opening[:80] in seen:
            continue
        seen.add(opening[:80])
        corpus.texts.append(_sentences(" ".join(paragraphs)))
        short = re.sub(r" *\(.*?\)", "", synopsis)
        corpus.pairs.append(("synopsis", f"describe in one line: {opening}", short))


def wordnet(sources: Path, corpus: Corpus) -> None:
    """Add glosses: the meaning of a word, the word of a meaning; examples as texts and turns."""
    for kind in ("noun", "verb", "adj", "adv"):
        path = sources / f"wordnet-base/usr/share/wordnet/data.{kind}"
        for line in path.read_text("utf-8").splitlines():
            if line.startswith(" ") or not (gloss := _GLOSS.search(line)):
                continue
            word = line.split()[4].replace("_", " ").split("(")[0]
            meaning, *quoted = [part.strip().strip('"') for part in gloss[1].split('; "')]
            corpus.pairs.append(("define", f"what does {word} mean?", meaning))
            corpus.pairs.append(("word", f"which word means this: {meaning}", word))
            examples = [example for example in quoted if 3 < len(example.split()) < 25]
            corpus.texts += [[meaning], *([example] for example in examples)]
            corpus.turns += examples


def generated(path: Path, corpus: Corpus) -> None:
    """Add what SmolLM2 has written: chats with summaries, events as turns, reviews with their polarity."""
    draw = random.Random("generated")
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        if row["kind"] == "chat":
            chat = list(zip(row["names"], row["lines"], strict=True))
            corpus.chats.append(chat)
            corpus.texts.append([f"{name}: {said}" for name, said in chat])
            corpus.turns += [said for said in row["lines"] if len(said.split()) < 20]
            corpus.pairs.append(("summary", f"{draw.choice(TO_RETELL)}{shown(chat)}", row["summary"]))
            for sentence in row["summary"].rstrip(".").split(". "):
                name, _, predicate = sentence.partition(" ")
                if name in row["names"]:
                    corpus.pairs.append(("asked", f"who {predicate}? {shown(chat)}", name))
        elif row["kind"] == "event":
            corpus.texts.append(row["lines"])
            corpus.turns += row["lines"]
        elif row["kind"] == "review":
            corpus.texts.append(row["lines"])
            corpus.rated.append((row["lines"][0], row["label"]))


def posts(sources: Path, corpus: Corpus) -> None:
    """Add rated product reviews and posts. The movie file is not read: most of SST-2's test set is in it."""
    for name in ("amazonReviewSnippets", "tweets"):
        path = sources / f"vader/hutto_ICWSM_2014/{name}_GroundTruth.txt"
        for line in path.read_text("utf-8", errors="replace").splitlines():
            _, rating, raw = line.split("\t", 2)
            text = " ".join(_OF_POSTS.sub(" ", raw.replace("&amp;", "&")).translate(_TYPED).split())
            if len(text.split()) < 2:
                continue
            corpus.texts.append([text])
            if name == "tweets":
                corpus.turns.append(text)
            _polarity(corpus, text, float(rating), 0.5)


def lexicon(sources: Path, corpus: Corpus) -> None:
    """Add words that ten people rated."""
    path = sources / "vader/vaderSentiment-3.3.2/vaderSentiment/vader_lexicon.txt"
    for line in path.read_text("utf-8").splitlines():
        word, rating = line.split("\t")[:2]
        if word.isalpha():
            _polarity(corpus, word, float(rating), 1.0)


def rated(sources: Path, turns: Iterable[str]) -> list[tuple[str, str]]:
    """Return the turns that VADER's rules (negation, intensity, "but") find clearly positive or negative.

    Its ratings are right for most sentences, not for all: labels to learn from, not to score with.
    """
    rating = vader(sources)
    found = []
    for sentence in dict.fromkeys(turns):
        compound = rating(sentence)
        if abs(compound) >= CLEAR and 3 < len(sentence.split()) < 40:
            found.append((sentence, "positive" if compound > 0 else "negative"))
    return found


def balanced(rows: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return as many rows of one label as of the other, drawn from those that are too many."""
    parts = [[row for row in rows if row[1] == label] for label in ("positive", "negative")]
    draw, least = random.Random("rated"), min(map(len, parts))
    return [row for part in parts for row in draw.sample(part, least)]


def _polarity(corpus: Corpus, text: str, rating: float, clear: float) -> None:
    if abs(rating) >= clear:
        label = "positive" if rating > 0 else "negative"
        corpus.pairs.append(("polarity", f"does this sound positive or negative: {text}", label))


def _leave_out(corpus: Corpus, unwanted: Callable[[str], bool]) -> None:
    corpus.texts = [text for text in corpus.texts if text and not any(map(unwanted, text))]
    corpus.pairs = [pair for pair in corpus.pairs if not unwanted(pair[1].split(": ", 1)[-1])]
    corpus.turns = [turn for turn in corpus.turns if not unwanted(turn)]
    corpus.chats = [chat for chat in corpus.chats if not any(unwanted(said) for _, said in chat)]
    corpus.rated = [(text, label) for text, label in corpus.rated if not unwanted(text)]


def _sentences(text: str) -> list[str]:
    return [sentence for sentence in _SENTENCE.split(text) if 3 < len(sentence.split()) < 60]


def _write(path: Path, rows: Iterable[object]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


if __name__ == "__main__":
    main()
