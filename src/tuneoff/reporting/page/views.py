"""The charts that the page draws itself: for each section, groups of them among which the reader chooses."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import NamedTuple

from tuneoff.reporting import charts
from tuneoff.reporting.charts.style import View
from tuneoff.reporting.data import ReportData
from tuneoff.reporting.decision import PRICES, frontier_prices
from tuneoff.reporting.figures import (
    Drawing,
    candidates_chart,
    comparison_figures,
    curve_groups,
    difference_charts,
    search_figures,
)
from tuneoff.reporting.titles import Title
from tuneoff.spec import TrainSize
from tuneoff.stats import PRICE_OF, TaskSize

_AXES = {
    "stored_bytes": ("stored (bytes)", "~s"),
    "trained_parameters": ("trained parameters", "~s"),
    "training_seconds": ("training time (seconds)", ",~r"),
    "training_peak_bytes": ("memory in training (bytes)", "~s"),
    "seconds_per_answer": ("time per answer (milliseconds)", ",~r"),
}
"""The title of a price's axis, and how its numbers are written (in d3's format)."""


class Curves(NamedTuple):
    """The runs whose curves the page fills into a chart; `panel` counts from 0."""

    runs: tuple[str, ...]
    panel: int


class PageView(NamedTuple):
    """A chart, and what the reader chooses to see it."""

    group: str
    """Charts of one group share a place on the page."""
    choices: Mapping[str, str]
    """What the reader chooses, from the name of the choice to its value; a choice of one value is not shown."""
    caption: str
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
        Title.CHARTS: tuple(_drawn("charts", comparison_figures(data))),
        Title.SEARCH: tuple(_drawn("search", search_figures(data))),
    }
    return {title: own for title, own in found.items() if own}


def task_group(name: str, data: ReportData, task: str) -> str:
    """Return the group of one task's charts."""
    return f"{name}-{list(data.study.tasks).index(task)}"


def _candidates(data: ReportData) -> Iterator[PageView]:
    price = PRICE_OF.get(data.study.comparison.prefer, "stored_bytes")
    for place in data.judgement.decisions:
        caption = f"{place.task}: score and {PRICES[price]} of every candidate"
        wide, narrow = (
            untitled(candidates_chart(data, place, price, title=caption, narrow=narrow))
            for narrow in (False, True)
        )
        group = task_group("candidates", data, place.task)
        yield PageView(group, _size(data, place.train_size), caption, wide, narrow)


def _frontiers(data: ReportData) -> Iterator[PageView]:
    for place, price in product(data.judgement.decisions, PRICES):
        known = frontier_prices(data, place)[price]
        if not any(known.values()):  # nothing is known to cost anything
            continue
        yield _frontier(data, place, price, known)


def _frontier(data: ReportData, place: TaskSize, price: str, known: dict[str, float | None]) -> PageView:
    decision = data.judgement.decisions[place]
    frontier = decision.frontier(known)
    scale = 1000 if price == "seconds_per_answer" else 1
    prices = {name: None if value is None else value * scale for name, value in known.items()}
    points = charts.frontier_data(decision, prices=prices, frontier=frontier)
    title, unit = _AXES[price]
    metric = data.study.tasks[place.task].main_metric
    unknown = [name for name, value in known.items() if value is None]
    caption = f"{place.task}: score against {PRICES[price]}"
    if unknown:
        caption += f" (not known of {', '.join(unknown)})"
    chart = charts.draw_frontier(points, title=caption, metric=metric, price=title, unit=unit)
    choices = {"price": PRICES[price], **_size(data, place.train_size)}
    return PageView(task_group("frontier", data, place.task), choices, caption, untitled(chart))


def _differences(data: ReportData) -> Iterator[PageView]:
    for place, reference, chart, title in difference_charts(data):
        choices = {"task": place.task, **_size(data, place.train_size), "against": reference}
        yield PageView("differences", choices, title, untitled(chart))


def _curves(data: ReportData) -> Iterator[PageView]:
    """Yield a chart per group and panel, without the curves themselves, which the runs' parts have."""
    for group in curve_groups(data):
        metric = data.study.tasks[group.task].main_metric
        methods = list(dict.fromkeys(run.spec.method_name for run in group.records))
        nothing = charts.curve_data((), {})
        of = {"methods": f"ablation {group.ablation}" if group.ablation else "of the study"}
        for panel, title in enumerate(charts.panel_titles(metric)):
            chart = charts.draw_curve_panel(nothing, methods, title=title, live=True)
            choices = {"task": group.task, **_size(data, group.size), **of, "show": title.partition(" (")[0]}
            runs = Curves(tuple(run.run_id for run in group.records), panel)
            yield PageView("curves", choices, f"{group.title}, {title}", chart, curves=runs)


def _drawn(group: str, drawings: Iterator[Drawing]) -> Iterator[PageView]:
    for one in drawings:
        if not one.stem.startswith("parameters-"):  # the frontier shows these
            yield PageView(group, {"chart": one.caption}, one.caption, untitled(one.chart))


def untitled(chart: View) -> View:
    """Return a chart without its title, which the page shows as text; the subtitle stays."""
    title = chart.get("title", {})
    return {**chart, "title": {"text": "", **{name: title[name] for name in ("subtitle",) if name in title}}}


def _size(data: ReportData, size: TrainSize) -> dict[str, str]:
    return {"train size": str(size)} if data.several_sizes else {}
