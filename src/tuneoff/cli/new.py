"""`tuneoff new`: the questions, and what it says to the answers."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from tuneoff.draft import (
    Draft,
    Guess,
    Look,
    draft_study,
    guess_task,
    label_texts,
    look_at,
    source_of,
    study_name,
    written,
)
from tuneoff.draft.guess import Kind
from tuneoff.draft.suit import Tokens
from tuneoff.errors import InputError, StoreError, shown, visible, writing
from tuneoff.spec import SCHEMA_FILE, ModelSpec, model_id, study_schema
from tuneoff.training import load_backbone

_SHOWN = 40
"""Characters of an example in the table of columns."""
_MODEL = "google/flan-t5-small"
"""What a study is drafted for where no model is named."""
_UNKNOWN = 0.01
"""Share of unknown tokens from which on another model is advised."""
_IN_BYTES = 1.2
"""Tokens of a character from which on another model is advised."""


class Wishes(NamedTuple):
    """What the command line says; None and nothing are guessed or asked."""

    data: str | None
    model: str | None
    kind: Kind | None
    target: str | None
    inputs: Sequence[str]
    labels: Sequence[str]
    prompt: str | None
    minutes: float
    out: Path | None
    yes: bool


def new_study(wishes: Wishes, console: Console) -> Path:
    """Draft a study and write it, with the schema for editors beside it; return its path.

    What cannot be guessed is asked.

    Raises:
        InputError: the data, the model or the path cannot be used, or a question cannot be asked.
    """
    asks = not wishes.yes and sys.stdin.isatty()
    if wishes.data is None and not asks:
        raise InputError("tuneoff new needs data: a file, a folder with train and test files, or a hub id")
    data = wishes.data or typer.prompt("Data (a file, a folder with train and test files, or a hub id)")
    out = wishes.out or Path(f"{study_name(data)}.yaml")
    if out.exists():
        raise StoreError(f"'{out}' exists; remove it, or give another file with --out")
    look = look_at(source_of(data))
    console.print(_columns(look))
    guess = guess_task(look.columns, target=wishes.target, inputs=wishes.inputs, kind=wishes.kind)
    if asks:
        guess = _asked(look, guess, wishes)
    elif not wishes.yes and (unsure := [one for one in guess.unsure if one != "labels" or not wishes.labels]):
        raise InputError(_unclear(guess, unsure))
    labels = _given_labels(guess, wishes.labels)
    if asks and "labels" in guess.unsure and not wishes.labels:
        labels = {
            value: answer(f"What does {shown(value)} mean", default=text) for value, text in labels.items()
        }
    model = wishes.model or (typer.prompt("Model", default=_MODEL) if asks else _MODEL)
    console.print(_found(guess), soft_wrap=True)
    model = model_id(model, Path.cwd())
    backbone = load_backbone(ModelSpec(id=model))
    with console.status("timing each method on the data"):
        draft = draft_study(
            look,
            guess,
            backbone,
            name=study_name(data),
            model=model,
            minutes=wishes.minutes,
            prompt=wishes.prompt,
            labels=labels,
        )
    with writing(out):
        out.write_text(written(draft, out.absolute().parent), encoding="utf-8")
    schema = out.with_name(SCHEMA_FILE)
    with writing(schema):
        schema.write_text(json.dumps(study_schema()), encoding="utf-8")
    _tell(console, draft, out)
    return out


def _columns(look: Look) -> Table:
    table = Table("column", "filled", "different", "words", "for instance", box=None, pad_edge=False)
    for column in look.columns:
        example = " ".join(column.cells[0].split())
        table.add_row(
            column.name,
            f"{len(column.cells):,}",
            f"{len(column.counts):,}",
            f"{column.words:.1f}",
            example if len(example) <= _SHOWN else f"{example[:_SHOWN]}...",
        )
    return table


def _asked(look: Look, guess: Guess, wishes: Wishes) -> Guess:
    """Ask for what is not sure; the guess is the answer to an empty line."""
    target, inputs = wishes.target, wishes.inputs
    if "target" in guess.unsure:
        target = answer("Column with the answer", default=guess.target.name)
        guess = guess_task(look.columns, target=target, inputs=inputs, kind=wishes.kind)
    if "inputs" in guess.unsure:
        names = ", ".join(column.name for column in guess.inputs)
        columns = answer("Columns to read, separated by commas", default=names)
        inputs = [name.strip() for name in columns.split(",")]
        guess = guess_task(look.columns, target=target, inputs=inputs, kind=wishes.kind)
    return guess


def answer(question: str, *, default: str) -> str:
    """Return the answer to a question; a default from the data hides no character on the terminal."""
    suggested = visible(default)
    given: str = typer.prompt(question, default=suggested)
    return default if given == suggested else given


def _unclear(guess: Guess, unsure: Sequence[str]) -> str:
    flags = {
        "target": f"the column with the answer (--target {guess.target.name}?)",
        "inputs": f"the columns to read ({' '.join(f'--input {column.name}' for column in guess.inputs)}?)",
        "labels": f"what the labels mean (--label {guess.labels[0] if guess.labels else ''}=...)",
    }
    unclear = " and ".join(flags[one] for one in unsure)
    return f"it is not clear from the data: {unclear}; say so, or take the guesses with --yes"


def _given_labels(guess: Guess, given: Sequence[str]) -> dict[str, str]:
    """Return the labels with the texts that the command line gives some of them: `0=negative`."""
    labels = label_texts(guess)
    for one in given:
        value, equals, text = one.partition("=")
        if not equals or value not in labels:
            raise InputError(
                f"--label must be VALUE=TEXT with a value of column '{guess.target.name}' "
                f"({', '.join(map(shown, list(labels)[:10]))}), but got {shown(one)}"
            )
        labels[value] = text
    return labels


def _found(guess: Guess) -> str:
    reads = ", ".join(column.name for column in guess.inputs)
    what = f"{guess.kind}: {reads} -> {guess.target.name}"
    return f"{what} ({len(guess.labels)} labels)" if guess.labels else what


def _advice(tokens: Tokens) -> str:
    if tokens.letters == "LATIN":
        return "it cannot tell apart what stands for such characters, emoji for instance"
    return (
        f"most letters are {tokens.letters}, so better take a model that was trained on such texts, such as "
        "--model google/mt5-small"
    )


def _tell(console: Console, draft: Draft, out: Path) -> None:
    tokens = draft.tokens
    if tokens.unknown > _UNKNOWN or tokens.per_character > _IN_BYTES:
        console.print(
            f"this model's vocabulary does not fit the texts: {tokens.unknown:.1%} of the tokens are unknown "
            f"and a character takes {tokens.per_character:.1f} tokens; {_advice(tokens)}",
            soft_wrap=True,
        )
    for name in draft.methods:
        console.print(f"  {name}: {draft.remarks[name]}")
    console.print(f"{draft.remarks['total']}", soft_wrap=True)
    console.print(f"wrote {out}; read it, then: tuneoff run {out}", soft_wrap=True)
