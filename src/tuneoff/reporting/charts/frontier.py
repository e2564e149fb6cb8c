"""Score against a price: a point per candidate, and which of them are worth their price."""

import math
from collections.abc import Collection, Mapping

import pandas as pd

from tuneoff.reporting.charts.parameters import HEIGHT, WIDTH, log_ticks, with_labels
from tuneoff.reporting.charts.style import (
    ACCENT,
    GRAY,
    View,
    category,
    dashed_lines,
    filtered,
    layer,
    layered,
    metric_title,
    padded,
    quantity,
    titled,
)
from tuneoff.reporting.formatting import decimal
from tuneoff.stats import Decision

_COLUMNS = ["name", "price", "mean", "low", "high", "look", "score"]


def frontier_data(
    decision: Decision, *, prices: Mapping[str, float | None], frontier: Collection[str]
) -> pd.DataFrame:
    """Return a row per candidate whose price is known; `look` is recommended, worth its price, or beaten."""
    rows = []
    for one in decision.candidates:
        price = prices.get(one.name)
        if price is None:
            continue
        look = "worth its price" if one.name in frontier else "beaten by a cheaper one"
        if one.findings:
            look = "failed a check"
        if one.name == decision.recommended:
            look = "recommended"
        score = f"{decimal(one.mean)} ({decimal(one.interval.low)} to {decimal(one.interval.high)})"
        rows.append((one.name, price, one.mean, one.interval.low, one.interval.high, look, score))
    return pd.DataFrame(rows, columns=_COLUMNS).astype(dict.fromkeys(("price", "mean", "low", "high"), float))


def draw_frontier(data: pd.DataFrame, *, title: str, metric: str, price: str, unit: str) -> View:
    """Draw a named point per candidate on a logarithmic axis; those that cost nothing as dashed lines.

    `unit` is how Vega formats the price: a d3 format.
    """
    priced, free = data[data["price"] > 0], data[data["price"] == 0]
    low, high = padded(map(math.log10, priced["price"]), share=0.16)
    low, high = (low, high) if high - low > 0.3 else (low - 0.15, high + 0.15)
    x_domain, y_domain = (10**low, 10**high), padded([*data["low"], *data["high"]])
    lines = _free_lines(free)
    named = with_labels(
        priced.assign(method=priced["name"]), lines, x="price", x_domain=x_domain, y_domain=y_domain
    )
    x = {
        "title": f"{price} (log scale)",
        "scale": {"type": "log", "domain": list(x_domain), "nice": False},
        "axis": {"values": log_ticks(*x_domain), "format": unit},
    }
    y = quantity("mean", title=metric_title(metric), scale={"domain": list(y_domain), "nice": False})
    references = dashed_lines(lines.assign(label_x=x_domain[0]), y, label_x=quantity("label_x", **x))
    view = {"layer": [references, _points(named, quantity("price", **x), y, title=metric_title(metric))]}
    subtitle = "95% intervals; gray: a candidate that costs no more is shown to be better"
    return titled({**view, "width": WIDTH, "height": HEIGHT}, title, subtitle, offset=10)


def _free_lines(free: pd.DataFrame) -> pd.DataFrame:
    """Return a row per score of candidates that cost nothing: mean, and a label with their names."""
    rows = [
        (mean, f"{', '.join(part['name'])} (costs nothing)")
        for mean, part in free.groupby("mean", sort=False)
    ]
    return pd.DataFrame(rows, columns=["mean", "label"])


_LOOKS = {
    "domain": ["recommended", "worth its price", "beaten by a cheaper one", "failed a check"],
    "range": [ACCENT, "black", GRAY, "#D55E00"],
}


def _points(data: pd.DataFrame, x: View, y: View, *, title: str) -> View:
    looks = [look for look in _LOOKS["domain"] if look in set(data["look"])]
    scale = {"domain": looks, "range": [_LOOKS["range"][_LOOKS["domain"].index(look)] for look in looks]}
    legend = {"title": None, "orient": "bottom", "symbolSize": 90}
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
