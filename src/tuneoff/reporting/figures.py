"""Choose the figures of a report: the charts that a study has, with their file names."""

import re
from collections.abc import Iterable, Iterator
from itertools import islice, product
from typing import NamedTuple

from tuneoff.reporting import charts
from tuneoff.reporting.charts.style import View
from tuneoff.reporting.data import ReportData
from tuneoff.reporting.settings import as_text
from tuneoff.spec import TrainSize, ablation_variants
from tuneoff.stats import Cell

MOST_CURVES = 40
"""Learning curves of a report: nobody looks at more, and each takes most of a second to draw."""
_LONGEST_STEM = 120


class Drawing(NamedTuple):
    """A figure before it is drawn."""

    stem: str
    """The name of its file, without the ending."""
    caption: str
    chart: View


def comparison_figures(data: ReportData) -> Iterator[Drawing]:
    """Yield score against trainable parameters and train size, and the ablations, of each task."""
    for task in data.study.tasks:
        for size in data.study.train_sizes:
            yield from _parameters(data, task, size)
        if data.several_sizes:
            yield from _sizes(data, task)
        for ablation in data.study.ablations:
            yield from _ablation(data, ablation, task)


def search_figures(data: ReportData) -> Iterator[Drawing]:
    """Yield the validation score against each searched setting, of each task and train size."""
    for task, size in product(data.study.tasks, data.study.train_sizes):
        searches = [one for one in data.searches if (one.task_name, one.train_size) == (task, size)]
        metric = data.study.tasks[task].main_metric
        for field in dict.fromkeys(field for one in searches for field in one.space):
            points = charts.search_data(searches, field=field)
            if points.empty:
                continue
            log = any(one.space[field][2] == "log" for one in searches if field in one.space)
            title = f"{task}: score against {field}{_size_in_title(data, size)}"
            chart = charts.draw_search(
                points,
                field=field,
                log=log,
                title=title,
                metric=metric,
                at_first_rung=any(one.rungs for one in searches),
            )
            yield Drawing(f"search-{task}-{field}{_suffix(data, size)}", title, chart)


def curve_figures(data: ReportData) -> Iterator[Drawing]:
    """Yield the learning curves of each cell whose runs logged anything, up to `MOST_CURVES`."""
    return islice((drawing for cell in data.cells for drawing in _curve(data, cell)), MOST_CURVES)


def named_apart(drawings: Iterable[Drawing]) -> tuple[Drawing, ...]:
    """Return the drawings with stems that are safe file names, and distinct even where case is ignored."""
    taken: set[str] = set()
    named = []
    for drawing in drawings:
        stem = safe = re.sub(r"[^A-Za-z0-9_.]+", "-", drawing.stem)[:_LONGEST_STEM].strip("-.")
        number = 1
        while stem.casefold() in taken:
            number += 1
            stem = f"{safe}-{number}"
        taken.add(stem.casefold())
        named.append(drawing._replace(stem=stem))
    return tuple(named)


def _parameters(data: ReportData, task: str, size: TrainSize) -> Iterator[Drawing]:
    metric = data.study.tasks[task].main_metric
    kinds = {name: method.kind for name, method in data.variants}
    points = charts.parameters_data(data.runs, task=task, metric=metric, kinds=kinds, train_size=size)
    if (points["kind"] != "none").any():
        title = f"{task}: score against trainable parameters{_size_in_title(data, size)}"
        chart = charts.draw_parameters(points, title=title, metric=metric)
        yield Drawing(f"parameters-{task}{_suffix(data, size)}", title, chart)


def _sizes(data: ReportData, task: str) -> Iterator[Drawing]:
    metric = data.study.tasks[task].main_metric
    points = charts.sizes_data(
        data.runs,
        task=task,
        metric=metric,
        methods=list(data.study.methods),
        untrained=data.untrained,
        intervals=data.judgement.intervals,
    )
    if points["trained"].any():
        title = f"{task}: score against train size"
        yield Drawing(f"sizes-{task}", title, charts.draw_sizes(points, title=title, metric=metric))


def _ablation(data: ReportData, name: str, task: str) -> Iterator[Drawing]:
    metric = data.study.tasks[task].main_metric
    labels = _ablation_labels(data, name)
    points = charts.ablation_data(data.runs, task=task, metric=metric, labels=labels)
    if not points.empty:
        title = f"{task}: ablation {name}"
        chart = charts.draw_ablation(points, title=title, metric=metric)
        yield Drawing(f"ablation-{name}-{task}", title, chart)


def _curve(data: ReportData, cell: Cell) -> Iterator[Drawing]:
    task, method, size = cell
    runs = data.of_cell(cell)
    points = charts.curve_data(runs[: charts.MOST_RUNS], data.curves)
    if method not in data.untrained and not points.empty:
        title = f"{task}: {method}{_size_in_title(data, size)}"
        metric = data.study.tasks[task].main_metric
        chart = charts.draw_curves(points, title=title, metric=metric, seeds=len(runs))
        yield Drawing(f"curve-{task}-{method}{_suffix(data, size)}", title, chart)


def _ablation_labels(data: ReportData, name: str) -> dict[str, str]:
    """Return a label by variant: its name, with the varied settings where the name does not contain them."""
    ablation = data.study.ablations[name]
    labels = {}
    for variant in ablation_variants(data.study, ablation):
        settings = ", ".join(f"{field}={as_text(getattr(variant.method, field))}" for field in ablation.vary)
        is_method = variant.name in data.study.methods
        labels[variant.name] = f"{variant.name} ({settings})" if is_method else variant.name
    return labels


def _size_in_title(data: ReportData, size: TrainSize) -> str:
    return f", train size {size}" if data.several_sizes else ""


def _suffix(data: ReportData, size: TrainSize) -> str:
    return f"-n{size}" if data.several_sizes else ""
