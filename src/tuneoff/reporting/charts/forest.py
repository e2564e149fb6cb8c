"""A forest plot: the difference of each method from a reference, with its interval."""

from collections.abc import Iterable

import pandas as pd

from tuneoff.reporting.charts.style import (
    ACCENT,
    GRAY,
    NARROW_WIDTH,
    View,
    category,
    layer,
    layered,
    padded,
    quantity,
    titled,
)
from tuneoff.reporting.formatting import signed
from tuneoff.results import metric_name
from tuneoff.stats import Comparison

ROW = 30
"""Height of a comparison, in pixels."""
WIDTH = 440
_LOOKS = {"better": ACCENT, "worse": "#D55E00", "alike": "#009E73", "open": GRAY}
_LOOK_OF = {
    "better": "better",
    "better within the margin": "better",
    "worse": "worse",
    "worse within the margin": "worse",
    "equivalent": "alike",
    "not inferior": "alike",
    "not distinguishable": "open",
    "single seed": "open",
}


def forest_data(comparisons: Iterable[Comparison]) -> pd.DataFrame:
    """Return a row per comparison, the largest difference first: method, mean, low, high, outcome, text."""
    rows = [
        (
            one.method,
            one.difference.mean,
            one.difference.low,
            one.difference.high,
            one.outcome,
            _LOOK_OF[one.outcome],
            f"{signed(one.difference.mean)} ({signed(one.difference.low)} to {signed(one.difference.high)})",
        )
        for one in sorted(comparisons, key=lambda one: -one.difference.mean)
    ]
    return pd.DataFrame(rows, columns=["method", "mean", "low", "high", "outcome", "look", "text"])


def draw_forest(
    data: pd.DataFrame,
    *,
    title: str,
    metric: str,
    reference: str,
    margin: float | None,
    narrow: bool = False,
) -> View:
    """Draw a row per method around the line of no difference; the margin, if there is one, as a band.

    Outcomes are to the right of the plot, or, if it is narrow, above each interval.
    """
    name = metric_name(metric)
    low, high = padded([*data["low"], *data["high"], 0.0, *((-margin, margin) if margin else ())], share=0.06)
    scale = {"domain": [low, high], "nice": False}
    rows = category(
        "method",
        sort=list(data["method"]),
        title=None,
        axis={"grid": False, "ticks": False, "domain": False, "labelPadding": 10, "labelFontSize": 12},
    )
    x = quantity(
        "mean",
        title=f"difference in {name}" + ("" if narrow else f" from {reference}"),
        scale=scale,
        axis={"format": "+.2~f", "tickCount": 3 if narrow else 6, "domain": False, "ticks": False},
    )
    looks = {"domain": list(_LOOKS), "range": list(_LOOKS.values())}
    tooltip = [
        {"field": "method", "title": "method"},
        {"field": "text", "title": "difference"},
        {"field": "outcome", "title": "outcome"},
    ]
    lines: list[View] = []
    if margin:
        band = {"data": {"values": [{"from": -margin, "to": margin}]}}
        lines.append(
            band | layer("rect", {"color": GRAY, "opacity": 0.14}, x=quantity("from"), x2={"field": "to"})
        )
    zero = {"data": {"values": [{"zero": 0}]}}
    lines.append(zero | layer("rule", {"color": "black", "strokeWidth": 1}, x=quantity("zero")))
    rule = {"strokeWidth": 2.5, "opacity": 0.6, "strokeCap": "round"}
    words: View = {"align": "left", "dx": 10, "fontSize": 11}
    place: View = {"value": "width"}
    if narrow:  # off the line of no difference
        is_right = -low < high
        words = {"align": "right" if is_right else "left", "dy": -10, "fontSize": 10.5}
        place = {"value": "width" if is_right else 0}
    differences = layered(
        data,
        {"y": rows, "color": category("look", scale=looks, legend=None), "tooltip": tooltip},
        layer("rule", rule, x=quantity("low"), x2={"field": "high"}),
        layer("point", {"size": 85, "filled": True, "opacity": 1}, x=x),
        layer("text", words, x=place, text=category("outcome")),
    )
    view = {
        "layer": [*lines, differences],
        "width": NARROW_WIDTH if narrow else WIDTH,
        "height": ROW * len(data),
        "view": {"stroke": None},
    }
    band_text = f"; shaded: differences below the margin of {margin:g}" if margin else ""
    return titled(view, title, f"method minus {reference}, 95% intervals{band_text}", offset=12)
