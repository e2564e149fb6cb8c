"""Give a study's results as LaTeX for a paper: a table for each decision, and a paragraph of methods."""

import re

from tabulate import tabulate

from tuneoff.errors import visible
from tuneoff.reporting.data import ReportData
from tuneoff.reporting.decision import best_first, candidate_cell, price_in_words, price_of
from tuneoff.reporting.forgetting import forgetting_columns, forgetting_entry
from tuneoff.reporting.formatting import decimal, span
from tuneoff.reporting.methods import described_methods
from tuneoff.results import metric_name
from tuneoff.stats import Candidate, Decision, TaskSize

COLUMNS = ("Method", "Trained", "Stored", "Mean", "95% interval", "Costs at most")
_SPECIAL = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def latex(data: ReportData) -> str:
    """Return tables (which need the package booktabs) and a paragraph on how the study was done."""
    tables = [_table(data, place, decision) for place, decision in data.judgement.decisions.items()]
    return "\n\n".join(["% needs \\usepackage{booktabs}", *tables, _paragraph(data)]) + "\n"


def escaped(text: str) -> str:
    """Return the text as LaTeX that shows it literally, on one line."""
    line = visible(" ".join(text.split()))
    return re.sub("|".join(map(re.escape, _SPECIAL)), lambda found: _SPECIAL[found[0]], line)


def _table(data: ReportData, place: TaskSize, decision: Decision) -> str:
    columns = (*COLUMNS, *forgetting_columns(data))
    body = tabulate(  # which escapes by itself
        [_row(data, place, one) for one in best_first(decision)],
        headers=columns,
        tablefmt="latex_booktabs",
        disable_numparse=True,
        colalign=("left", *["right"] * (len(columns) - 1)),
    )
    metric = metric_name(data.study.tasks[place.task].main_metric)
    chosen = "No candidate is recommended, since all failed a health check."
    if decision.recommended is not None:
        basis = "shown" if decision.state == "shown" else "still open"
        chosen = f"Recommended ({basis}, margin {decision.margin:g}): {decision.recommended}."
    measured = ""
    if data.study.forgetting:
        measured = " Forgetting: the rise of the loss on general text, in nats per token."
    caption = (
        f"{data.study.model.id} on {data.place(*place)}: {metric} with its 95% interval for other seeds and "
        "other test examples, and how much worse than the best each candidate may be (all bounds hold "
        f"together with 95% confidence).{measured} {chosen}"
    )
    return "\n".join(
        [r"\begin{table}", r"\centering", f"\\caption{{{escaped(caption)}}}", body, r"\end{table}"]
    )


def _row(data: ReportData, place: TaskSize, one: Candidate) -> tuple[str, ...]:
    shown = ("trained_parameters", "stored_bytes")
    in_words = [price_in_words(price, price_of(data, place, one.name, price)) for price in shown]
    interval = span(one.interval.low, one.interval.high)
    name = f"{one.name} (failed a check)" if one.findings else one.name
    cell = candidate_cell(data, place, one.name)
    forgotten = (forgetting_entry(data, cell) for _ in forgetting_columns(data))
    return visible(name), *in_words, decimal(one.mean), interval, decimal(one.costs_at_most), *forgotten


def _paragraph(data: ReportData) -> str:
    methods, conditions = described_methods(data)
    sentences = []
    for method in methods:
        sources = f" ({'; '.join(method.sources)})" if method.sources else ""
        sentences.append(f"{method.text.removesuffix('.')}{sources}.")
    return "\\paragraph{Methods.} " + escaped(" ".join([*sentences, conditions]))
