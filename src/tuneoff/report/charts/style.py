"""What all charts share: a palette that colour-blind readers can tell apart, shapes, dashes, sizes."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt
import pandas as pd
import vl_convert

# Okabe & Ito 2008, without yellow, which is too pale for lines
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right")
DASHES = ((1, 0), (7, 3), (2, 2), (9, 3, 2, 3), (14, 4), (4, 2))
GREY = "#666666"
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

_METRICS = {
    "eval_accuracy": "accuracy (fraction)",
    "eval_rougeL": "ROUGE-L (fraction)",
    "eval_loss": "evaluation loss (nats per token)",
}


def metric_title(metric: str) -> str:
    """The axis title of a score, with its unit."""
    return _METRICS.get(metric, f"{metric.removeprefix('eval_')} (fraction)")


def cycled(values: Sequence[Any], names: Sequence[str]) -> alt.Scale:
    """A scale that gives each name the next value, starting again after the last."""
    return alt.Scale(domain=list(names), range=[values[i % len(values)] for i in range(len(names))])


def score_scale(values: Iterable[float]) -> alt.Scale:
    """A linear scale around the values, not forced to zero."""
    return alt.Scale(domain=list(padded(values)), nice=True, zero=False)


def padded(values: Iterable[float], *, share: float = 0.12) -> tuple[float, float]:
    """The range of values with a margin; a fifth of it around a single value, and 0 to 1 for none.

    It goes below zero only where a value does: no axis shows losses or scores that cannot be.
    """
    values = tuple(values)
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    margin = (high - low) * share or abs(high) * 0.2 or 0.1
    return low - margin if low < 0 else max(0.0, low - margin), high + margin


def line_key(names: Sequence[str], *, width: int) -> alt.LayerChart:
    """A legend of lines that shows colour, dashes and shape of each name, in as many rows as it needs.

    Vega-Lite's own legend dashes the outline of the shapes and draws no lines.
    """
    column = 56 + 6.4 * max(len(name) for name in names)
    per_row = max(1, int(width // column))
    starts = [(i % per_row) * column for i in range(len(names))]
    tops = [10 + 20 * (i // per_row) for i in range(len(names))]
    data = pd.DataFrame({"name": names, "x": starts, "y": tops})
    data = data.assign(x2=data["x"] + 34, middle=data["x"] + 17)
    base = alt.Chart(data).encode(
        y=alt.Y("y:Q", scale=None, axis=None),
        color=alt.Color("name:N", scale=cycled(PALETTE, names), legend=None),
    )
    line = base.mark_rule(strokeWidth=1.8).encode(
        x=alt.X("x:Q", scale=None, axis=None),
        x2="x2:Q",
        strokeDash=alt.StrokeDash("name:N", scale=cycled(DASHES, names), legend=None),
    )
    point = base.mark_point(size=45, filled=True, opacity=1).encode(
        x=alt.X("middle:Q", scale=None, axis=None),
        shape=alt.Shape("name:N", scale=cycled(SHAPES, names), legend=None),
    )
    text = base.mark_text(align="left", dx=6, fontSize=11).encode(
        x=alt.X("x2:Q", scale=None, axis=None), text="name:N", color=alt.value("black")
    )
    height = 20 * math.ceil(len(names) / per_row)
    view = alt.ViewConfig(stroke=None)
    return alt.layer(line, point, text, width=width, height=height, view=view)


def png(chart: alt.TopLevelMixin) -> bytes:
    """The chart as a PNG picture at twice the screen's density, in the common style."""
    with alt.data_transformers.enable("default", max_rows=None):
        # validation takes as long as the picture; the tests do it
        spec = chart.to_dict(validate=False)
    spec["config"] = STYLE
    version = alt.SCHEMA_VERSION.rpartition(".")[0]  # vl-convert knows versions by their first two parts
    picture: bytes = vl_convert.vegalite_to_png(spec, vl_version=version, scale=2)
    return picture
