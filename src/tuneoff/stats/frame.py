"""Tables of results: a row per run, and from these a row per task, method and train size."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from tuneoff.results import RunRecord
from tuneoff.stats.cells import Cell

SCORES = (
    "eval_accuracy",
    "eval_f1",
    "eval_loss",
    "eval_rouge1",
    "eval_rouge2",
    "eval_rougeL",
    "eval_rougeLsum",
)
"""Scores that always have a column, in the order of reports; others follow where a run has them."""
SPEEDS = ("eval_runtime", "eval_samples_per_second", "eval_steps_per_second")
COUNTS = ("trainable", "stored", "deployed")

_IDENTITY = (*Cell._fields, "seed", "run_id", "state")
_STEPS = ("best_step", "steps", "tokens", "train_rows")
_SECONDS = ("setup_seconds", "train_seconds", "total_seconds")


def frame(records: Iterable[RunRecord]) -> pd.DataFrame:
    """Tabulate runs, a row each: identity, state, test scores, parameter counts, steps and times.

    Times are in seconds; `forgetting` is there if a run measured it. What a run does not have is missing (NaN
    or NA), never 0.
    """
    records = tuple(records)
    scores = tuple(dict.fromkeys((*SCORES, *(name for record in records for name in record.scores))))
    measured = ("forgetting",) if any(record.forgetting for record in records) else ()
    floats = (*scores, *measured, *SPEEDS, "trainable_percent", *_SECONDS)
    integers = (*COUNTS, *_STEPS)
    table = pd.DataFrame([_row(record) for record in records], columns=[*_IDENTITY, *floats, *integers])
    types: dict[str, Any] = dict.fromkeys(floats, float) | dict.fromkeys(integers, "Int64")
    return table.astype(types | {"train_size": object})


def measures(table: pd.DataFrame) -> tuple[str, ...]:
    """Return the columns of a `frame` or `summary` that are averaged: scores and speeds."""
    named = (column for column in table.columns if column.startswith("eval_"))
    return tuple(column for column in named if not column.endswith("_std"))


def summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Tabulate cells (task, method, train size), a row each: the mean of each measure over complete runs.

    `<measure>_std` is the sample standard deviation (ddof=1), missing where there is one run; `n` and
    `run_ids` are the runs that the row is made from. Parameter counts are those of the first run.
    """
    names = measures(runs)
    complete = runs[runs["state"] == "complete"]
    rows = [
        _summary_row(Cell(*cell), part, names)
        for cell, part in complete.groupby(list(Cell._fields), sort=False)
    ]
    deviations = [f"{name}_std" for name in names]
    columns = [*Cell._fields, "n", "run_ids", *COUNTS, "trainable_percent", *names, *deviations]
    table = pd.DataFrame(rows, columns=columns)
    types: dict[str, Any] = dict.fromkeys((*names, *deviations, "trainable_percent"), float)
    return table.astype(types | dict.fromkeys(COUNTS, "Int64") | {"n": int, "train_size": object})


def _row(record: RunRecord) -> Mapping[str, Any]:
    spec, footprint, timings = record.spec, record.footprint, record.timings
    row: dict[str, Any] = {
        "task": spec.task_name,
        "method": spec.method_name,
        "train_size": spec.train_size,
        "seed": spec.seed,
        "run_id": record.run_id,
        "state": record.state,
        "best_step": record.best_step,
        "steps": record.steps,
        "tokens": record.tokens,
        **record.scores,
    }
    if record.forgetting:
        row["forgetting"] = record.forgetting.increase
    if record.data:
        row["train_rows"] = record.data.train.used
    if footprint:
        row |= {name: getattr(footprint, name) for name in (*COUNTS, "trainable_percent")}
    if timings:
        row |= {name: getattr(timings, name) for name in SPEEDS}
        row |= {name: getattr(timings, name.removesuffix("_seconds")) for name in _SECONDS}
    return row


def _summary_row(cell: Cell, part: pd.DataFrame, names: tuple[str, ...]) -> dict[str, Any]:
    values = part[list(names)]
    return {
        **cell._asdict(),
        "n": len(part),
        "run_ids": tuple(part["run_id"]),
        **part[[*COUNTS, "trainable_percent"]].iloc[0].to_dict(),
        **values.mean().to_dict(),
        **values.std(ddof=1).add_suffix("_std").to_dict(),
    }
