"""Score against a price: a point per candidate, and which of them are worth their price."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from tuneoff.reporting.charts.labels import CHARACTER, LINE, Box, place_labels
from tuneoff.reporting.charts.style import (
    ACCENT,
    GRAY,
    NARROW_WIDTH,
    View,
    category,
    filtered,
    layer,
    layered,
    log_ticks,
    padded,
    quantity,
    titled,
)
from tuneoff.reporting.formatting import decimal, span
from tuneoff.results import metric_title
from tuneoff.stats import Decision

WIDTH, HEIGHT = 640, 380


class _Axis(NamedTuple):
    title: str
    format: str
    """In d3's grammar."""
    scale: float = 1
    """What prices are multiplied by."""


_AXES = {
    "stored_bytes": _Axis("stored bytes", "~s"),
    "trained_parameters": _Axis("trained parameters", "~s"),
    "training_seconds": _Axis("training time (seconds)", ",~r"),
    "training_peak_bytes": _Axis("memory in training (bytes)", "~s"),
    "seconds_per_answer": _Axis("time per answer (milliseconds)", ",~r", 1000),
}
_COLUMNS = ["name", "price", "mean", "low", "high", "look", "score"]


def frontier_data(decision: Decision, prices: Mapping[str, float | None]) -> pd.DataFrame:
    """Return a row per candidate whose price is known; `look` says what became of it."""
    frontier = decision.frontier(prices)
    rows = []
    for one in decision.candidates:
        price = prices.get(one.name)
        if price is None:
            continue
        look = "no cheaper one beats it" if one.name in frontier else "beaten by a cheaper one"
        if one.findings:
            look = "failed a check"
        if one.name == decision.recommended:
            look = "recommended" if decision.state == "shown" else "leads"
        score = f"{decimal(one.mean)} ({span(one.interval.low, one.interval.high)})"
        rows.append((one.name, price, one.mean, one.interval.low, one.interval.high, look, score))
    return pd.DataFrame(rows, columns=_COLUMNS).astype(dict.fromkeys(("price", "mean", "low", "high"), float))


def draw_frontier(data: pd.DataFrame, *, title: str, metric: str, price: str, narrow: bool = False) -> View:
    """Draw a named point per candidate on a logarithmic axis; those that cost nothing as dashed lines.

    `price` is the name of a price, as decisions have it. `narrow` puts the lines' names inside the plot.
    """
    width = NARROW_WIDTH if narrow else WIDTH
    axis = _AXES[price]
    data = data.assign(price=data["price"] * axis.scale)
    priced, free = data[data["price"] > 0], data[data["price"] == 0]
    low, high = padded(map(math.log10, priced["price"]), share=0.16)
    low, high = (low, high) if high - low > 0.3 else (low - 0.15, high + 0.15)
    x_domain, y_domain = (10**low, 10**high), padded([*data["low"], *data["high"]])
    lines = _free_lines(free, y_domain, narrow=narrow)
    named = _with_labels(priced, lines, x_domain=x_domain, y_domain=y_domain, narrow=narrow)
    x = {
        "title": f"{axis.title} (log scale)",
        "scale": {"type": "log", "domain": list(x_domain), "nice": False},
        "axis": {"values": log_ticks(*x_domain), "format": axis.format},
    }
    y = quantity("mean", title=metric_title(metric), scale={"domain": list(y_domain), "nice": False})
    view = {
        "layer": [
            *_references(lines, y, narrow=narrow),
            _points(named, quantity("price", **x), y, title=metric_title(metric), columns=1 if narrow else 4),
        ]
    }
    subtitle = "mean and 95% interval"
    subtitle += "; dashed: costs nothing" if len(free) else ""
    return titled({**view, "width": width, "height": HEIGHT}, title, subtitle, offset=10)


def _references(lines: pd.DataFrame, y: View, *, narrow: bool) -> list[View]:
    """Return dashed lines across the plot, with their labels to the right of it, or at its right edge."""
    words: View = {"align": "left", "baseline": "middle", "dx": 7, "fontSize": 11}
    if narrow:
        words = {"align": "right", "baseline": "middle", "dx": -3, "fontSize": 10.5}
    line = layer("rule", {"strokeDash": [6, 4], "strokeWidth": 1.2, "color": GRAY}, y=y)
    label = layer("text", words, x={"value": "width"}, y=quantity("label_y"), text=category("label"))
    return [layered(lines, {}, line, label)] if len(lines) else []


def _free_lines(free: pd.DataFrame, y_domain: tuple[float, float], *, narrow: bool) -> pd.DataFrame:
    """Return a row per score of candidates that cost nothing: mean, their names, and the label's middle."""
    means, names = [], []
    for mean, part in sorted(free.groupby("mean"), key=lambda group: group[0]):
        means.append(mean)
        names.append(", ".join(part["name"]))
    line = LINE / HEIGHT * (y_domain[1] - y_domain[0])  # the height of a line of text
    places = _between_lines(means, line) if narrow else _apart(means, line, lowest=y_domain[0])
    return pd.DataFrame({"mean": means, "label": names, "label_y": places})


def _apart(means: Sequence[float], line: float, *, lowest: float) -> list[float]:
    """Return a place for the label of each mean, at it or as little above it as keeps labels apart."""
    places: list[float] = []
    for mean in means:
        places.append(max(mean, places[-1] + line if places else lowest))
    return places


def _between_lines(means: Sequence[float], line: float) -> list[float]:
    """Return a place for the label of each mean where no line at any mean goes through it.

    Of lines that leave no room for labels between them, the upper ones have their labels above the highest,
    the others below the lowest, in the order of the lines. `means` rise.
    """
    groups: list[list[float]] = []
    for mean in means:
        if groups and mean - groups[-1][-1] < 2 * line:
            groups[-1].append(mean)
        else:
            groups.append([mean])
    places = []
    for group in groups:
        below = len(group) // 2
        places += [group[0] - line * (below - i - 0.5) for i in range(below)]
        places += [group[-1] + line * (i + 0.5) for i in range(len(group) - below)]
    return places


_LOOKS = {
    "domain": [
        "recommended",
        "leads",
        "no cheaper one beats it",
        "beaten by a cheaper one",
        "failed a check",
    ],
    "range": [ACCENT, ACCENT, "black", GRAY, "#D55E00"],
}


def _points(data: pd.DataFrame, x: View, y: View, *, title: str, columns: int) -> View:
    looks = [look for look in _LOOKS["domain"] if look in set(data["look"])]
    scale = {"domain": looks, "range": [_LOOKS["range"][_LOOKS["domain"].index(look)] for look in looks]}
    legend = {"title": None, "orient": "bottom", "symbolSize": 90, "symbolOpacity": 1, "columns": columns}
    color = category("look", scale=scale, legend=legend)
    leader = layer("rule", {"strokeWidth": 0.7}, x2={"field": "end_x"}, y2={"field": "end_y"})
    tooltip = [
        {"field": "name", "title": "candidate"},
        {"field": "score", "title": title},
        {
            "field": "price",
            "title": x["title"].removesuffix(" (log scale)"),
            "type": "quantitative",
            "format": ",.3~r",
        },
    ]
    return layered(
        data,
        {"x": x, "y": y, "color": color, "tooltip": tooltip},
        filtered("far", leader),
        layer("rule", {"strokeWidth": 2, "opacity": 0.5}, y=quantity("low"), y2={"field": "high"}),
        layer("point", {"size": 95, "filled": True, "opacity": 1}),
        layer(
            "text",
            {"fontSize": 11.5},
            x=quantity("label_x"),
            y=quantity("label_y"),
            text=category("name"),
        ),
    )


def _with_labels(
    data: pd.DataFrame,
    lines: pd.DataFrame,
    *,
    x_domain: tuple[float, float],
    y_domain: tuple[float, float],
    narrow: bool,
) -> pd.DataFrame:
    """Add to the points the places of their labels, in the units of the axes.

    Places are found in pixels from the upper left corner and then turned back into values.
    """
    width = NARROW_WIDTH if narrow else WIDTH
    left, right = map(math.log10, x_domain)
    across, up = width / (right - left), HEIGHT / (y_domain[1] - y_domain[0])  # pixels per unit

    def pixels(value: float) -> float:
        return (y_domain[1] - value) * up

    xs = [(math.log10(value) - left) * across for value in data["price"]]
    points = list(zip(xs, map(pixels, data["mean"]), strict=True))
    spreads = zip(xs, data["low"], data["high"], strict=True)
    # labels keep off the vertical and the dashed lines
    obstacles = [Box(x - 3, pixels(high), x + 3, pixels(low)) for x, low, high in spreads]
    obstacles += [Box(0, y - 2, width, y + 2) for y in map(pixels, lines["mean"])]
    if narrow:
        for name, y in zip(lines["label"], map(pixels, lines["label_y"]), strict=True):
            obstacles.append(Box(width - CHARACTER * len(name), y - LINE / 2, width, y + LINE / 2))
    frame = Box(3, 3, width - 3, HEIGHT - 3)
    labels = place_labels(points, list(data["name"]), obstacles=obstacles, frame=frame)
    return data.assign(
        label_x=[10 ** (label.middle[0] / across + left) for label in labels],
        label_y=[y_domain[1] - label.middle[1] / up for label in labels],
        end_x=[10 ** (label.end[0] / across + left) for label in labels],
        end_y=[y_domain[1] - label.end[1] / up for label in labels],
        far=[label.far for label in labels],
    )
