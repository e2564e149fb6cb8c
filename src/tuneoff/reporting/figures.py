"""Choose the figures of a report: the charts that a study has, with their file names."""

import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import product
from typing import NamedTuple

from tuneoff.phrases import listed
from tuneoff.reporting import charts
from tuneoff.reporting.charts.style import View
from tuneoff.reporting.data import ReportData
from tuneoff.reporting.decision import PRICES, frontier_prices, is_trained, price_in_words
from tuneoff.reporting.settings import as_text
from tuneoff.results import RunRecord
from tuneoff.spec import TrainSize, ablation_variants
from tuneoff.stats import PRICE_OF, UNTRAINED_SIZE, Cell, TaskSize

_LONGEST_STEM = 120
_LONGEST_PROMPT = 60
"""Characters of a prompt in the label of a variant."""


class Drawing(NamedTuple):
    """A figure before it is drawn."""

    stem: str
    """The name of its file, without the ending."""
    caption: str
    chart: View


def decision_figures(data: ReportData) -> Iterator[Drawing]:
    """Yield the candidates of each decision: their scores and the price that the study prefers by."""
    for place in data.judgement.decisions:
        price = preferred_price(data, place)
        title = f"{place.task}: score and price of every candidate{_size_in_title(data, place.train_size)}"
        chart = candidates_chart(data, place, price, title=title)
        yield Drawing(f"decision-{place.task}{_suffix(data, place.train_size)}", title, chart)


def preferred_price(data: ReportData, place: TaskSize) -> str:
    """Return the price that the study prefers by, or else the first of PRICES that is known."""
    preferred = PRICE_OF.get(data.study.comparison.prefer, "stored_bytes")
    known = [name for name, prices in frontier_prices(data, place).items() if any(prices.values())]
    return preferred if preferred in known or not known else known[0]


def candidates_chart(
    data: ReportData, place: TaskSize, price: str, *, title: str, narrow: bool = False
) -> View:
    """Return the chart of a decision's candidates with one of PRICES."""
    decision = data.judgement.decisions[place]
    points = charts.candidates_data(
        decision,
        trained=[one.name for one in decision.candidates if is_trained(data, one.name)],
        prices=frontier_prices(data, place)[price],
        price_text=partial(price_in_words, price),
    )
    metric = data.study.tasks[place.task].main_metric
    return charts.draw_candidates(
        points, title=title, metric=metric, price=PRICES[price], margin=decision.margin, narrow=narrow
    )


def frontier_figures(data: ReportData) -> Iterator[Drawing]:
    """Yield score against trained parameters, of each task and train size."""
    for place in data.judgement.decisions:
        title = f"{place.task}: score against trained parameters{_size_in_title(data, place.train_size)}"
        chart = frontier_chart(data, place, "trained_parameters", title=title)
        if chart:
            yield Drawing(f"frontier-{place.task}{_suffix(data, place.train_size)}", title, chart)


def frontier_chart(
    data: ReportData, place: TaskSize, price: str, *, title: str, narrow: bool = False
) -> View | None:
    """Return the chart of a decision's candidates against one of PRICES; None if none has a price above 0."""
    prices = frontier_prices(data, place)[price]
    if not any(prices.values()):
        return None
    points = charts.frontier_data(data.judgement.decisions[place], prices)
    metric = data.study.tasks[place.task].main_metric
    return charts.draw_frontier(points, title=title, metric=metric, price=price, narrow=narrow)


def difference_figures(data: ReportData) -> Iterator[Drawing]:
    """Yield a forest plot of each task, train size and reference."""
    for place, reference, chart, title in difference_charts(data):
        yield Drawing(f"differences-{place.task}-{reference}{_suffix(data, place.train_size)}", title, chart)


def difference_charts(data: ReportData, *, narrow: bool = False) -> Iterator[tuple[TaskSize, str, View, str]]:
    """Yield the task and train size, the reference, the chart and the title of each forest plot."""
    for task, size in product(data.study.tasks, data.study.train_sizes):
        metric = data.study.tasks[task].main_metric
        for reference in data.references:
            own = [
                one
                for one in data.judgement.comparisons
                if (one.task, one.train_size, one.reference) == (task, size, reference)
            ]
            if own:
                title = f"{task}: differences from {reference}{_size_in_title(data, size)}"
                chart = charts.draw_forest(
                    charts.forest_data(own),
                    title=title,
                    metric=metric,
                    reference=reference,
                    margin=data.study.comparison.margin,
                    narrow=narrow,
                )
                yield TaskSize(task, size), reference, chart, title


def comparison_figures(data: ReportData, *, narrow: bool = False) -> Iterator[Drawing]:
    """Yield score against train size, and the ablations, of each task."""
    for task in data.study.tasks:
        if data.several_sizes:
            yield from _sizes(data, task, narrow=narrow)
        for name, ablation in data.study.ablations.items():
            if ablation.task in (None, task):
                yield from _ablation(data, name, task, narrow=narrow)


def cut_figures(data: ReportData, *, narrow: bool = False) -> Iterator[Drawing]:
    """Yield score against stored bytes of cut LoRA, of each task and train size."""
    for task, size in product(data.study.tasks, data.study.train_sizes):
        own = {
            variant.name: data.judgement.cuts[cell]
            for variant in data.variants
            if (cell := Cell(task, variant.name, size)) in data.judgement.cuts
        }
        untrained = {
            name: data.judgement.intervals[cell].mean
            for name in data.untrained
            if (cell := Cell(task, name, UNTRAINED_SIZE)) in data.judgement.intervals
        }
        points = charts.cuts_data(own)
        if not points.empty:
            title = f"{task}: score against what is left of LoRA{_size_in_title(data, size)}"
            metric = data.study.tasks[task].main_metric
            chart = charts.draw_cuts(points, untrained, title=title, metric=metric, narrow=narrow)
            yield Drawing(f"cuts-{task}{_suffix(data, size)}", title, chart)


def search_figures(data: ReportData, *, narrow: bool = False) -> Iterator[Drawing]:
    """Yield the validation score against each searched setting, of each task or mixture, and train size."""
    for tasks, size in dict.fromkeys((one.tasks, one.train_size) for one in data.searches):
        searches = [one for one in data.searches if (one.tasks, one.train_size) == (tasks, size)]
        for field in dict.fromkeys(field for one in searches for field in one.space):
            points = charts.search_data(searches, field=field)
            if points.empty:
                continue
            log = any(one.space[field][2] == "log" for one in searches if field in one.space)
            title = f"{listed(tasks)}: score against {field}{_size_in_title(data, size)}"
            chart = charts.draw_search(
                points,
                field=field,
                log=log,
                title=title,
                metric=searches[0].metric,
                at_first_rung=any(one.rungs for one in searches),
                narrow=narrow,
            )
            yield Drawing(f"search-{'-'.join(tasks)}-{field}{_suffix(data, size)}", title, chart)


def curve_figures(data: ReportData) -> Iterator[Drawing]:
    """Yield the learning curves of each task and train size: of the methods, and of each ablation."""
    for group in curve_groups(data):
        points = charts.curve_data(group.records, data.curves)
        metric = data.study.tasks[group.task].main_metric
        note = f"; the first {charts.MOST_SEEDS} seeds of each" if group.shortened else ""
        chart = charts.draw_curves(points, title=group.title, metric=metric, note=note)
        stem = f"curve-{group.task}{group.ablation and f'-{group.ablation}'}{_suffix(data, group.size)}"
        yield Drawing(stem, group.title, chart)


class CurveGroup(NamedTuple):
    """The runs whose curves are drawn in one plot."""

    task: str
    size: TrainSize
    ablation: str
    """The ablation whose variants these are; empty for the study's methods."""
    title: str
    records: tuple[RunRecord, ...]
    shortened: bool
    """Whether some methods have further seeds."""


def curve_groups(data: ReportData) -> Iterator[CurveGroup]:
    """Yield the groups that have logged anything, by task, train size and ablation."""
    members = {"": tuple(data.study.all_methods)}
    for name, ablation in data.study.ablations.items():
        members[name] = tuple(one.name for one in ablation_variants(data.study, ablation))
    for (task, size), (group, methods) in product(_places(data), members.items()):
        if group and data.study.ablations[group].task not in (None, task):
            continue
        cells = [Cell(task, method, size) for method in methods if method not in data.untrained]
        logged = {cell: [run for run in data.of_cell(cell) if data.curves[run.run_id]] for cell in cells}
        records = tuple(run for runs in logged.values() for run in runs[: charts.MOST_SEEDS])
        if records:
            of = f"ablation {group}, " if group else ""
            title = f"{task}: {of}learning curves{_size_in_title(data, size)}"
            shortened = any(len(runs) > charts.MOST_SEEDS for runs in logged.values())
            yield CurveGroup(task, size, group, title, records, shortened)


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


def _sizes(data: ReportData, task: str, *, narrow: bool) -> Iterator[Drawing]:
    metric = data.study.tasks[task].main_metric
    points = charts.sizes_data(
        data.runs,
        task=task,
        metric=metric,
        methods=list(data.study.methods_on(task)),
        untrained=data.untrained,
        intervals=data.judgement.intervals,
    )
    if points["trained"].any():
        title = f"{task}: score against train size"
        chart = charts.draw_sizes(points, title=title, metric=metric, narrow=narrow)
        yield Drawing(f"sizes-{task}", title, chart)


def _ablation(data: ReportData, name: str, task: str, *, narrow: bool) -> Iterator[Drawing]:
    metric = data.study.tasks[task].main_metric
    labels = _ablation_labels(data, name)
    points = charts.ablation_data(data.runs, task=task, metric=metric, labels=labels)
    if not points.empty:
        title = f"{task}: ablation {name}"
        chart = charts.draw_ablation(points, title=title, metric=metric, narrow=narrow)
        yield Drawing(f"ablation-{name}-{task}", title, chart)


def _ablation_labels(data: ReportData, name: str) -> dict[str, str]:
    """Return a label by variant: its name, with the varied settings where the name does not contain them."""
    ablation = data.study.ablations[name]
    labels = {}
    for variant in ablation_variants(data.study, ablation):
        fields = [field for field in ablation.vary if field != "prompt"]
        values = variant.method.model_dump() | {"quantization": variant.model.quantization}
        settings = [f"{field}={as_text(values[field])}" for field in fields]
        if variant.name not in data.study.methods:
            settings = []
        if ablation.task is not None:
            own = data.study.tasks[ablation.task].prompt
            settings.append(_shortened(as_text(variant.wording.prompt if variant.wording else own)))
        labels[variant.name] = f"{variant.name} ({', '.join(settings)})" if settings else variant.name
    return labels


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_PROMPT else f"{text[:_LONGEST_PROMPT]}..."


def _places(data: ReportData) -> Iterator[tuple[str, TrainSize]]:
    return product(data.study.tasks, data.study.train_sizes)


def _size_in_title(data: ReportData, size: TrainSize) -> str:
    return f", train size {size}" if data.several_sizes else ""


def _suffix(data: ReportData, size: TrainSize) -> str:
    return f"-n{size}" if data.several_sizes else ""
