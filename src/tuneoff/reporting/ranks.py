"""The ranks that methods chose while training: which layers needed more."""

from collections.abc import Iterator

from tuneoff.reporting import charts
from tuneoff.reporting.data import ReportData
from tuneoff.reporting.document import Table
from tuneoff.reporting.figures import Drawing
from tuneoff.reporting.formatting import decimal
from tuneoff.reporting.tables import train_size
from tuneoff.stats import Cell


def ranks_table(data: ReportData) -> Table:
    """Return a row per place in the layers: the mean rank, and that of each layer, first one first."""
    rows = []
    for cell, runs in _chosen_ranks(data):
        for place, own in charts.ranks_data(runs).groupby("place", sort=False):
            each = ", ".join(f"{rank:.3g}" for rank in own.sort_values("layer")["rank"])
            mean = decimal(own["rank"].mean(), places=2)
            rows.append((cell.method, cell.task, train_size(data, cell), str(place), mean, each))
    columns = ("Method", "Task", "Train size", "Updated layer", "Mean rank", "Rank of each, first one first")
    return Table(columns, tuple(rows), text_columns=4, ends_in_text=True)


def rank_figures(data: ReportData, *, narrow: bool = False) -> Iterator[Drawing]:
    """Yield the ranks of each method that chose some, by task and train size."""
    for cell, runs in _chosen_ranks(data):
        size = f", train size {cell.train_size}" if data.several_sizes else ""
        title = f"{cell.task}: ranks of {cell.method}{size}"
        chart = charts.draw_ranks(charts.ranks_data(runs), title=title, narrow=narrow)
        yield Drawing(f"ranks-{cell.task}-{cell.method}-n{cell.train_size}", title, chart)


def _chosen_ranks(data: ReportData) -> Iterator[tuple[Cell, list[dict[str, int]]]]:
    for cell in data.cells:
        if runs := [run.ranks for run in data.of_cell(cell) if run.ranks]:
            yield cell, runs
