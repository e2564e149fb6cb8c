"""The tables behind what is said: intervals, comparisons, run health."""

from tuneoff.report.data import CellKey, ReportData
from tuneoff.report.document import Cell, Table
from tuneoff.report.numerals import count, decimal, signed
from tuneoff.report.tables import record_link, train_size
from tuneoff.stats import Comparison, Crossover, Interval


def intervals_table(data: ReportData) -> Table:
    """A row per task, method and train size: mean, 95 % interval, and where it comes from."""
    known = data.judgement.intervals
    rows = tuple(_interval_row(data, cell, known[cell]) for cell in data.cells if cell in known)
    columns = ("Method", "Task", "Train size", "Metric", "Mean", "95 % interval", "Error by seeds")
    return Table((*columns, "Error by test set", "Seeds", "Examples"), rows, left=4)


def comparisons_table(data: ReportData) -> Table:
    """A row per method and reference: the difference, how sure it is, and the verdict."""
    sides = ("Method", "Reference", "Task", "Train size", "Verdict")
    margin = ("p equivalent (Holm)",) if data.study.comparison.margin else ()
    tests = ("Difference", "95 % interval", "p (Holm)", *margin)
    rows = tuple(_comparison_row(data, one) for one in data.judgement.comparisons)
    return Table((*sides, *tests, "Effect size", "Sign-flip p", "Seeds", "Examples"), rows, left=5)


def crossovers_table(data: ReportData) -> Table:
    """A row per method and reference whose order changes with the training rows."""
    rows = tuple(
        (
            one.method,
            one.reference,
            one.task,
            one.ahead,
            count(round(one.rows)),
            crossover_interval(one),
        )
        for one in data.judgement.crossovers
    )
    columns = ("Method", "Reference", "Task", "Ahead with more rows", "Equal at rows", "95 % interval")
    return Table(columns, rows, left=4)


def crossover_interval(one: Crossover) -> str:
    """The interval in rows; an open end lies beyond the study's train sizes."""
    low = count(round(one.low)) if one.low is not None else "below the smallest size"
    high = count(round(one.high)) if one.high is not None else "above the largest size"
    return f"{low} to {high}"


def health_table(data: ReportData) -> Table:
    """A row per finding about a run, the graver first, and those about the whole study."""
    rows: list[tuple[Cell, ...]] = [
        (record_link(run_id), finding.verdict, finding.evidence, finding.severity)
        for run_id, findings in data.judgement.findings.items()
        for finding in findings
    ]
    rows += [("all runs", one.verdict, one.evidence, one.severity) for one in data.judgement.study_findings]
    graver_first = sorted(rows, key=lambda row: str(row[3]))
    return Table(("Run", "Verdict", "Evidence", "Severity"), tuple(graver_first), left=4)


def _interval_row(data: ReportData, cell: CellKey, one: Interval) -> tuple[str, ...]:
    task, method, _ = cell
    return (
        method,
        task,
        train_size(data, cell),
        data.study.tasks[task].main_metric,
        decimal(one.mean),
        f"{decimal(one.low)} to {decimal(one.high)}",
        decimal(one.seed_error, places=4),
        decimal(one.test_error, places=4),
        str(one.seeds),
        count(one.examples),
    )


def _comparison_row(data: ReportData, one: Comparison) -> tuple[str, ...]:
    gap = one.difference
    margin = (decimal(one.p_equivalence_adjusted, places=4),) if data.study.comparison.margin else ()
    flip = decimal(one.sign_flip_p, places=4)
    return (
        one.method,
        one.reference,
        one.task,
        train_size(data, (one.task, one.method, one.train_size)),
        one.verdict,
        signed(gap.mean),
        f"{signed(gap.low)} to {signed(gap.high)}",
        decimal(one.p_adjusted, places=4),
        *margin,
        decimal(one.effect_size, places=2),
        flip if one.sign_flip_floor is None else f"{flip} (least {one.sign_flip_floor:.3g})",
        str(gap.seeds),
        count(gap.examples),
    )
