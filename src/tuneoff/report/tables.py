"""The tables of results: a row per task, method and train size, and a row per run behind it."""

from collections import Counter
from urllib.parse import quote

import pandas as pd

from tuneoff.report.data import CellKey, ReportData
from tuneoff.report.document import Cell, Link, Table
from tuneoff.report.formatting import ABSENT, count, decimal, mean_and_spread, percent
from tuneoff.spec import BaselineRecord, RunRecord, RunSpec, SearchResult
from tuneoff.stats import CELL, SCORES, SPEEDS, measures

HEALTH = "Health"
_PLACES = dict.fromkeys(SPEEDS, 1)


def summary_csv(data: ReportData) -> pd.DataFrame:
    """A row per task, method and train size of the study, with the columns of summary.csv.

    Scores are means over complete runs, as fractions; `_std` columns hold sample standard deviations.
    A row without complete runs has n = 0 and no scores; an untrained method has no train size.
    """
    table = _planned(data)
    names = _ordered(data.summary)
    table["run_ids"] = [";".join(ids) for ids in table["run_ids"]]
    table["train_size"] = table["train_size"].mask(table["method"].isin(data.untrained), None)
    titles = {
        "method": "Method",
        "task": "Task",
        "train_size": "Train size",
        "trainable_percent": "Trainable %",
    }
    counts = {name: f"{name}_parameters" for name in ("trainable", "stored", "deployed")}
    deviations = [f"{name}_std" for name in names]
    columns = [*titles, *names, *deviations, "n", *counts, "run_ids"]
    return table[columns].rename(columns=titles | counts)


def summary_table(data: ReportData) -> Table:
    """The same rows for reading: mean and standard deviation in one cell."""
    names = _ordered(data.summary)
    table = _planned(data)
    columns = _columns(data, names)
    rows = [_summary_row(data, row, names) for row in table.to_dict("records")]
    baselines = [_baseline_row(data, one, names) for one in data.baselines]
    left = 3 if data.several_sizes else 2
    return Table(columns, tuple(rows + baselines), left=left, ends_in_text=True)


def task_tables(data: ReportData) -> tuple[Table, ...]:
    """A table per task, without the columns that are empty for it."""
    everything = summary_table(data)
    tables = []
    for task in data.study.tasks:
        rows = tuple(row for row in everything.rows if row[1] == task)
        used = [
            i for i, name in enumerate(everything.columns) if i != 1 and any(row[i] != ABSENT for row in rows)
        ]
        columns = tuple(everything.columns[i] for i in used)
        shown = tuple(tuple(row[i] for i in used) for row in rows)
        left = sum(name in ("Method", "Train size") for name in columns)
        ends_in_text = columns[-1:] == (HEALTH,)
        tables.append(Table(columns, shown, left=left, caption=task, ends_in_text=ends_in_text))
    return tuple(tables)


def runs_table(data: ReportData) -> Table:
    """A row per planned run: a link to its record, its state and its scores."""
    names = [name for name in _ordered(data.summary) if name not in SPEEDS and data.runs[name].notna().any()]
    known = {record.spec.key: record for record in data.records}
    plan = sorted(data.plan, key=lambda run: data.cells.index(_key(run)))
    rows = tuple(_run_row(run, known.get(run.key), names) for run in plan)
    return Table(("Run", "State", *names, "Kept step", "Steps done"), rows, left=2)


def search_table(data: ReportData) -> Table:
    """A row per search: how much was tried, what was chosen, and whether it lies at the edge."""
    return Table(
        ("Method", "Task", "Train size", "Chosen", "Warning", "Validation score", "Trials", "Steps of each"),
        tuple(_search_row(result) for result in data.searches),
        left=5,
    )


def _search_row(result: SearchResult) -> tuple[Cell, ...]:
    best = result.best
    chosen = ", ".join(f"{field} {value:.3g}" for field, value in best.values.items()) if best else ABSENT
    lost = ", ".join(f"{number} {state_in_words(state)}" for state, number in result.lost.items())
    edges = "; ".join(f"{field} at the {end} edge" for field, end in result.edges.items())
    return (
        result.method_name,
        result.task_name,
        str(result.train_size),
        chosen,
        edges if best else "no trial has a score: the study's own values were used",
        decimal(best.score if best else None),
        f"{len(result.trials)} ({lost})" if lost else str(len(result.trials)),
        count(result.steps),
    )


def failures_table(data: ReportData) -> Table:
    """A row per run that ended without being complete, or is left out: state, kind of error and message."""
    left_out = tuple((one.name, "left out", ABSENT, _shortened(one.reason)) for one in data.left_out)
    rows = tuple(
        (
            record_link(record.run_id),
            state_in_words(record.state),
            record.failure.kind if record.failure else ABSENT,
            _shortened(record.failure.message) if record.failure else ABSENT,
        )
        for record in data.records
        if record.state != "complete"
    )
    return Table(("Run", "State", "Error", "Message"), rows + left_out, left=4)


def record_link(run_id: str) -> Link:
    """A link to the record of a run, from the report's folder."""
    return Link(run_id, f"../runs/{quote(run_id, safe='=+,@ ').replace(' ', '%20')}/record.json")


def state_in_words(state: str) -> str:
    """A state in words."""
    return state.replace("_", " ")


def train_size(data: ReportData, cell: CellKey) -> str:
    """The train size of a row; absent for an untrained method."""
    return ABSENT if cell[1] in data.untrained else str(cell[2])


def _planned(data: ReportData) -> pd.DataFrame:
    """The summary with a row for every cell of the plan, in its order."""
    known = {tuple(row[name] for name in CELL): row for row in data.summary.to_dict("records")}
    none = {"n": 0, "run_ids": (), "trainable_percent": float("nan")}
    rows = [known.get(cell, dict(zip(CELL, cell, strict=True)) | none) for cell in data.cells]
    table = pd.DataFrame(rows, columns=list(data.summary.columns))
    return table.astype({name: kind for name, kind in data.summary.dtypes.items() if name != "run_ids"})


def _ordered(summary: pd.DataFrame) -> list[str]:
    """Scores that always have a column, speeds, and then what else was scored."""
    known = [*SCORES, *SPEEDS]
    return known + [name for name in measures(summary) if name not in known]


def _columns(data: ReportData, names: list[str]) -> tuple[str, ...]:
    sizes = ["Train size"] if data.several_sizes else []
    return ("Method", "Task", *sizes, "Trainable %", *names, "n", "Trainable parameters", HEALTH)


def _summary_row(data: ReportData, row: dict[str, object], names: list[str]) -> tuple[Cell, ...]:
    cell: CellKey = (row["task"], row["method"], row["train_size"])  # type: ignore[assignment]
    planned = sum(_key(run) == cell for run in data.plan)
    sizes = [train_size(data, cell)] if data.several_sizes else []
    values = (
        mean_and_spread(row[name], row[f"{name}_std"], places=_PLACES.get(name, 3))  # type: ignore[arg-type]
        for name in names
    )
    n = str(row["n"]) if row["n"] == planned else f"{row['n']} of {planned}"
    trainable = None if pd.isna(row["trainable"]) else int(row["trainable"])  # type: ignore[call-overload]
    share = percent(row["trainable_percent"])  # type: ignore[arg-type]
    return (cell[1], cell[0], *sizes, share, *values, n, count(trainable), _health(data, cell))


def _baseline_row(data: ReportData, one: BaselineRecord, names: list[str]) -> tuple[Cell, ...]:
    """A baseline in the columns of the methods: computed once, without parameters."""
    sizes = [str(one.train_size)] if data.several_sizes else []
    scores = (decimal(one.scores.get(name)) for name in names)
    note = "sees the references: an upper bound" if one.upper_bound else ABSENT
    return (f"baseline {one.name}", one.task_name, *sizes, ABSENT, *scores, "1", ABSENT, note)


def _health(data: ReportData, cell: CellKey) -> str:
    """The verdicts on a row's runs with the number of runs, and whether the row is above its baseline."""
    runs = data.of_cell(cell)
    verdicts = Counter(
        verdict
        for record in runs
        for verdict in dict.fromkeys(one.check for one in data.judgement.findings.get(record.run_id, ()))
    )
    several = len(runs) > 1
    told = [f"{verdict} ({n} of {len(runs)})" if several else verdict for verdict, n in verdicts.items()]
    against = data.judgement.against_baseline.get(cell)
    if against and not against.beaten:
        told.append(f"not above {against.baseline}")
    return "; ".join(told) or ABSENT


def _run_row(run: RunSpec, record: RunRecord | None, names: list[str]) -> tuple[Cell, ...]:
    if record is None:
        return (run.run_id, "not run", *[ABSENT] * (len(names) + 2))
    scores = (decimal(record.scores.get(name), places=4) for name in names)
    steps = (count(record.best_step), count(record.steps))
    return (record_link(record.run_id), state_in_words(record.state), *scores, *steps)


def _key(run: RunSpec) -> CellKey:
    return run.task_name, run.method_name, run.train_size


def _shortened(message: str, *, length: int = 400) -> str:
    line = " ".join(message.split())
    return line if len(line) <= length else f"{line[:length]} ... (the rest is in the record)"
