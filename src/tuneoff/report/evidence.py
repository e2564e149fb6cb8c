"""The tables behind what is said: intervals, comparisons, run health."""

from collections import Counter
from collections.abc import Iterable

from tuneoff.report.data import CellKey, ReportData
from tuneoff.report.document import Cell, Table
from tuneoff.report.formatting import ABSENT, count, decimal, signed
from tuneoff.report.tables import HEALTH, record_link, train_size
from tuneoff.spec import TrainSize
from tuneoff.stats import Comparison, Crossover, Interval, rate_bound

_LOST = frozenset({"collapsed", "diverged"})
"""Verdicts on a seed that gave no usable model."""


def intervals_table(data: ReportData) -> Table:
    """A row per task, method and train size: mean, 95% interval, and where it comes from."""
    known = data.judgement.intervals
    rows = tuple(_interval_row(data, cell, known[cell]) for cell in data.cells if cell in known)
    columns = ("Method", "Task", "Train size", "Metric", "Mean", "95% interval", "Error by seeds")
    return Table(
        (*columns, "Error by test set", "Seeds", "Examples", HEALTH), rows, left=4, ends_in_text=True
    )


def lost_seeds(data: ReportData) -> str:
    """Return how many seeds collapsed or diverged, and which rate of such seeds is still possible."""
    groups: dict[tuple[int, int], list[str]] = {}
    for cell in data.cells:
        runs = [one for one in data.of_cell(cell) if one.state in ("complete", "diverged")]
        if runs and cell[1] not in data.untrained:
            found = [data.judgement.findings.get(one.run_id, ()) for one in runs]
            lost = sum(any(finding.check in _LOST for finding in findings) for findings in found)
            name = " ".join(map(str, cell if data.several_sizes else cell[:2]))
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
    return f"{'; '.join(parts)} (exact 95% bound). No interval knows of what no seed has shown."


def rejections(data: ReportData, task: str, method: str, sizes: Iterable[TrainSize]) -> list[str]:
    """Return the verdicts by which health checks reject runs of a method, with their number if not all."""
    runs = [run for size in dict.fromkeys(sizes) for run in data.of_cell((task, method, size))]
    runs = runs or list(data.of_cell((task, method, "full")) if method in data.untrained else ())
    verdicts = Counter(
        verdict
        for run in runs
        for verdict in {
            finding.check
            for finding in data.judgement.findings.get(run.run_id, ())
            if finding.level == "error"
        }
    )
    return [
        verdict if number == len(runs) else f"{verdict} in {number} of {len(runs)} runs"
        for verdict, number in sorted(verdicts.items())
    ]


def comparisons_table(data: ReportData) -> Table:
    """A row per method and reference: the difference, how sure it is, and the verdict."""
    sides = ("Method", "Reference", "Task", "Train size", "Verdict")
    margin = ("p not inferior (Holm)", "p equivalent (Holm)") if data.study.comparison.margin else ()
    tests = ("Difference", "95% interval", "p (Holm)", *margin)
    rows = tuple(_comparison_row(data, one) for one in data.judgement.comparisons)
    columns = (*sides, *tests, "Effect size", "Sign-flip p", "Seeds", "Examples", HEALTH)
    return Table(columns, rows, left=5, ends_in_text=True)


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
            _health(data, one.task, [one.method, one.reference], data.study.train_sizes),
        )
        for one in data.judgement.crossovers
    )
    columns = ("Method", "Reference", "Task", "Ahead with more rows", "Equal at rows", "95% interval", HEALTH)
    return Table(columns, rows, left=4, ends_in_text=True)


def crossover_interval(one: Crossover) -> str:
    """The interval in rows."""
    return f"{count(round(one.low))} to {count(round(one.high))}"


def health_table(data: ReportData) -> Table:
    """A row per finding about a run, the graver first, and those about the whole study."""
    rows: list[tuple[Cell, ...]] = [
        (record_link(run_id), finding.check, finding.evidence, finding.level)
        for run_id, findings in data.judgement.findings.items()
        for finding in findings
    ]
    rows += [("all runs", one.check, one.evidence, one.level) for one in data.judgement.study_findings]
    graver_first = sorted(rows, key=lambda row: str(row[3]))
    return Table(("Run", "Check", "Evidence", "Level"), tuple(graver_first), left=4)


def _interval_row(data: ReportData, cell: CellKey, one: Interval) -> tuple[str, ...]:
    task, method, size = cell
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
        " and ".join(rejections(data, task, method, [size])) or ABSENT,
    )


def _health(data: ReportData, task: str, methods: list[str], sizes: Iterable[TrainSize]) -> str:
    """What health checks found against the runs of methods."""
    found = {name: " and ".join(rejections(data, task, name, sizes)) for name in methods}
    return "; ".join(f"{name}: {verdicts}" for name, verdicts in found.items() if verdicts) or ABSENT


def _comparison_row(data: ReportData, one: Comparison) -> tuple[str, ...]:
    gap = one.difference
    tests = (one.p_noninferiority_adjusted, one.p_equivalence_adjusted)
    margin = [decimal(p, places=4) for p in tests] if data.study.comparison.margin else []
    flip = decimal(one.sign_flip_p, places=4)
    return (
        one.method,
        one.reference,
        one.task,
        train_size(data, (one.task, one.method, one.train_size)),
        one.outcome,
        signed(gap.mean),
        f"{signed(gap.low)} to {signed(gap.high)}",
        decimal(one.p_adjusted, places=4),
        *margin,
        decimal(one.effect_size, places=2),
        flip if one.sign_flip_floor is None else f"{flip} (least {one.sign_flip_floor:.3g})",
        str(gap.seeds),
        count(gap.examples),
        _health(data, one.task, [one.method, one.reference], [one.train_size]),
    )
