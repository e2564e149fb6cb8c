"""Score against trainable parameters: a point per method."""

import math
from collections.abc import Mapping

import pandas as pd

from tuneoff.reporting.charts.labels import CHARACTER, Box, place_labels
from tuneoff.reporting.charts.points import in_method_order, run_scores, with_spread
from tuneoff.reporting.charts.style import (
    GRAY,
    PALETTE,
    SHAPES,
    View,
    category,
    cycled,
    dashed_lines,
    filtered,
    layer,
    layered,
    metric_title,
    padded,
    quantity,
    titled,
    untrained_lines,
)
from tuneoff.spec import TrainSize

WIDTH, HEIGHT = 640, 380


def parameters_data(
    runs: pd.DataFrame, *, task: str, metric: str, kinds: Mapping[str, str], train_size: TrainSize
) -> pd.DataFrame:
    """Return a row per method with a complete run at a train size: kind, trainable, mean, low, high.

    `kinds` maps a method's name to its kind and gives the order; untrained methods (kind none) are
    included at every train size.
    """
    scores = run_scores(runs, task=task, metric=metric)
    scores = with_spread(scores.assign(kind=scores["method"].map(kinds)))
    scores = scores[scores["method"].isin(kinds)]
    fits = (scores["train_size"] == train_size) | (scores["kind"] == "none")
    drawable = (scores["kind"] == "none") | (scores["trainable"] > 0)  # the axis is logarithmic
    points = in_method_order(scores[fits & drawable].drop_duplicates("method"), kinds)
    return points[["method", "kind", "trainable", "mean", "low", "high", "n"]].reset_index(drop=True)


def draw_parameters(data: pd.DataFrame, *, title: str, metric: str) -> View:
    """Draw a named point per trained method, with a shape per kind; untrained ones as dashed lines."""
    trained, untrained = data[data["kind"] != "none"], data[data["kind"] == "none"]
    low, high = padded(map(math.log10, trained["trainable"]), share=0.16)
    x_domain, y_domain = (10**low, 10**high), padded([*data["low"], *data["high"]])
    lines = untrained_lines(untrained)
    named = with_labels(trained, lines, x="trainable", x_domain=x_domain, y_domain=y_domain)
    x = {
        "title": "trainable parameters (log scale)",
        "scale": {"type": "log", "domain": list(x_domain), "nice": False},
        "axis": {"values": log_ticks(*x_domain), "format": "~s"},
    }
    y = quantity("mean", title=metric_title(metric), scale={"domain": list(y_domain), "nice": False})
    left = quantity("label_x", **x)
    references = dashed_lines(lines.assign(label_x=x_domain[0]), y, label_x=left)
    view = {"layer": [references, _points(named, quantity("trainable", **x), y)]}
    subtitle = "mean over seeds; vertical lines: one sample standard deviation each way"
    return titled({**view, "width": WIDTH, "height": HEIGHT}, title, subtitle, offset=10)


def _points(data: pd.DataFrame, x: View, y: View) -> View:
    kinds = list(dict.fromkeys(data["kind"]))
    legend = {"title": "kind of method", "orient": "bottom", "symbolSize": 90, "titleOrient": "left"}
    label = {"x": quantity("label_x"), "y": quantity("label_y"), "text": category("method")}
    leader = layer("rule", {"strokeWidth": 0.7, "color": GRAY}, x2={"field": "end_x"}, y2={"field": "end_y"})
    halo = {"stroke": "white", "strokeWidth": 3, "strokeJoin": "round"}
    return layered(
        data,
        {"x": x, "y": y},
        filtered("far", leader),
        layer("rule", {"strokeWidth": 1.4, "color": "#333333"}, y=quantity("low"), y2={"field": "high"}),
        layer(
            "point",
            {"size": 95, "filled": True, "opacity": 1},
            shape=category("kind", scale=cycled(SHAPES, kinds), legend=legend),
            color=category("kind", scale=cycled(PALETTE, kinds), legend=legend),
        ),
        # the label twice: first its white outline, so that it stays readable on grid lines
        layer("text", {"fontSize": 11, **halo}, **label),
        layer("text", {"fontSize": 11}, **label),
    )


def with_labels(
    data: pd.DataFrame,
    lines: pd.DataFrame,
    *,
    x: str,
    x_domain: tuple[float, float],
    y_domain: tuple[float, float],
) -> pd.DataFrame:
    """Add to the points the places of their labels, in the units of the axes; `x` is a column of the points.

    Places are found in pixels from the upper left corner and then turned back into values.
    """
    left, right = map(math.log10, x_domain)
    across, up = WIDTH / (right - left), HEIGHT / (y_domain[1] - y_domain[0])  # pixels per unit

    def pixels(value: float) -> float:
        return (y_domain[1] - value) * up

    xs = [(math.log10(value) - left) * across for value in data[x]]
    points = list(zip(xs, map(pixels, data["mean"]), strict=True))
    spreads = zip(xs, data["low"], data["high"], strict=True)
    # labels keep off the vertical lines, the dashed lines, and the names above the dashed lines
    obstacles = [Box(x - 3, pixels(high), x + 3, pixels(low)) for x, low, high in spreads]
    for line in lines.itertuples():
        y = pixels(line.mean)
        obstacles += [Box(0, y - 2, WIDTH, y + 2), Box(0, y - 19, 12 + CHARACTER * len(line.label), y)]
    frame = Box(3, 3, WIDTH - 3, HEIGHT - 3)
    labels = place_labels(points, list(data["method"]), obstacles=obstacles, frame=frame)
    return data.assign(
        label_x=[10 ** (label.middle[0] / across + left) for label in labels],
        label_y=[y_domain[1] - label.middle[1] / up for label in labels],
        end_x=[10 ** (label.end[0] / across + left) for label in labels],
        end_y=[y_domain[1] - label.end[1] / up for label in labels],
        far=[label.far for label in labels],
    )


def log_ticks(low: float, high: float) -> list[float]:
    """Return the ticks of a logarithmic axis: powers of ten in a range, and twice and five times these where there are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1,) if math.log10(high / low) > 2.5 else (1, 2, 5)
    return [step * 10**power for power in powers for step in steps if low <= step * 10**power <= high]
