"""Build the table of LoRA that was cut after training."""

from tuneoff.reporting.data import ReportData
from tuneoff.reporting.document import Table
from tuneoff.reporting.formatting import ABSENT, byte_size, decimal, signed, span
from tuneoff.reporting.tables import train_size
from tuneoff.results import metric_name
from tuneoff.stats import Cell, Cut


def note(data: ReportData) -> str:
    """Return how to read the table and the charts."""
    margin = f"{data.study.decision_margin:g}"
    return (
        "After training, the singular values of LoRA's updates of all layers are cut at one threshold "
        "(PARA, arXiv:2604.27796), so that at most the share under Kept is left of its parameters; what is "
        "left is tested. Nothing is chosen by these scores. Difference: from the whole, on the same seeds "
        f"and test examples. Within {margin}: this cut, and every one that keeps more, is shown to cost less "
        "than that. Cuts are tested in this order, so that all claims about a method together are wrong at "
        "most 2.5% of the time. `tuneoff prune` saves a run's method cut to a share."
    )


def cuts_table(data: ReportData) -> Table:
    """Return a row per method and share: the score of what is left, and what it costs against the whole."""
    within = f"Within {data.study.decision_margin:g}"
    columns = (
        *("Method", "Task", "Train size", "Metric", "Kept", "Stored", "Mean", "95% interval"),
        *("Difference", "Its 95% interval", within),
    )
    rows = tuple(
        _row(data, cell, cut)
        for cell in data.cells
        if cell in data.judgement.cuts
        for cut in data.judgement.cuts[cell]
    )
    return Table(columns, rows, text_columns=4, ends_in_text=True)


def _row(data: ReportData, cell: Cell, cut: Cut) -> tuple[str, ...]:
    gap = cut.difference
    claim = "single seed, no claim" if cut.score.seeds == 1 else "shown" if cut.within_margin else "not shown"
    return (
        cell.method,
        cell.task,
        train_size(data, cell),
        metric_name(data.study.tasks[cell.task].main_metric),
        f"{cut.keep:.3g}",
        byte_size(cut.stored_bytes),
        decimal(cut.score.mean),
        span(cut.score.low, cut.score.high),
        signed(gap.mean) if gap else ABSENT,
        f"{signed(gap.low)} to {signed(gap.high)}" if gap else ABSENT,
        claim if gap else ABSENT,
    )
