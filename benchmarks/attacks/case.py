"""What an attack by input is, and the sound study that each one changes."""

import copy
import csv
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Change = Callable[[Path], object]
Want = Literal["any", "fine", "refused"]
PLAN = ("plan", "study.yaml")
RUN = ("run", "study.yaml", "--out", "out")
ROWS = {"train": 24, "validation": 6, "test": 8}
STUDY: Mapping[str, Any] = {
    "name": "attacked",
    "model": {"id": "builtin:random"},
    "tasks": {
        "films": {
            "kind": "classification",
            "source": {
                "files": {"train": "train.csv", "validation": "validation.csv", "test": "test.csv"},
            },
            "prompt": "Good or bad? {text}",
            "target": "label",
            "labels": {"0": "negative", "1": "positive"},
            "max_target_length": 8,
        }
    },
    "methods": {"zero_shot": {"kind": "none"}, "lora": {"kind": "lora", "rank": 2}},
    "training": {"max_steps": 2, "per_device_train_batch_size": 4, "eval_steps": 2, "logging_steps": 1},
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One attack: what is changed beside a sound study, what is called there, and what must come of it."""

    kind: str
    name: str
    change: Change = lambda folder: None
    options: tuple[str, ...] = ()
    """Of `plan` and `run`."""
    commands: tuple[tuple[str, ...], ...] = (PLAN, RUN)
    want: Want = "any"
    """`fine`: right input, however unusual, which must be taken. `refused`: what must not be taken."""
    rows: Mapping[str, int] | None = None
    """What each split must be read as where the input is taken."""
    setup: Callable[[], None] = lambda: None
    """Called in the command's process first."""
    encoding: str = "utf-8"
    """Of the command's standard output and error."""


def lay_out(folder: Path) -> None:
    """Write the sound study and its data into a folder."""
    for split, count in ROWS.items():
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["text", "label"], *rows(split, count)])
    write_study(folder, STUDY)


def rows(split: str, count: int) -> list[list[str]]:
    """Return sentences with labels 0 and 1 in turn."""
    return [[f"{split} {row} was {'good' if row % 2 else 'bad'}", str(row % 2)] for row in range(count)]


def write_study(folder: Path, study: Mapping[str, Any]) -> None:
    """Write a study as JSON, which YAML reads; half surrogates are escaped, as UTF-8 has none."""
    text = json.dumps(study, indent=1, ensure_ascii=False)
    escaped = re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)
    (folder / "study.yaml").write_text(escaped, encoding="utf-8")


def with_value(path: tuple[str, ...], value: object, study: Mapping[str, Any] = STUDY) -> Change:
    """Return a change that sets one value of the study and creates missing mappings above it."""

    def change(folder: Path) -> None:
        changed = copy.deepcopy(dict(study))
        inner = changed
        for key in path[:-1]:
            inner = inner.setdefault(key, {})
        inner[path[-1]] = value
        write_study(folder, changed)

    return change


def with_text(text: str | bytes, name: str = "study.yaml") -> Change:
    """Return a change that writes this text into a file."""
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    return lambda folder: (folder / name).write_bytes(data)


def both(*changes: Change) -> Change:
    """Return a change that makes one change after another."""

    def change(folder: Path) -> None:
        for one in changes:
            one(folder)

    return change
