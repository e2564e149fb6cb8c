"""Score against train size: a line per method."""

from collections.abc import Mapping, Sequence

import pandas as pd

from tuneoff.reporting.charts.points import in_method_order, run_scores
from tuneoff.reporting.charts.style import (
    NARROW_WIDTH,
    PALETTE,
    SHAPES,
    View,
    categorical_encoding,
    dashed_lines,
    layer,
    layered,
    line_and_points,
    log_axis,
    quantity,
    score_scale,
    titled,
    untrained_lines,
    with_line_key,
)
from tuneoff.results import metric_title
from tuneoff.stats import Cell, Interval

WIDTH = 640


def sizes_data(
    runs: pd.DataFrame,
    *,
    task: str,
    metric: str,
    methods: Sequence[str],
    untrained: frozenset[str],
    intervals: Mapping[Cell, Interval],
) -> pd.DataFrame:
    """Return a row per complete run of the methods: rows (train rows used), score, mean, trained.

    Rows are in the order of the methods. `bottom` and `top` are the ends of the mean's 95% interval, or the
    mean itself without an interval.
    """
    scores = run_scores(runs, task=task, metric=metric)
    bottom, top = [], []
    for row in scores.itertuples(index=False):
        found = intervals.get(Cell(task, row.method, row.train_size))
        bottom.append(found.low if found else row.mean)
        top.append(found.high if found else row.mean)
    scores = scores.assign(trained=~scores["method"].isin(untrained), bottom=bottom, top=top)
    drawn = scores[scores["method"].isin(methods) & (scores["rows"].notna() | ~scores["trained"])]
    return in_method_order(drawn, methods).reset_index(drop=True)


def draw_sizes(data: pd.DataFrame, *, title: str, metric: str, narrow: bool = False) -> View:
    """Draw a line through each method's means, single runs as small open shapes, untrained ones dashed."""
    width = NARROW_WIDTH if narrow else WIDTH
    trained, untrained = data[data["trained"]], data[~data["trained"]]
    methods = list(dict.fromkeys(trained["method"]))
    scale = score_scale([*data["score"], *trained["bottom"], *trained["top"]])
    y = quantity("mean", title=metric_title(metric), scale=scale)
    lines = untrained_lines(untrained.drop_duplicates("method"))
    panel = {
        "layer": [dashed_lines(lines, y, label_x={"value": 0}), _lines(trained, methods, y)],
        "width": width,
        "height": 360,
    }
    subtitle = "lines join means over seeds, with their 95% intervals as bands; open shapes are single runs"
    return titled(with_line_key(panel, methods, width=width), title, subtitle, offset=10)


def _rows_axis(rows: list[float]) -> View:
    return log_axis("rows", rows[0], rows[-1], title="training rows used", label_format=",.0f", values=rows)


def _lines(data: pd.DataFrame, methods: list[str], y: View) -> View:
    return layered(
        data,
        {
            "x": _rows_axis(sorted(set(data["rows"]))),
            "color": categorical_encoding("method", PALETTE, methods),
        },
        layer("area", {"opacity": 0.12}, y=quantity("bottom"), y2={"field": "top"}),
        layer(
            "point",
            {"size": 28, "filled": False, "strokeWidth": 1, "opacity": 0.8},
            y=quantity("score"),
            shape=categorical_encoding("method", SHAPES, methods),
        ),
        *line_and_points("method", methods, width=1.8, size=70, y=y),
    )
