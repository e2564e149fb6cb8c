"""Build the tables of evidence: intervals, comparisons, crossovers, run health."""

from collections import Counter
from collections.abc import Iterable

from tuneoff.reporting.data import ReportData
from tuneoff.reporting.document import Entry, Table
from tuneoff.reporting.formatting import NONE, count, decimal, signed, signed_span, span
from tuneoff.reporting.tables import record_link, train_size
from tuneoff.results import metric_name
from tuneoff.spec import TrainSize
from tuneoff.stats import Cell, Comparison, Crossover, Forgotten, Interval, Level, rate_bound

FAILED_COLUMN = "Failed checks"
_LOST = frozenset({"collapsed", "diverged"})
"""Checks that a seed without a usable model fails."""


def intervals_table(data: ReportData) -> Table:
    """Return a row per task, method and train size: the mean with its 95% interval and standard errors."""
    intervals = data.judgement.intervals
    rows = tuple(_interval_row(data, cell, intervals[cell]) for cell in data.cells if cell in intervals)
    columns = (
        "Method",
        "Task",
        "Train size",
        "Metric",
        "Mean",
        "95% interval",
        "Error by seeds",
        "Error by test set",
        "Seeds",
        "Examples",
        FAILED_COLUMN,
    )
    return Table(columns, rows, text_columns=4, ends_in_text=True)


def forgetting_table(data: ReportData) -> Table:
    """Return a row per task, method and train size: the loss on general text before and after tuning."""
    forgotten = data.judgement.forgotten
    rows = tuple(_forgetting_row(data, cell, forgotten[cell]) for cell in data.cells if cell in forgotten)
    columns = (
        *("Method", "Task", "Train size", "Loss before", "Loss after", "Increase", "95% interval"),
        *("Error by seeds", "Error by texts", "Seeds", "Texts", "Tokens", "Cut texts"),
    )
    return Table(columns, rows, text_columns=3)


def _forgetting_row(data: ReportData, cell: Cell, one: Forgotten) -> tuple[Entry, ...]:
    return (
        cell.method,
        cell.task,
        train_size(data, cell),
        decimal(one.before),
        decimal(one.after),
        signed(one.increase.mean),
        signed_span(one.increase.low, one.increase.high),
        decimal(one.increase.seed_error),
        decimal(one.increase.test_error),
        str(one.increase.seeds),
        count(one.texts),
        count(one.tokens),
        count(one.truncated),
    )


def lost_seeds(data: ReportData) -> str:
    """Return how many seeds collapsed or diverged, and which rate of such seeds is still possible."""
    groups: dict[tuple[int, int], list[str]] = {}
    for cell in data.cells:
        runs = [one for one in data.of_cell(cell) if one.state in ("complete", "diverged")]
        if runs and cell.method not in data.untrained:
            checks = [{one.check for one in data.judgement.findings.get(run.run_id, ())} for run in runs]
            lost = sum(not _LOST.isdisjoint(failed) for failed in checks)
            size = [str(cell.train_size)] if data.several_sizes else []
            name = " ".join([cell.task, cell.method, *size])
            groups.setdefault((lost, len(runs)), []).append(name)
    parts = []
    for (lost, seeds), names in sorted(groups.items()):
        whose = f"({', '.join(names)})" if len(groups) > 1 else "for every trained method"
        parts.append(
            f"{lost} of {seeds} seeds collapsed or diverged {whose}: "
            f"a rate of up to {rate_bound(lost, seeds):.0%} is possible"
        )
    if not parts:
        return ""
    return (
        f"{'; '.join(parts)} (exact 95% bound). Intervals cannot allow for failures that no seed has shown."
    )


def failed_checks(data: ReportData, task: str, method: str, sizes: Iterable[TrainSize]) -> list[str]:
    """Return the health checks that runs of a method failed, with the number of runs if not all failed."""
    runs = [run for size in dict.fromkeys(sizes) for run in data.of_cell(Cell(task, method, size))]
    if not runs and method in data.untrained:
        runs = list(data.of_cell(Cell(task, method, "full")))
    failures = Counter[str]()
    for run in runs:
        findings = data.judgement.findings.get(run.run_id, ())
        failures.update({finding.check for finding in findings if finding.level == "error"})
    return [
        check if number == len(runs) else f"{check} in {number} of {len(runs)} runs"
        for check, number in sorted(failures.items())
    ]


def comparisons_table(data: ReportData) -> Table:
    """Return a row per method and reference: the outcome, the difference and its tests."""
    sides = ("Method", "Reference", "Task", "Train size")
    margin = ("p not inferior (Holm)", "p equivalent (Holm)") if data.study.comparison.margin else ()
    tests = ("Difference", "95% interval", "Outcome", "p (Holm)", *margin)
    rows = tuple(_comparison_row(data, one) for one in data.judgement.comparisons)
    columns = (*sides, *tests, "Effect size", "Sign-flip p", "Seeds", "Examples", FAILED_COLUMN)
    return Table(columns, rows, text_columns=4, ends_in_text=True)


def crossovers_table(data: ReportData) -> Table:
    """Return a row per method and reference whose order changes with the training rows."""
    rows = tuple(
        (
            one.method,
            one.reference,
            one.task,
            one.ahead,
            count(round(one.rows)),
            crossover_interval(one),
            _health(data, one.task, [one.method, one.reference], data.study.train_sizes),
        )
        for one in data.judgement.crossovers
    )
    texts = ("Method", "Reference", "Task", "Ahead with more rows")
    columns = (*texts, "Equal at rows", "95% interval", FAILED_COLUMN)
    return Table(columns, rows, text_columns=len(texts), ends_in_text=True)


def crossover_interval(one: Crossover) -> str:
    """Format the interval, in rows."""
    return f"{count(round(one.low))} to {count(round(one.high))}"


def checks_table(data: ReportData) -> Table:
    """Return a row per check that runs failed or warned of: errors first, with the methods of these runs."""
    found: dict[tuple[Level, str], Counter[str]] = {}
    for record in data.records:
        findings = data.judgement.findings.get(record.run_id, ())
        for level, check in dict.fromkeys((one.level, one.check) for one in findings):
            method = f"{record.spec.task_name} {record.spec.method_name}"
            found.setdefault((level, check), Counter())[method] += 1
    rows: dict[Level, list[tuple[Entry, ...]]] = {"error": [], "warning": []}
    for (level, name), methods in found.items():
        whose = ", ".join(f"{method} ({number})" for method, number in methods.items())
        rows[level].append((name, level, str(methods.total()), whose))
    ordered = (*rows["error"], *rows["warning"])
    return Table(("Check", "Level", "Runs", "Whose"), ordered, text_columns=2, ends_in_text=True)


def health_table(data: ReportData) -> Table:
    """Return a row per finding about a run or about the whole study: errors first, then warnings."""
    rows: dict[Level, list[tuple[Entry, ...]]] = {"error": [], "warning": []}
    for run_id, findings in data.judgement.findings.items():
        for one in findings:
            rows[one.level].append((record_link(run_id), one.check, one.level, one.evidence))
    for one in data.judgement.study_findings:
        rows[one.level].append(("all runs", one.check, one.level, one.evidence))
    ordered = (*rows["error"], *rows["warning"])
    return Table(("Run", "Check", "Level", "Evidence"), ordered, text_columns=4)


def _interval_row(data: ReportData, cell: Cell, one: Interval) -> tuple[str, ...]:
    return (
        cell.method,
        cell.task,
        train_size(data, cell),
        metric_name(data.study.tasks[cell.task].main_metric),
        decimal(one.mean),
        span(one.low, one.high),
        decimal(one.seed_error, places=4),
        decimal(one.test_error, places=4),
        str(one.seeds),
        count(one.examples),
        " and ".join(failed_checks(data, cell.task, cell.method, [cell.train_size])) or NONE,
    )


def _health(data: ReportData, task: str, methods: list[str], sizes: Iterable[TrainSize]) -> str:
    """List the health checks that runs of methods failed."""
    failed = {name: " and ".join(failed_checks(data, task, name, sizes)) for name in methods}
    return "; ".join(f"{name}: {checks}" for name, checks in failed.items() if checks) or NONE


def _comparison_row(data: ReportData, one: Comparison) -> tuple[str, ...]:
    gap = one.difference
    tests = (one.p_noninferiority_adjusted, one.p_equivalence_adjusted)
    margin = [decimal(p, places=4) for p in tests] if data.study.comparison.margin else []
    flip = decimal(one.sign_flip_p, places=4)
    return (
        one.method,
        one.reference,
        one.task,
        train_size(data, Cell(one.task, one.method, one.train_size)),
        signed(gap.mean),
        f"{signed(gap.low)} to {signed(gap.high)}",
        one.outcome,
        decimal(one.p_adjusted, places=4),
        *margin,
        decimal(one.effect_size, places=2),
        flip if one.sign_flip_floor is None else f"{flip} (minimum {one.sign_flip_floor:.3g})",
        str(gap.seeds),
        count(gap.examples),
        _health(data, one.task, [one.method, one.reference], [one.train_size]),
    )
