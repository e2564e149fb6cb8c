"""Turns the sources into texts.jsonl (lists of sentences) and pairs.jsonl (task, source, target)."""

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

Pair = tuple[str, str, str]
_SENTENCE = re.compile(r"(?<=[.!?]) +(?=[A-Z0-9\"'])")
_GLOSS = re.compile(r"\| (.*)$")
_WML = re.compile(r"^\s*(speaker)\s*=\s*(.+?)\s*$|^\s*(message)\s*=\s*_\s*\"(.*?)\"\s*$", re.MULTILINE)
_NOT_SPEAKERS = ("narrator", "unit", "second_unit", "$")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--exclude", type=Path, nargs="*", default=[], help="files of sentences to leave out")
    arguments = parser.parse_args()
    sources = arguments.work / "sources"
    banned = {_key(line) for path in arguments.exclude for line in path.read_text("utf-8").splitlines()}
    texts, pairs = [], []
    for make in (debian, wordnet, wesnoth, vader):
        new_texts, new_pairs = make(sources)
        texts += [text for text in new_texts if not any(_key(s) in banned for s in text)]
        pairs += [pair for pair in new_pairs if _key(pair[1].split(": ", 1)[-1]) not in banned]
    _write(arguments.work / "texts.jsonl", texts)
    _write(arguments.work / "pairs.jsonl", pairs)
    words = sum(len(sentence.split()) for text in texts for sentence in text)
    print(json.dumps({"texts": len(texts), "words": words, "pairs": Counter(task for task, _, _ in pairs)}))


def debian(sources: Path) -> tuple[list[list[str]], list[Pair]]:
    """Package descriptions, and their one-line synopses as summaries. Near-copies (-dev, -doc) count once."""
    texts, pairs, seen = [], [], set()
    for block in (sources / "Translation-en").read_text("utf-8").split("\n\n"):
        _, _, body = block.partition("Description-en: ")
        synopsis, _, long = body.partition("\n")
        paragraphs = [" ".join(p.split()) for p in re.split(r"\n \.\n", long) if "\n  " not in p]
        opening = paragraphs[0] if paragraphs else ""
        if len(opening.split()) < 12 or opening[:80] in seen:
            continue
        seen.add(opening[:80])
        texts.append(_sentences(" ".join(paragraphs)))
        pairs.append(("synopsis", f"describe in one line: {opening}", re.sub(r" *\(.*?\)", "", synopsis)))
    return texts, pairs


def wordnet(sources: Path) -> tuple[list[list[str]], list[Pair]]:
    """Glosses: the meaning of a word, the word of a meaning, the word that an example shows."""
    texts, pairs = [], []
    for kind in ("noun", "verb", "adj", "adv"):
        path = sources / f"wordnet-base/usr/share/wordnet/data.{kind}"
        for line in path.read_text("utf-8").splitlines():
            if line.startswith(" ") or not (gloss := _GLOSS.search(line)):
                continue
            word = line.split()[4].replace("_", " ").split("(")[0]
            meaning, *examples = [part.strip().strip('"') for part in gloss[1].split('; "')]
            pairs.append(("define", f"what does {word} mean?", meaning))
            pairs.append(("word", f"which word means this: {meaning}", word))
            texts += [[example] for example in examples if len(example.split()) > 3]
            texts.append([meaning])
    return texts, pairs


def wesnoth(sources: Path) -> tuple[list[list[str]], list[Pair]]:
    """Scenes of dialogue, and questions about who says what: they can only be answered by copying."""
    texts, pairs = [], []
    for path in sorted(sources.glob("wesnoth-*/usr/share/games/wesnoth/*/data/campaigns/*/scenarios/*.cfg")):
        for scene in _scenes(path.read_text("utf-8")):
            chat = " ".join(f"{who}: {what}" for who, what in scene)
            texts.append([f"{who}: {what}" for who, what in scene])
            speakers = list(dict.fromkeys(who for who, _ in scene))
            pairs.append(("speakers", f"who is talking? {chat}", " and ".join(speakers)))
            for who, what in scene:
                pairs.append(("who", f"who says '{what[:60]}'? {chat}", who))
            for who in speakers:
                last = [what for name, what in scene if name == who][-1]
                pairs.append(("last", f"what does {who} say last? {chat}", f"{who} says: {last}"))
    return texts, pairs


def _scenes(text: str, turns: int = 6) -> Iterator[list[tuple[str, str]]]:
    scene, speaker = [], None
    for found in _WML.finditer(text):
        if found[1]:
            speaker = found[2]
        elif speaker and not speaker.startswith(_NOT_SPEAKERS) and len(found[4].split()) < 50:
            scene.append((speaker, found[4]))
        if len(scene) == turns:
            yield scene
            scene = []
    if len(scene) > 1:
        yield scene


def vader(sources: Path) -> tuple[list[list[str]], list[Pair]]:
    """Rated product reviews and posts. The movie file is not read: most of SST-2's test set is in it."""
    texts, pairs = [], []
    for name in ("amazonReviewSnippets", "tweets"):
        path = sources / f"vader/hutto_ICWSM_2014/{name}_GroundTruth.txt"
        for line in path.read_text("utf-8", errors="replace").splitlines():
            _, rating, text = line.split("\t", 2)
            score, text = float(rating), text.replace("&amp;", "&")
            texts.append([text])
            if abs(score) >= 0.5:
                label = "positive" if score > 0 else "negative"
                pairs.append(("polarity", f"does this sound positive or negative: {text}", label))
    return texts, pairs


def _sentences(text: str) -> list[str]:
    return [sentence for sentence in _SENTENCE.split(text) if 3 < len(sentence.split()) < 60]


def _key(sentence: str) -> str:
    """Letters only, so that spacing, case and a label in front do not hide an evaluation sentence."""
    return re.sub(r"[^a-z]", "", sentence.lower())


def _write(path: Path, rows: Iterable[object]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows if row), "utf-8")


if __name__ == "__main__":
    main()
