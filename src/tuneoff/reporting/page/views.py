"""The charts that the page draws itself: for each section, groups of them among which the reader chooses."""

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import NamedTuple

from tuneoff.phrases import listed
from tuneoff.reporting import charts
from tuneoff.reporting.charts.style import View
from tuneoff.reporting.data import ReportData
from tuneoff.reporting.decision import PRICES, frontier_prices
from tuneoff.reporting.figures import (
    Drawing,
    candidates_chart,
    comparison_figures,
    curve_groups,
    cut_figures,
    difference_charts,
    frontier_chart,
    preferred_price,
    search_figures,
)
from tuneoff.reporting.ranks import rank_figures
from tuneoff.reporting.titles import Title
from tuneoff.spec import TrainSize


class Curves(NamedTuple):
    """The runs whose curves the page fills into a chart; `panel` counts from 0."""

    runs: tuple[str, ...]
    panel: int


class PageView(NamedTuple):
    """A chart, and what the reader chooses to see it."""

    group: str
    """Charts of one group share a place on the page."""
    choices: Mapping[str, str]
    """What the reader chooses, by the name of the choice; one that has a single value is not shown."""
    title: str
    caption: str
    """How to read the chart."""
    spec: View
    narrow: View | None = None
    """The chart for a narrow screen, where it is another one."""
    curves: Curves | None = None


def views(data: ReportData) -> dict[Title, tuple[PageView, ...]]:
    """Return the charts of each section that has any."""
    found = {
        Title.DECISION: (*_candidates(data), *_frontiers(data)),
        Title.COMPARISONS: tuple(_differences(data)),
        Title.CURVES: tuple(_curves(data)),
        Title.CHARTS: tuple(_drawn("charts", data, comparison_figures)),
        Title.CUTS: tuple(_drawn("cuts", data, cut_figures)),
        Title.SEARCH: tuple(_drawn("search", data, search_figures)),
        Title.RANKS: tuple(_drawn("ranks", data, rank_figures)),
    }
    return {title: own for title, own in found.items() if own}


def task_group(name: str, data: ReportData, task: str) -> str:
    """Return the group of one task's charts."""
    return f"{name}-{list(data.study.tasks).index(task)}"


def _candidates(data: ReportData) -> Iterator[PageView]:
    for place in data.judgement.decisions:
        price = preferred_price(data, place)
        title = f"Score and {PRICES[price]} of every candidate"
        wide, narrow = (
            candidates_chart(data, place, price, title=title, narrow=narrow) for narrow in (False, True)
        )
        group, choices = task_group("candidates", data, place.task), _size(data, place.train_size)
        yield PageView(group, choices, title, _subtitle(wide), untitled(wide), untitled(narrow))


def _frontiers(data: ReportData) -> Iterator[PageView]:
    for place, price in product(data.judgement.decisions, PRICES):
        title = f"Score against {PRICES[price]}"
        chart, narrow = (
            frontier_chart(data, place, price, title=title, narrow=narrow) for narrow in (False, True)
        )
        if chart and narrow:
            unknown = [name for name, value in frontier_prices(data, place)[price].items() if value is None]
            caption = f"{_subtitle(chart)}{f'; not measured: {listed(unknown)}' if unknown else ''}"
            choices = {"price": PRICES[price], **_size(data, place.train_size)}
            group = task_group("frontier", data, place.task)
            yield PageView(group, choices, title, caption, untitled(chart), untitled(narrow))


def _differences(data: ReportData) -> Iterator[PageView]:
    drawings = zip(difference_charts(data), difference_charts(data, narrow=True), strict=True)
    for (place, reference, chart, title), (_, _, narrow, _) in drawings:
        group, choices = task_group("differences", data, place.task), _size(data, place.train_size)
        choices |= {"against": reference}
        yield PageView(group, choices, title, _subtitle(chart), untitled(chart), untitled(narrow))


def _curves(data: ReportData) -> Iterator[PageView]:
    """Yield a chart per group and panel, without the curves themselves, which the runs' parts have."""
    for group in curve_groups(data):
        metric = data.study.tasks[group.task].main_metric
        methods = list(dict.fromkeys(run.spec.method_name for run in group.records))
        nothing = charts.curve_data((), {})
        of = {"methods": f"ablation {group.ablation}" if group.ablation else "of the study"}
        # what the study is about comes first: the metric, then the losses
        for panel, title in reversed(list(enumerate(charts.panel_titles(metric)))):
            chart = charts.draw_curve_panel(nothing, methods, title=title, live=True)
            choices = {"task": group.task, **_size(data, group.size), **of, "show": title.partition(" (")[0]}
            runs = Curves(tuple(run.run_id for run in group.records), panel)
            rings = "" if panel == 0 else "; a ring marks the step whose weights were kept"
            yield PageView("curves", choices, group.title, f"a line per seed{rings}", chart, curves=runs)


def _drawn(group: str, data: ReportData, figures: Callable[..., Iterator[Drawing]]) -> Iterator[PageView]:
    """Yield the figures, each also for a narrow screen."""
    for one, narrow in zip(figures(data), figures(data, narrow=True), strict=True):
        choices, chart = {"chart": one.caption}, untitled(one.chart)
        yield PageView(group, choices, one.caption, _subtitle(one.chart), chart, untitled(narrow.chart))


def untitled(chart: View) -> View:
    """Return a chart without its title, which the page shows as text."""
    return {name: part for name, part in chart.items() if name != "title"}


def _subtitle(chart: View) -> str:
    return str(chart["title"]["subtitle"])


def _size(data: ReportData, size: TrainSize) -> dict[str, str]:
    return {"train size": str(size)} if data.several_sizes else {}
