"""What a study came to, on a terminal: scores, failures, decisions and where the report is."""

import math

from rich.console import Console
from rich.table import Column, Table

from tuneoff.reporting import ReportData, Result
from tuneoff.reporting.forgetting import forgetting_columns
from tuneoff.reporting.formatting import signed
from tuneoff.results import metric_name
from tuneoff.stats import Cell

_MOST_DECISIONS = 5
_LONGEST_NAME = 100
"""Characters at or above which a method's name is cut."""


def print_outcome(console: Console, result: Result, *, of_shard: bool = False) -> bool:
    """Print scores, failures, decisions and the report's path; return whether every run has a result.

    After a shard, a run that was interrupted is that of another one, and does not count.
    """
    uncounted = ("complete", "cancelled") if of_shard else ("complete",)
    spread = "+/-" if console.options.ascii_only else "\u00b1"
    for task in result.data.study.tasks:
        console.print(_scores(result.data, task, spread))
    failed = [record for record in result.data.records if record.state not in uncounted]
    for record in failed:
        reason = record.failure.message if record.failure else "no reason recorded"
        console.print(f"{record.run_id}: {record.state.replace('_', ' ')}: {reason}", soft_wrap=True)
    for one in result.data.excluded:
        console.print(f"excluded: {one.name}: {one.reason}", soft_wrap=True)
    for warning in result.warnings:
        console.print(warning, soft_wrap=True)
    for decision in result.decisions[:_MOST_DECISIONS]:
        console.print(decision, soft_wrap=True)
    if (more := len(result.decisions) - _MOST_DECISIONS) > 0:
        console.print(f"and {more} more decisions in the report")
    console.print(f"report: {result.report.as_posix()}", soft_wrap=True)
    return not failed and not result.data.excluded


def _scores(data: ReportData, task: str, plus_minus: str) -> Table:
    """Return a table of a task's main metric by method; `plus_minus` stands before the standard deviation."""
    metric = data.study.tasks[task].main_metric
    order = [variant.name for variant in data.variants]
    rows = data.summary[data.summary["task"] == task].to_dict("records")
    table = Table(
        Column("method", overflow="fold"),
        "train size",
        title=task,
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    forgetting = [column.lower() for column in forgetting_columns(data)]
    for name in ("trainable %", metric_name(metric), *forgetting, "runs"):
        table.add_column(name, justify="right")
    for row in sorted(rows, key=lambda row: order.index(row["method"])):
        deviation = row[f"{metric}_std"]
        spread = "" if math.isnan(deviation) else f" {plus_minus} {deviation:.3f}"
        percent, score = f"{row['trainable_percent']:.3g}", f"{row[metric]:.3f}{spread}"
        name = row["method"] if len(row["method"]) <= _LONGEST_NAME else f"{row['method'][:_LONGEST_NAME]}..."
        found = data.judgement.forgotten.get(Cell(task, row["method"], row["train_size"]))
        forgotten = [signed(found.increase.mean) if found else "" for _ in forgetting]
        table.add_row(name, str(row["train_size"]), percent, score, *forgotten, str(row["n"]))
    return table
