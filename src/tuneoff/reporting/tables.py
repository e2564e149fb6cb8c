"""Build the tables of results: a row per task, method and train size, and a row per run."""

from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from tuneoff.phrases import listed, plural
from tuneoff.reporting.data import ReportData
from tuneoff.reporting.document import Entry, Link, Table
from tuneoff.reporting.forgetting import forgetting_columns, forgetting_entry
from tuneoff.reporting.formatting import ABSENT, NONE, count, decimal, in_words, mean_and_spread, percent
from tuneoff.results import BaselineRecord, RunRecord, SearchResult, StudyFolder, metric_name
from tuneoff.spec import RunSpec
from tuneoff.stats import SCORES, SPEEDS, Cell, measures

HEALTH_COLUMN = "Health"
_PLACES = dict.fromkeys(SPEEDS, 1)


def summary_csv(data: ReportData) -> pd.DataFrame:
    """Return a row per task, method and train size of the study, with the columns of summary.csv.

    Scores are means over complete runs, as fractions; `_std` columns hold sample standard deviations.
    A row without complete runs has n = 0 and no scores; an untrained method has no train size.
    """
    table = _planned_rows(data)
    names = _measure_names(data.summary)
    table["run_ids"] = [";".join(ids) for ids in table["run_ids"]]
    forgetting = _forgetting_values(data, table)
    table["train_size"] = table["train_size"].mask(table["method"].isin(data.untrained), None)
    titles = {
        "method": "Method",
        "task": "Task",
        "train_size": "Train size",
        "trainable_percent": "Trainable %",
    }
    counts = {name: f"{name}_parameters" for name in ("trainable", "stored", "deployed")}
    deviations = [f"{name}_std" for name in names]
    for name, values in forgetting.items():
        table[name] = values
    columns = [*titles, *names, *deviations, *forgetting, "n", *counts, "run_ids"]
    return table[columns].rename(columns=titles | counts)


def _forgetting_values(data: ReportData, table: pd.DataFrame) -> dict[str, list[float | None]]:
    """Return the columns of what the row's cells forget; none if the study does not measure it."""
    if data.study.forgetting is None:
        return {}
    cells = [_cell_of(row) for row in table.to_dict("records")]
    found = [data.judgement.forgotten.get(cell) for cell in cells]
    return {
        "forgetting": [one.increase.mean if one else None for one in found],
        "forgetting_low": [one.increase.low if one else None for one in found],
        "forgetting_high": [one.increase.high if one else None for one in found],
    }


def summary_table(data: ReportData) -> Table:
    """Return the same rows for reading: mean and standard deviation in one column."""
    names = _measure_names(data.summary)
    rows = [_summary_row(data, row, names) for row in _planned_rows(data).to_dict("records")]
    rows += [_baseline_row(data, one, names) for one in data.baselines]
    sizes = ["Train size"] if data.several_sizes else []
    texts = ("Method", "Task", *sizes)
    columns = (
        *texts,
        *forgetting_columns(data),
        "Trainable %",
        *map(metric_name, names),
        "n",
        "Trainable parameters",
        HEALTH_COLUMN,
    )
    return Table(columns, tuple(rows), text_columns=len(texts), ends_in_text=True)


def by_task(data: ReportData, table: Table) -> tuple[Table, ...]:
    """Split a table by its tasks, each without the columns that say nothing of it, its main metric first."""
    place = table.columns.index("Task")
    constant = {"Task"} if data.several_sizes else {"Task", "Train size"}
    tables = []
    for task, spec in data.study.tasks.items():
        rows = [row for row in table.rows if row[place] == task]
        filled = {column for row in rows for column, entry in enumerate(row) if entry not in (ABSENT, NONE)}
        texts = [column for column in sorted(filled) if column < table.text_columns]
        numbers = [column for column in sorted(filled) if column >= table.text_columns]
        numbers.sort(key=lambda column: table.columns[column] != metric_name(spec.main_metric))
        used = [column for column in texts + numbers if table.columns[column] not in constant]
        tables.append(
            Table(
                tuple(table.columns[column] for column in used),
                tuple(tuple(row[column] for column in used) for row in rows),
                text_columns=sum(column < table.text_columns for column in used),
                caption=task,
                ends_in_text=table.ends_in_text and used[-1:] == [len(table.columns) - 1],
            )
        )
    return tuple(one for one in tables if one.rows)


def runs_table(data: ReportData) -> Table:
    """Return a row per planned run: a link to its record, its state and its scores."""
    names = [
        name for name in _measure_names(data.summary) if name not in SPEEDS and data.runs[name].notna().any()
    ]
    rows = tuple(_run_row(run, record, names) for run, record in data.recorded)
    return Table(("Run", "State", *map(metric_name, names), "Kept step", "Steps done"), rows, text_columns=2)


def search_table(data: ReportData) -> Table:
    """Return a row per search: the trials, the chosen values, and whether these lie at an edge."""
    return Table(
        ("Method", "Task", "Train size", "Chosen", "Warning", "Validation score", "Trials", "Steps of each"),
        tuple(_search_row(result) for result in data.searches),
        text_columns=5,
    )


def _search_row(result: SearchResult) -> tuple[Entry, ...]:
    best = result.best
    chosen = ", ".join(f"{field} {value:.3g}" for field, value in best.values.items()) if best else ABSENT
    lost = ", ".join(f"{number} {in_words(state)}" for state, number in result.lost.items())
    edges = "; ".join(f"{field} at the {end} edge" for field, end in result.edges.items())
    return (
        result.method_name,
        listed(result.tasks),
        str(result.train_size),
        chosen,
        edges if best else "no trial has a score: the study's own values were used",
        decimal(best.score if best else None),
        f"{len(result.trials)} ({lost})" if lost else str(len(result.trials)),
        _lengths(result),
    )


def _lengths(result: SearchResult) -> str:
    """Return the steps of a search's trials; with halving, of how many trials: `9: 13, 3: 38, 1: 112`."""
    if not result.reached:
        return count(result.steps)
    return ", ".join(f"{plural(trials, 'trial')}: {count(steps)}" for steps, trials in result.reached)


def failures_table(data: ReportData) -> Table:
    """Return a row per run that did not complete or is excluded: state, kind of error and message."""
    excluded = tuple((one.name, "excluded", ABSENT, _shortened(one.reason)) for one in data.excluded)
    rows = tuple(
        (
            record_link(record.run_id),
            in_words(record.state),
            record.failure.kind if record.failure else ABSENT,
            _shortened(record.failure.message) if record.failure else ABSENT,
        )
        for record in data.records
        if record.state != "complete"
    )
    return Table(("Run", "State", "Error", "Message"), rows + excluded, text_columns=4)


@lru_cache(maxsize=100_000)
def record_link(run_id: str) -> Link:
    """Return a link to the record of a run, from the report's folder."""
    record = StudyFolder(Path("..")).run(run_id).record.as_posix()
    return Link(run_id, quote(record, safe="/=+,@"))


def train_size(data: ReportData, cell: Cell) -> str:
    """Format the train size of a cell; absent for an untrained method."""
    return ABSENT if cell.method in data.untrained else str(cell.train_size)


def _planned_rows(data: ReportData) -> pd.DataFrame:
    """Return the summary with a row for every cell of the plan, in its order."""
    rows_by_cell = {_cell_of(row): row for row in data.summary.to_dict("records")}
    empty = {"n": 0, "run_ids": (), "trainable_percent": float("nan")}
    rows = [rows_by_cell.get(cell, cell._asdict() | empty) for cell in data.cells]
    table = pd.DataFrame(rows, columns=list(data.summary.columns))
    return table.astype({name: kind for name, kind in data.summary.dtypes.items() if name != "run_ids"})


def _cell_of(row: dict[str, Any]) -> Cell:
    return Cell(row["task"], row["method"], row["train_size"])


def _measure_names(summary: pd.DataFrame) -> list[str]:
    """Return the scores that always have a column, the speeds, and then all other scores."""
    known = [*SCORES, *SPEEDS]
    return known + [name for name in measures(summary) if name not in known]


def _summary_row(data: ReportData, row: dict[str, Any], names: list[str]) -> tuple[Entry, ...]:
    cell = _cell_of(row)
    planned = sum(Cell.of(run) == cell for run in data.plan)
    sizes = [train_size(data, cell)] if data.several_sizes else []
    values = (mean_and_spread(row[name], row[f"{name}_std"], places=_PLACES.get(name, 3)) for name in names)
    n = str(row["n"]) if row["n"] == planned else f"{row['n']} of {planned}"
    trainable = None if pd.isna(row["trainable"]) else int(row["trainable"])
    share = percent(row["trainable_percent"])
    forgotten = (forgetting_entry(data, cell) for _ in forgetting_columns(data))
    health = _health(data, cell)
    return (cell.method, cell.task, *sizes, *forgotten, share, *values, n, count(trainable), health)


def _baseline_row(data: ReportData, one: BaselineRecord, names: list[str]) -> tuple[Entry, ...]:
    """Return a baseline in the columns of the methods: which trains no parameter of the model."""
    sizes = [str(one.train_size)] if data.several_sizes else []
    scores = (decimal(one.scores.get(name)) for name in names)
    note = "chosen with the references in sight: the best extract" if one.upper_bound else ABSENT
    forgotten = (ABSENT for _ in forgetting_columns(data))
    return (f"baseline {one.name}", one.task_name, *sizes, *forgotten, "0", *scores, "1", "0", note)


def _health(data: ReportData, cell: Cell) -> str:
    """List the findings about a cell's runs with the number of runs, and whether it beats its baseline."""
    runs = data.of_cell(cell)
    counts = Counter[str]()
    for record in runs:
        findings = data.judgement.findings.get(record.run_id, ())
        counts.update(list(dict.fromkeys(finding.check for finding in findings)))
    several = len(runs) > 1
    parts = [f"{check} ({n} of {len(runs)})" if several else check for check, n in counts.items()]
    against = data.judgement.against_baseline.get(cell)
    if against and not against.beaten:
        parts.append(f"not shown to beat {against.baseline}")
    return "; ".join(parts) or (NONE if runs else ABSENT)


def _run_row(run: RunSpec, record: RunRecord | None, names: list[str]) -> tuple[Entry, ...]:
    if record is None:
        return (run.run_id, "not run", *[ABSENT] * (len(names) + 2))
    scores = (decimal(record.scores.get(name), places=4) for name in names)
    steps = (count(record.best_step), count(record.steps))
    return (record_link(record.run_id), in_words(record.state), *scores, *steps)


def _shortened(message: str, *, length: int = 400) -> str:
    line = " ".join(message.split())
    return line if len(line) <= length else f"{line[:length]} ... (the rest is in the record)"
