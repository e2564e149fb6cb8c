"""What can befall the folder of a finished study: a table of corruptions."""

import functools
import json
import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

Damage = Callable[[Path], object]
"""What is done to a file or folder."""


@dataclass(frozen=True, kw_only=True)
class Corruption:
    """One corruption of a finished study's folder."""

    kind: str
    name: str
    study: str
    """Which of the two studies: `plain` or `searched`."""
    damage: Damage
    """Called with the study's folder; `out` in it is the output folder."""
    runs: tuple[str, ...] = ()
    """Beginnings of the ids of the runs that it damages: they may be named and excluded, and no others."""
    signs: tuple[str, ...] = ()
    """What else names the damage: a part of a path or id."""
    whole: bool = False
    """It concerns the study as a whole, which commands may refuse."""

    @property
    def refusable(self) -> bool:
        """Whether `run` may refuse: what a newer version may have written, or what cannot be moved."""
        return "future" in self.name or (self.kind == "run folder" and "no permission" in self.name)


RUN, OTHER = "films.lora.nfull.s0", "films.lora.nfull.s1"
SUMMARY_RUN = "notes.lora.nfull.s1"
SEARCHED_RUN = "films.lora.nfull.s0"


def place(folder: Path, run: str = RUN) -> Path:
    """Return the folder of a run, by the beginning of its id."""
    return min((folder / "out" / "runs").glob(f"{run}-*"))


def edited(path: Path, change: Callable[[Any], object]) -> None:
    """Change the content of a JSON file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def setting(*keys: str, to: object) -> Callable[[Any], object]:
    """Return a change that sets one value; a function computes it from the old one."""

    def change(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = to(content[keys[-1]]) if callable(to) else to

    return change


def removing(*keys: str) -> Callable[[Any], object]:
    """Return a change that removes a key."""

    def change(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        del content[keys[-1]]

    return change


def flip(path: Path, seed: int) -> None:
    """Flip one bit at a seeded place."""
    data = bytearray(path.read_bytes())
    data[random.Random(seed).randrange(len(data))] ^= 1 << seed % 8
    path.write_bytes(data)


def flips(count: int) -> dict[str, Damage]:
    """Return so many damages of one bit each."""
    return {f"a bit flipped ({seed})": functools.partial(flip, seed=seed) for seed in range(count)}


def cut(path: Path, share: float = 0.5) -> None:
    """Keep the first part of a file only."""
    path.write_bytes(path.read_bytes()[: int(len(path.read_bytes()) * share)])


def empty(path: Path) -> None:
    """Empty a file."""
    path.write_bytes(b"")


def gone(path: Path) -> None:
    """Remove a file or folder."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def as_folder(path: Path) -> None:
    """Replace a file by a folder."""
    path.unlink()
    path.mkdir()


def forbidden(path: Path) -> None:
    """Remove all permissions."""
    path.chmod(0)


def linked(path: Path) -> None:
    """Move the content to a place outside the folder, and leave a link to it."""
    kept = path.parents[2 if path.is_dir() else 3] / f"{path.name}.kept"
    path.rename(kept)
    path.symlink_to(kept)


def linked_to_neighbor(path: Path) -> None:
    """Move the content to a place beside it, and leave a link to it."""
    kept = path.with_name(f"{path.name}.kept")
    path.rename(kept)
    path.symlink_to(kept.name)


def link_to_nothing(path: Path) -> None:
    """Replace a file by a broken link."""
    gone(path)
    path.symlink_to("nowhere")


def added(data: bytes) -> Damage:
    """Append bytes to a file."""
    return lambda path: path.write_bytes(path.read_bytes() + data)


def replaced(data: bytes) -> Damage:
    """Replace all bytes of a file."""
    return lambda path: path.write_bytes(data)


def recoded(encoding: str) -> Damage:
    """Write a text in another encoding."""
    return lambda path: path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))


def table(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Damage:
    """Change a Parquet file as a data frame, and write it soundly."""
    return lambda path: change(pd.read_parquet(path)).to_parquet(path, index=False)


def cell(column: str, value: Callable[[Any], Any]) -> Damage:
    """Change the first cell of a column."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame[column] = [value(frame[column].iloc[0]), *frame[column].iloc[1:]]
        return frame

    return table(change)


def lines(change: Callable[[list[str]], list[str]]) -> Damage:
    """Change the lines of a text file."""

    def damage(path: Path) -> None:
        old = path.read_text(encoding="utf-8").splitlines()
        path.write_text("".join(f"{line}\n" for line in change(old)), encoding="utf-8")

    return damage


def json_line(number: int, change: Callable[[Any], object]) -> Damage:
    """Change one line of a JSON-lines file."""

    def changed(old: list[str]) -> list[str]:
        content = json.loads(old[number])
        change(content)
        old[number] = json.dumps(content)
        return old

    return lines(changed)


def _edit(path: str, to: object) -> Damage:
    return lambda file: edited(file, setting(*path.split("."), to=to))


def higher(value: float) -> float:
    """Return a plausible higher score."""
    return 0.5 + value / 2 + 1e-3


EDITS: tuple[tuple[str, object, str], ...] = (
    ("scores.eval_accuracy", higher, "raised"),
    ("scores.eval_accuracy", lambda value: value + 1e-12, "raised by 1e-12"),
    ("scores.eval_accuracy", 7.0, "7"),
    ("scores.eval_accuracy", -1.0, "-1"),
    ("scores.eval_accuracy", None, "null"),
    ("scores.eval_accuracy", "high", "a word"),
    ("scores.eval_loss", lambda value: value / 2, "halved"),
    ("scores.eval_f1", lambda value: value + 0.01, "raised"),
    ("scores.eval_f1_macro", lambda value: value + 0.01, "raised"),
    ("scores", {}, "none"),
    ("validation.eval_accuracy", 0.99, "0.99"),
    ("best_step", 1, "1"),
    ("steps", 1000, "1000"),
    ("tokens", 1, "1"),
    ("footprint.trainable", 1, "1"),
    ("footprint.deployed", 1, "1"),
    ("data.test.used", 8, "8"),
    ("data.test.truncated_inputs", 5, "5"),
    ("data.digests.test", "0" * 64, "another"),
    ("seeds.init", 1, "1"),
    ("timings.total", 1e6, "a million"),
    ("environment.packages.torch", "1.0", "1.0"),
    ("environment.dtype", "bfloat16", "bfloat16"),
    ("spec.method.rank", 3, "3"),
    ("spec.seed", 7, "7"),
    ("spec.model.id", "builtin:tiny", "another"),
    ("spec.training.max_steps", 100, "100"),
    ("run_id", "films.lora.nfull.s0-00000000", "another"),
    ("state", "failed", "failed"),
    ("state", "diverged", "diverged"),
    ("state", "finished", "an unknown one"),
)
"""Fields of a record and what they become."""
RECORD: Mapping[str, Damage] = {
    **{f"{path} becomes {name}": _edit(path, to) for path, to, name in EDITS},
    "scores are not numbers": lambda path: path.write_text(
        path.read_text(encoding="utf-8").replace('"eval_accuracy": 0.', '"eval_accuracy": NaN, "x": 0.'),
        encoding="utf-8",
    ),
    "an unknown field, as of a newer version": lambda path: edited(path, setting("energy", to=3)),
    "an unknown field further in": lambda path: edited(path, setting("timings", "energy", to=3)),
    "a field missing, as of an older version": lambda path: edited(path, removing("tokens")),
    "a required field missing": lambda path: edited(path, removing("spec", "seed")),
    "a setting missing, as of an older version": lambda path: edited(
        path, removing("spec", "training", "dropout")
    ),
    "data missing": lambda path: edited(path, removing("data")),
    "a format of the future": lambda path: edited(path, setting("format", to=999)),
    "a format that is no number": lambda path: edited(path, setting("format", to="x")),
    "empty": empty,
    "half": cut,
    "all but the last character": lambda path: cut(path, 0.999),
    "more behind the end": added(b"x"),
    "two records": lambda path: path.write_bytes(path.read_bytes() * 2),
    "a list": replaced(b"[]"),
    "an object": replaced(b"{}"),
    "null": replaced(b"null"),
    "no text": replaced(b"\xff\xfe\x00"),
    "UTF-16": recoded("utf-16"),
    "a byte order mark": recoded("utf-8-sig"),
    "carriage returns": lambda path: path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n")),
    "an integer of 5,000 digits": lambda path: path.write_text(
        path.read_text(encoding="utf-8").replace('"tokens": ', f'"tokens": {"9" * 5000}'), encoding="utf-8"
    ),
    "gone": gone,
    "a folder": as_folder,
    "no permission": forbidden,
    "a link to the same content": linked,
    "a link to nothing": link_to_nothing,
    **flips(10),
}
CURVE: Mapping[str, Damage] = {
    "a loss edited": json_line(0, setting("loss", to=0.001)),
    "a score edited": lambda path: json_line(
        next(n for n, line in enumerate(path.read_text(encoding="utf-8").splitlines()) if "scores" in line),
        setting("scores", "eval_accuracy", to=0.99),
    )(path),
    "a step edited": json_line(0, setting("step", to=3)),
    "a line removed": lines(lambda old: old[1:]),
    "a line twice": lines(lambda old: [old[0], *old]),
    "the lines turned round": lines(lambda old: old[::-1]),
    "half of the last line": lambda path: cut(path, 0.95),
    "empty": empty,
    "gone": gone,
    "no JSON": added(b"{"),
    "blank lines": added(b"\n\n"),
    "not a number": lines(lambda old: [old[0].replace('"loss":', '"loss":NaN,"x":'), *old[1:]]),
    "a folder": as_folder,
    "no permission": forbidden,
    **flips(4),
}
PREDICTIONS: Mapping[str, Damage] = {
    "the last rows removed": table(lambda frame: frame.head(10)),
    "the first rows removed": table(lambda frame: frame.tail(10)),
    "no rows": table(lambda frame: frame.head(0)),
    "rows twice": table(lambda frame: pd.concat([frame, frame])),
    "rows in another order": table(lambda frame: frame.iloc[::-1]),
    "one answer changed": cell("prediction", lambda old: "1" if old == "0" else "0"),
    "one reference changed": cell("reference", lambda old: "1" if old == "0" else "0"),
    "one mark changed": cell("correct", lambda old: 1 - old),
    "one loss changed": cell("loss", lambda old: old / 2),
    "one likelihood changed": cell("log_likelihood.0", lambda old: old - 1),
    "one text changed": cell("text", lambda old: "other"),
    "one number not a number": cell("correct", lambda old: float("nan")),
    "one row's number changed": cell("row", lambda old: 7),
    "every mark 1": table(lambda frame: frame.assign(correct=1.0)),
    "two marks exchanged, the mean as before": table(
        lambda frame: frame.assign(correct=list(frame["correct"][::-1]))
    ),
    "a column removed": table(lambda frame: frame.drop(columns="correct")),
    "a column renamed": table(lambda frame: frame.rename(columns={"prediction": "answer"})),
    "a column more": table(lambda frame: frame.assign(more=1)),
    "numbers as text": table(lambda frame: frame.assign(correct=frame["correct"].astype(str))),
    "written again, compressed otherwise": lambda path: pd.read_parquet(path).to_parquet(
        path, compression="gzip"
    ),
    "empty": empty,
    "half": cut,
    "the footer missing": lambda path: cut(path, 0.9),
    "gone": gone,
    "a csv": replaced(b"row,reference\n0,1\n"),
    "a folder": as_folder,
    "no permission": forbidden,
    "a link to nothing": link_to_nothing,
    **flips(12),
}
ADAPTER: Mapping[str, Damage] = {
    **flips(4),
    "half": cut,
    "empty": empty,
    "gone": gone,
}
BASELINE: Mapping[str, Damage] = {
    "a score edited": lambda path: edited(path, setting("scores", "eval_accuracy", to=higher)),
    "a format of the future": lambda path: edited(path, setting("format", to=999)),
    "another seed": lambda path: edited(path, setting("seed", to=5)),
    "half": cut,
    "empty": empty,
    "gone": gone,
    "a folder": as_folder,
    "no permission": forbidden,
    **flips(3),
}
BASELINE_ANSWERS: Mapping[str, Damage] = {
    "rows removed": table(lambda frame: frame.head(10)),
    "one mark changed": cell("correct", lambda old: 1 - old),
    "half": cut,
    "empty": empty,
    "gone": gone,
    **flips(4),
}
EXAMPLES: Mapping[str, Damage] = {
    "rows removed": table(lambda frame: frame.head(10)),
    "one input changed": cell("input", lambda old: "another text"),
    "half": cut,
    "empty": empty,
    "gone": gone,
    "a folder": as_folder,
    "no permission": forbidden,
    **flips(4),
}
SEARCH_RESULT: Mapping[str, Damage] = {
    "a score edited": lambda path: edited(path, setting("trials", to=_raised)),
    "a value edited": lambda path: edited(path, setting("trials", to=_moved)),
    "a trial removed": lambda path: edited(path, setting("trials", to=lambda trials: trials[1:])),
    "the steps edited": lambda path: edited(path, setting("steps", to=77)),
    "an unknown field": lambda path: edited(path, setting("energy", to=3)),
    "a format of the future": lambda path: edited(path, setting("format", to=999)),
    "half": cut,
    "empty": empty,
    "gone": gone,
    "a folder": as_folder,
    "no permission": forbidden,
    **flips(3),
}
TRIALS: Mapping[str, Damage] = {
    "a score edited": json_line(0, setting("trial", "score", to=0.999)),
    "a line removed": lines(lambda old: old[1:]),
    "half of the last line": lambda path: cut(path, 0.97),
    "half": cut,
    "empty": empty,
    "gone": gone,
    "no JSON in the midst": lines(lambda old: [old[0], "{", *old[1:]]),
    "a lock left behind": lambda path: path.with_name(f"{path.name}.lock").symlink_to(path),
    **flips(2),
}


def _raised(trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**trials[0], "score": 0.999}, *trials[1:]]


def _moved(trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**trial, "values": {"learning_rate": 0.123}} for trial in trials]


def corruptions() -> Iterator[Corruption]:
    """Return all corruptions in a fixed order; a corruption's number is its place here."""
    yield from _of_run("record", "record.json", RECORD)
    yield from _of_run("curve", "curve.jsonl", CURVE)
    yield from _of_run("predictions", "predictions.parquet", PREDICTIONS)
    yield from _of_run("adapter", "adapter/adapter.safetensors", ADAPTER)
    yield from _of_run(
        "adapter", "adapter/adapter.json", {"gone": gone, "edited": replaced(b'{"kind": "full"}')}
    )
    yield from _summaries()
    yield from _exchanges()
    yield from _folders()
    yield from _studies()
    for file, damages in (("tfidf.json", BASELINE), ("tfidf.parquet", BASELINE_ANSWERS)):
        for name, damage in damages.items():
            at = _at(f"out/baselines/films.nfull/{file}", damage)
            yield Corruption(
                kind="baseline", name=f"{file}: {name}", study="plain", damage=at, signs=("tfidf",)
            )
    for file, damages in (("result.json", SEARCH_RESULT), ("trials.jsonl", TRIALS)):
        for name, damage in damages.items():
            yield Corruption(
                kind="search",
                name=f"{file}: {name}",
                study="searched",
                damage=_at(f"out/search/films.lora*/{file}", damage),
                runs=("films.lora.",),
                signs=("search", "films.lora.nfull-"),
            )
    for name, damage in EXAMPLES.items():
        at = _at("out/examples/films.parquet", damage)
        yield Corruption(kind="examples", name=name, study="plain", damage=at, signs=("examples/films",))


def _at(pattern: str, damage: Damage) -> Damage:
    """Return a damage of the first path that a pattern matches."""
    return lambda folder: damage(min(folder.glob(pattern)))


def _of_run(kind: str, file: str, damages: Mapping[str, Damage]) -> Iterator[Corruption]:
    for name, damage in damages.items():
        at = _at(f"out/runs/{RUN}-*/{file}", damage)
        label = name if kind != "adapter" else f"{Path(file).name}: {name}"
        yield Corruption(kind=kind, name=label, study="plain", damage=at, runs=(RUN,))


def _summaries() -> Iterator[Corruption]:
    """Return the same damages for a task with generated predictions."""
    score = lambda path: edited(path, setting("scores", "eval_rougeL", to=higher))  # noqa: E731
    for name, file, damage in (
        ("a rougeL edited", "record.json", score),
        ("one answer changed", "predictions.parquet", cell("prediction", lambda old: "another text")),
        ("one rougeL changed", "predictions.parquet", cell("eval_rougeL", lambda old: 0.9)),
    ):
        at = _at(f"out/runs/{SUMMARY_RUN}-*/{file}", damage)
        yield Corruption(kind="generated", name=name, study="plain", damage=at, runs=(SUMMARY_RUN,))


def _exchanges() -> Iterator[Corruption]:
    """Return damages that put files of one run in the place of another's."""
    for file in ("record.json", "curve.jsonl", "predictions.parquet", "adapter/adapter.safetensors"):
        for name, source in (("another seed's", OTHER), ("another method's", "films.full.nfull.s0")):

            def damage(folder: Path, file: str = file, source: str = source) -> None:
                shutil.copyfile(place(folder, source) / file, place(folder) / file)

            yield Corruption(
                kind="exchange", name=f"{name} {Path(file).name}", study="plain", damage=damage, runs=(RUN,)
            )

    def baseline(folder: Path) -> None:
        kept = folder / "out/baselines/films.nfull"
        shutil.copyfile(kept / "majority.json", kept / "tfidf.json")

    yield Corruption(
        kind="exchange", name="another baseline's", study="plain", damage=baseline, signs=("tfidf",)
    )


def _folders() -> Iterator[Corruption]:
    """Return damages that move, copy or remove run folders."""

    def renamed(folder: Path) -> None:
        place(folder).rename(folder / "out/runs/films.lora.nfull.s0-00000000")

    def swapped(folder: Path) -> None:
        first, second = place(folder), place(folder, OTHER)
        first.rename(folder / "aside")
        second.rename(first)
        (folder / "aside").rename(second)

    def copied(folder: Path) -> None:
        shutil.copytree(place(folder), folder / "out/runs/copy")

    def copied_over(folder: Path) -> None:
        target = place(folder)
        shutil.rmtree(target)
        shutil.copytree(place(folder, OTHER), target)

    yield Corruption(kind="run folder", name="renamed", study="plain", damage=renamed, runs=(RUN,))
    yield Corruption(kind="run folder", name="swapped", study="plain", damage=swapped, runs=(RUN, OTHER))
    yield Corruption(kind="run folder", name="copied", study="plain", damage=copied, signs=("copy",))
    yield Corruption(kind="run folder", name="another's", study="plain", damage=copied_over, runs=(RUN,))
    for name, damage in (
        ("gone", gone),
        ("no permission", forbidden),
        ("a link to the same content", linked),
        ("a link to the same content beside it", linked_to_neighbor),
        ("a link to nothing", link_to_nothing),
        ("a file more", lambda path: (path / "note.txt").touch()),
        ("half a record beside the record", lambda path: (path / ".record.json.new").write_bytes(b"{")),
    ):
        yield Corruption(
            kind="run folder", name=name, study="plain", damage=_at(f"out/runs/{RUN}-*", damage), runs=(RUN,)
        )
    yield Corruption(
        kind="run folder", name="all gone", study="plain", damage=_at("out/runs", gone), runs=("",)
    )


def _studies() -> Iterator[Corruption]:
    """Return damages of the study's own file, its data, and the report."""

    def text(old: str, new: str) -> Damage:
        def damage(path: Path) -> None:
            content = path.read_text(encoding="utf-8")
            if old not in content:
                raise ValueError(f"{path} must hold {old!r}")
            path.write_text(content.replace(old, new), encoding="utf-8")

        return damage

    for name, damage in (
        ("another model", text("builtin:random", "builtin:tiny")),
        ("another test file", text("/test.csv", "/validation.csv")),
        ("another train file", text("/train.csv", "/validation.csv")),
    ):
        yield Corruption(
            kind="study.yaml",
            name=name,
            study="plain",
            damage=_at("out/study.yaml", damage),
            runs=("",),
            whole=True,
        )
    for name, damage in (
        ("a comment", added(b"# mine\n")),
        ("an unknown key", added(b"energy: 3\n")),
        ("a format of the future", added(b"format: 999\n")),
        ("half", cut),
        ("empty", empty),
        ("gone", gone),
        ("no permission", forbidden),
        ("a folder", as_folder),
        ("no text", replaced(b"\xff")),
    ):
        yield Corruption(
            kind="study.yaml",
            name=name,
            study="plain",
            damage=_at("out/study.yaml", damage),
            signs=("study.yaml",),
            whole=True,
        )
    for name, file, damage in (
        ("a test row changed", "test.csv", text("test 0", "test zero")),
        ("a test row removed", "test.csv", lines(lambda old: old[:-1])),
        ("a label turned round", "train.csv", text("good,1", "good,0")),
        ("test gone", "test.csv", gone),
        ("train empty", "train.csv", empty),
    ):
        yield Corruption(
            kind="data", name=name, study="plain", damage=_at(file, damage), signs=("csv", "data"), whole=True
        )
    for name, damage in (
        ("gone", gone),
        ("a file", lambda path: (shutil.rmtree(path), path.touch())),
        ("report.md edited", lambda path: (path / "report.md").write_text("# mine\n", encoding="utf-8")),
        ("health.json edited", lambda path: (path / "health.json").write_bytes(b"{}")),
        ("no permission", forbidden),
    ):
        yield Corruption(
            kind="report", name=name, study="plain", damage=_at("out/report", damage), signs=("report",)
        )
