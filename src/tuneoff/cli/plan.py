"""The plan of a study on a terminal: each run with its size and time, and what the study could show."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tuneoff.cli.progress import Progress
from tuneoff.cli.terminal import Terminal
from tuneoff.reporting import PlannedTask, power_statements, race_plan
from tuneoff.reporting.formatting import byte_size, duration
from tuneoff.spec import StudySpec, expand, searches
from tuneoff.study import Estimate, check, count_baselines, estimate
from tuneoff.study.tune import planned_trainings
from tuneoff.training import Session

_WIDTH = 132
"""Run ids are there to be copied: a narrow terminal wraps them, it must not cut them."""


def print_plan(spec: StudySpec, console: Console) -> None:
    """Time each method on each task, and print the runs, their time, and what the study could show."""
    runs, found = expand(spec), searches(spec)
    with console.status("timing each method on each task"):
        session = Session()
        check(spec, session, Progress(console).show)
        estimates = estimate(runs, session)
        trainings = planned_trainings(found, session)
        of_trainings = estimate([run for run, _ in trainings], session)
    Terminal(width=max(console.width, _WIDTH)).print(_table(estimates))
    for method, reason in {item.run.method_name: item.unfit for item in estimates if item.unfit}.items():
        console.print(f"method '{method}' is not possible: {reason}", soft_wrap=True)
    test_rows = {item.run.task_name: item.test_rows for item in estimates}
    if spec.race:
        seconds = {item.run.run_id: item.seconds for item in estimates}
        console.print(race_plan(spec, runs, seconds=seconds, examples=test_rows), soft_wrap=True)
    else:
        total = duration(sum(item.seconds for item in estimates))
        console.print(f"{len(runs)} runs, about {total} one at a time on this machine")
    if found:
        count = sum(search.trials * len(search.seeds) for search in found)
        of_trials = (one.trial_seconds * n for one, (_, n) in zip(of_trainings, trainings, strict=True))
        longer = duration(sum(of_trials))
        console.print(f"plus {count} search trials in {len(found)} searches first, about {longer}")
    baselines = count_baselines(spec, session)
    planned = {task: PlannedTask(rows, baselines[task]) for task, rows in test_rows.items()}
    for line in power_statements(spec, planned):
        console.print(line, soft_wrap=True)


def _table(estimates: Sequence[Estimate]) -> Table:
    """Return a table of the runs: parameters, time and memory (a CUDA device's own, if it is on one)."""
    table = Table(box=None, pad_edge=False)
    table.add_column("run", no_wrap=True)
    for name in ("trainable", "%", "receiving\ngradient", "stored", "deployed", "memory", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for item in estimates:
        counts = item.footprint
        if counts is None:
            table.add_row(item.run.run_id, *"------", "not possible")
            continue
        table.add_row(
            item.run.run_id,
            f"{counts.trainable:,}",
            f"{counts.trainable_percent:.3g}",
            f"{counts.receiving_gradient:,}",
            f"{counts.stored:,}",
            f"{counts.deployed:,}",
            byte_size(item.memory),
            duration(item.seconds),
        )
    return table
