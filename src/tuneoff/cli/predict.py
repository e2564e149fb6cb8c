"""`tuneoff predict`: a tuned model's answers to a file or a text, as a table."""

import json
import sys
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import tuneoff.api
from tuneoff.cli.terminal import Terminal
from tuneoff.errors import InputError, suggestions, visible, writing
from tuneoff.phrases import plural

_WRITERS = (".csv", ".tsv", ".jsonl", ".parquet")
"""Endings of the files that predictions can be written to."""
_NAMED = 5
"""Rows without text that are named."""


def predict_rows(
    run: Path,
    *,
    source: Path | None,
    text: str | None,
    output: Path | None,
    model: str | None,
    task: str | None,
    batch_size: int | None,
) -> None:
    """Write the predictions to a file, or as csv to standard output; rows without text have none.

    Raises:
        InputError: the run, the rows or the output cannot be used.
    """
    if (source is None) == (text is None):
        raise InputError("tuneoff predict needs rows: either --input FILE or --text TEXT")
    if output is not None and output.suffix.lower() not in _WRITERS:
        raise InputError(
            f"--output: unsupported file type '{output.suffix}'{suggestions(output.suffix, _WRITERS)}"
        )
    if source is not None and output is not None and output.exists() and output.samefile(source):
        raise InputError(f"--output must not be the file of --input, '{source}'; give another")
    tuned = tuneoff.api.load_method(run, model=model, task=task)
    rows: Path | list[dict[str, str]]
    if source is not None:
        rows = source
    elif len(tuned.columns) == 1:
        rows = [{tuned.columns[0]: text or ""}]
    else:
        raise InputError(
            f"--text is for models that read one column, but this one reads {', '.join(tuned.columns)}; give "
            "a file with --input"
        )
    # standard output is for the predictions
    with Progress(
        TextColumn("predicting"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=True,
    ) as progress:
        bar = progress.add_task("", total=None)
        table = tuneoff.api.predict(
            tuned, rows, batch_size=batch_size, on_progress=lambda count: progress.advance(bar, count)
        )
    _tell_unread(table)
    write(table, output)


def _tell_unread(table: pd.DataFrame) -> None:
    """Say on standard error which rows have no text, and so no prediction."""
    unread = [number for number, is_unread in enumerate(table["answer"].isna(), start=1) if is_unread]
    if unread:
        rows = plural(len(unread), "row")
        numbers = ", ".join(map(str, unread[:_NAMED])) + (", ..." if len(unread) > _NAMED else "")
        Terminal(stderr=True).print(f"no prediction for {rows} with an empty column: {numbers}")


def write(table: pd.DataFrame, output: Path | None) -> None:
    """Write a table to a file, in the format of its ending, or as csv to standard output."""
    if output is None:
        text = table.to_csv(index=False)
        sys.stdout.write(visible(text) if sys.stdout.isatty() else text)
        return
    with writing(output):
        match output.suffix.lower():
            case ".csv":
                table.to_csv(output, index=False)
            case ".tsv":
                table.to_csv(output, index=False, sep="\t")
            case ".jsonl":
                # pandas would round small shares to 0
                rows = table.astype(object).where(table.notna(), None).to_dict("records")
                lines = [f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows]
                output.write_text("".join(lines), encoding="utf-8")
            case ".parquet":
                table.to_parquet(output, index=False)
