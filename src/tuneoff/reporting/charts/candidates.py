"""The picture of a decision: every candidate's score with its interval, and beside it its price."""

from collections.abc import Callable, Collection, Mapping

import pandas as pd

from tuneoff.reporting.charts.style import (
    ACCENT,
    GRAY,
    NARROW_WIDTH,
    View,
    category,
    filtered,
    layer,
    layered,
    padded,
    quantity,
    titled,
)
from tuneoff.reporting.formatting import ABSENT, decimal, span
from tuneoff.results import metric_title
from tuneoff.stats import Decision

ROW = 34
"""Height of a candidate, in pixels."""
SCORES_WIDTH, PRICES_WIDTH = 420, 190

_COLUMNS = ["name", "mean", "low", "high", "look", "score", "price", "cost", "floor"]


def candidates_data(
    decision: Decision,
    *,
    trained: Collection[str],
    prices: Mapping[str, float | None],
    price_text: Callable[[float | None], str],
) -> pd.DataFrame:
    """Return a row per candidate, the highest mean first.

    `look` is recommended, trained, untrained or failed (a health check). `price` is missing where it is
    unknown or 0, which a logarithmic axis cannot show; `cost` says it in words, `floor` is where the axis
    begins.
    """
    rows = []
    for one in sorted(decision.candidates, key=lambda one: (-one.mean, one.name)):
        price = prices.get(one.name)
        score = f"{decimal(one.mean)} ({span(one.interval.low, one.interval.high)})"
        ends = (one.interval.low, one.interval.high)
        rows.append(
            (
                one.name,
                one.mean,
                *ends,
                _look(decision, one.name, trained),
                score,
                price or None,
                price_text(price),
            )
        )
    table = pd.DataFrame(rows, columns=_COLUMNS[:-1])
    table["price"] = table["price"].astype(float)
    return table.assign(floor=table["price"].min() / 2 if table["price"].notna().any() else 1.0)


def _look(decision: Decision, name: str, trained: Collection[str]) -> str:
    if name == decision.recommended:
        return "recommended"
    if decision[name].findings:
        return "failed"
    return "trained" if name in trained else "untrained"


def draw_candidates(
    data: pd.DataFrame, *, title: str, metric: str, price: str, margin: float, narrow: bool = False
) -> View:
    """Draw two panels with a row per candidate: score and interval, and the price on a logarithmic axis.

    The band reaches from the highest mean that passed its checks down by the margin. `narrow` puts the panels
    one below the other.
    """
    widths = (NARROW_WIDTH, NARROW_WIDTH) if narrow else (SCORES_WIDTH, PRICES_WIDTH)
    scores = _scores(data, metric_title(metric), margin, width=widths[0])
    costs = _prices(data, price, width=widths[1], named=narrow)
    panels = {"vconcat" if narrow else "hconcat": [scores, costs], "spacing": 22}
    subtitle = f"mean and 95% interval; shaded: within {margin:g} of the highest mean"
    for look, sign in (("untrained", "diamonds: not trained"), ("failed", "crosses: failed a health check")):
        subtitle += f"; {sign}" if look in set(data["look"]) else ""
    subtitle += f"; {ABSENT}: not measured" if ABSENT in set(data["cost"]) else ""
    return titled(panels, title, subtitle, offset=12)


def _rows(data: pd.DataFrame, *, named: bool) -> View:
    axis: View = {"grid": False, "ticks": False, "domain": False, "labelPadding": 10, "labelFontSize": 12}
    axis |= {} if named else {"labels": False}
    return category("name", sort=list(data["name"]), title=None, axis=axis)


_LOOKS: View = {
    "domain": ["recommended", "trained", "untrained", "failed"],
    "range": [ACCENT, "black", GRAY, "#D55E00"],
}
_SHAPES: View = {"domain": _LOOKS["domain"], "range": ["circle", "circle", "diamond", "cross"]}


def _scores(data: pd.DataFrame, title: str, margin: float, *, width: int) -> View:
    sound = data[data["look"] != "failed"]
    best = sound["mean"].max() if len(sound) else data["mean"].max()
    low, high = padded([*data["low"], *data["high"], best - margin], share=0.05)
    scale = {"domain": [low, high], "nice": False, "zero": False}
    axis = {"tickCount": 5, "domain": False, "ticks": False}
    band = {
        "data": {"values": [{"from": best - margin, "to": best}]},
        **layer("rect", {"color": ACCENT, "opacity": 0.16}, x=quantity("from"), x2={"field": "to"}),
    }
    color = category("look", scale=_LOOKS, legend=None)
    tooltip = [
        {"field": "name", "title": "candidate"},
        {"field": "score", "title": title},
        {"field": "cost", "title": "price"},
    ]
    candidates = layered(
        data,
        {"y": _rows(data, named=True), "color": color, "tooltip": tooltip},
        layer(
            "rule",
            {"strokeWidth": 2.5, "opacity": 0.55, "strokeCap": "round"},
            x=quantity("low"),
            x2={"field": "high"},
        ),
        layer(
            "point",
            {"size": 90, "filled": True, "opacity": 1},
            x=quantity("mean", title=title, scale=scale, axis=axis),
            shape=category("look", scale=_SHAPES, legend=None),
        ),
    )
    return {"layer": [band, candidates], "width": width, "height": ROW * len(data), "view": {"stroke": None}}


def _prices(data: pd.DataFrame, price: str, *, width: int, named: bool) -> View:
    color = category("look", scale=_LOOKS, legend=None)
    known = data["price"].dropna()
    domain = [1.0, 10.0]
    if len(known):
        span = 2 * known.max() / known.min()
        domain = [known.min() / 2, known.max() * max(30, span**0.6)]  # with room for the words
    axis = {"tickCount": 3, "format": "~s", "domain": False, "ticks": False}
    x = quantity(
        "price",
        title=f"{price} (log scale)",
        scale={"type": "log", "domain": domain, "nice": False},
        axis=axis,
    )
    words = {"fontSize": 11, "align": "left", "dx": 9}
    return layered(
        data.assign(known=data["price"].notna(), unknown=data["price"].isna()),
        {"y": _rows(data, named=named), "color": color},
        filtered(
            "known",
            layer("rule", {"strokeWidth": 1, "opacity": 0.35}, x=quantity("floor"), x2={"field": "price"}),
        ),
        filtered("known", layer("point", {"size": 60, "filled": True, "opacity": 1}, x=x)),
        filtered("known", layer("text", words, x=quantity("price"), text=category("cost"))),
        filtered("unknown", layer("text", words, x=quantity("floor"), text=category("cost"))),
        width=width,
        height=ROW * len(data),
        view={"stroke": None},
    )
