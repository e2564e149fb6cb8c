"""What all charts share: colors that color-blind readers can distinguish, shapes, dashes, scales."""

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

View = dict[str, Any]
"""A view, or a part of one, in Vega-Lite's grammar (https://vega.github.io/vega-lite/docs/)."""

# Okabe & Ito 2008, without yellow, which is too pale for lines
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right")
DASHES = ((1, 0), (7, 3), (2, 2), (9, 3, 2, 3), (14, 4), (4, 2))
GRAY = "#666666"
ACCENT = PALETTE[0]
"""What is recommended, or shown to be better."""
NARROW_WIDTH = 290
"""Of a plot on a phone, in pixels; the page fits it to the screen."""
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
STYLE: dict[str, Any] = {
    "background": "white",
    "font": FONT,
    "padding": 14,
    "view": {"stroke": "#999999"},
    "axis": {
        "grid": True,
        "gridColor": "#e6e6e6",
        "labelFontSize": 11,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelLimit": 0,
        "titleLimit": 0,
        "labelOverlap": True,
        "labelFlush": False,
    },
    "legend": {
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "labelLimit": 0,
        "titleLimit": 0,
    },
    "title": {
        "fontSize": 14,
        "subtitleFontSize": 11,
        "subtitleColor": "#444444",
        "anchor": "start",
        "limit": 0,
    },
    "header": {"labelFontSize": 12, "titleFontSize": 12, "labelLimit": 0},
}
"""Vega-Lite's config of every chart: white, one font, light grid lines and no text cut short."""


def quantity(field: str, **more: Any) -> View:
    """Return a Vega-Lite encoding of a column of numbers."""
    return {"field": field, "type": "quantitative", **more}


def category(field: str, **more: Any) -> View:
    """Return a Vega-Lite encoding of a column of names."""
    return {"field": field, "type": "nominal", **more}


def categorical_encoding(field: str, looks: Sequence[Any], names: Sequence[str]) -> View:
    """Encode each name in a column by the next of the looks, without a legend (see `line_key`)."""
    return category(field, scale=cycled(looks, names), legend=None)


def layered(data: pd.DataFrame, encoding: View, *layers: View, **more: Any) -> View:
    """Return a view of layers that draw the same data and share an encoding."""
    values = json.loads(data.to_json(orient="records", double_precision=15))
    return {"data": {"values": values}, "encoding": encoding, "layer": list(layers), **more}


def layer(mark: str, look: View, /, **encoding: View) -> View:
    """Return a layer of one kind of mark."""
    return {"mark": {"type": mark, **look}, "encoding": encoding}


def filtered(flag: str, view: View) -> View:
    """Restrict a view to the rows in which a column is true."""
    return {**view, "transform": [{"filter": f"datum.{flag}"}]}


def line_and_points(
    field: str, names: Sequence[str], *, width: float, size: float, **encoding: View
) -> tuple[View, View]:
    """Return two layers, a line and points for each name in a column, with dashes and shapes by name."""
    line, points = {"strokeWidth": width}, {"size": size, "filled": True, "opacity": 1}
    dashes = categorical_encoding(field, DASHES, names)
    shapes = categorical_encoding(field, SHAPES, names)
    return (
        layer("line", line, strokeDash=dashes, **encoding),
        layer("point", points, shape=shapes, **encoding),
    )


def highlight(flag: str, *, size: int) -> View:
    """Return a layer of black rings around the points in which a column is true."""
    look = {"size": size, "filled": False, "strokeWidth": 1.6, "shape": "circle", "opacity": 1}
    return filtered(flag, layer("point", look, color={"value": "black"}))


def titled(view: View, title: str, subtitle: str, *, offset: int) -> View:
    """Add a title and a subtitle to a view."""
    return {"title": {"text": title, "subtitle": subtitle, "offset": offset}, **view}


def with_line_key(panel: View, names: Sequence[str], *, width: int) -> View:
    """Put a `line_key` below a panel, each with scales of its own."""
    apart = dict.fromkeys(("color", "strokeDash", "shape"), "independent")
    return {"vconcat": [panel, line_key(names, width=width)], "spacing": 14, "resolve": {"scale": apart}}


def cycled(values: Sequence[Any], names: Sequence[str]) -> View:
    """Return a scale that gives each name the next value, starting again after the last."""
    return {"domain": list(names), "range": [values[i % len(values)] for i in range(len(names))]}


def score_scale(values: Iterable[float]) -> View:
    """Return a linear scale around the values, not forced to zero."""
    return {"domain": list(padded(values)), "nice": True, "zero": False}


def padded(values: Iterable[float], *, share: float = 0.12) -> tuple[float, float]:
    """Return the range of values with a margin: a fifth of a single value; 0 to 1 without values.

    It goes below zero only where a value does: no axis shows impossible losses or scores.
    """
    values = tuple(values)
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    margin = (high - low) * share or abs(high) * 0.2 or 0.1
    return low - margin if low < 0 else max(0.0, low - margin), high + margin


def log_ticks(low: float, high: float) -> list[float]:
    """Return the ticks of a logarithmic axis: powers of ten, and where these are few, multiples of them."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for steps in ((1,), (1, 2, 5), range(1, 10), [half / 2 for half in range(2, 20)]):
        ticks = [step * 10**power for power in powers for step in steps if low <= step * 10**power <= high]
        if len(ticks) >= 3:
            break
    return ticks


def log_axis(
    field: str, low: float, high: float, *, title: str, label_format: str, values: list[float] | None = None
) -> View:
    """Return a logarithmic horizontal axis with some room at both ends, and ticks at the values, if given."""
    domain = [low / 1.2, high * 1.2]
    return quantity(
        field,
        title=f"{title} (log scale)",
        scale={"type": "log", "domain": domain, "nice": False},
        axis={"values": values or log_ticks(*domain), "format": label_format},
    )


def untrained_lines(methods: pd.DataFrame) -> pd.DataFrame:
    """Return a row per score of untrained methods: mean, and a label with all their names."""
    rows = [
        (mean, f"{', '.join(part['method'])} (no training)")
        for mean, part in methods.groupby("mean", sort=False)
    ]
    return pd.DataFrame(rows, columns=["mean", "label"])


def dashed_lines(lines: pd.DataFrame, y: View, *, label_x: View) -> View:
    """Draw a dashed line across the plot at each row's mean, with its label above it."""
    return layered(
        lines,
        {"y": y},
        layer("rule", {"strokeDash": [6, 4], "strokeWidth": 1.5, "color": "black"}),
        layer(
            "text",
            {"align": "left", "baseline": "bottom", "dx": 6, "dy": -3, "fontSize": 11},
            x=label_x,
            text=category("label"),
        ),
    )


def line_key(names: Sequence[str], *, width: int) -> View:
    """Draw a legend of lines that shows color, dashes and shape of each name, in several rows if needed.

    Vega-Lite's own legend dashes the outline of the shapes and draws no lines.
    """
    column = 56 + 6.4 * max(len(name) for name in names)
    per_row = max(1, int(width // column))
    starts = [(i % per_row) * column for i in range(len(names))]
    tops = [10 + 20 * (i // per_row) for i in range(len(names))]
    data = pd.DataFrame({"name": names, "x": starts, "y": tops})
    data = data.assign(x2=data["x"] + 34, middle=data["x"] + 17)
    pixels: View = {"scale": None, "axis": None}
    return layered(
        data,
        {
            "y": quantity("y", **pixels),
            "color": categorical_encoding("name", PALETTE, names),
        },
        layer(
            "rule",
            {"strokeWidth": 1.8},
            x=quantity("x", **pixels),
            x2={"field": "x2"},
            strokeDash=categorical_encoding("name", DASHES, names),
        ),
        layer(
            "point",
            {"size": 45, "filled": True, "opacity": 1},
            x=quantity("middle", **pixels),
            shape=categorical_encoding("name", SHAPES, names),
        ),
        layer(
            "text",
            {"align": "left", "dx": 6, "fontSize": 11},
            x=quantity("x2", **pixels),
            text=category("name"),
            color={"value": "black"},
        ),
        width=width,
        height=20 * math.ceil(len(names) / per_row),
        view={"stroke": None},
    )
