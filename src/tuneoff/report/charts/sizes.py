"""How scores grow with data: each method's score against the number of train rows."""

from collections.abc import Mapping, Sequence

import pandas as pd

from tuneoff.report.charts.points import run_scores, with_spread
from tuneoff.report.charts.style import (
    PALETTE,
    SHAPES,
    View,
    categorical_encoding,
    dashed_lines,
    layer,
    layered,
    line_and_points,
    metric_title,
    quantity,
    score_scale,
    titled,
    untrained_lines,
    with_line_key,
)
from tuneoff.spec import TrainSize
from tuneoff.stats import Interval

CellKey = tuple[str, str, TrainSize]
WIDTH = 640


def sizes_data(
    runs: pd.DataFrame,
    *,
    task: str,
    metric: str,
    methods: Sequence[str],
    untrained: frozenset[str],
    intervals: Mapping[CellKey, Interval],
) -> pd.DataFrame:
    """A row per complete run of the methods, in their order: rows (train rows used), score, mean, trained.

    `bottom` and `top` are the ends of the mean's 95% interval, the mean itself where none is known.
    """
    scores = with_spread(run_scores(runs, task=task, metric=metric))
    known = [intervals.get((task, row.method, row.train_size)) for row in scores.itertuples(index=False)]
    scores = scores.assign(
        trained=~scores["method"].isin(untrained),
        bottom=[mean if one is None else one.low for one, mean in zip(known, scores["mean"], strict=True)],
        top=[mean if one is None else one.high for one, mean in zip(known, scores["mean"], strict=True)],
    )
    drawn = scores[scores["method"].isin(methods) & (scores["rows"].notna() | ~scores["trained"])]
    order = {name: place for place, name in enumerate(methods)}
    return drawn.sort_values("method", key=lambda names: names.map(order), kind="stable").reset_index(
        drop=True
    )


def draw_sizes(data: pd.DataFrame, *, title: str, metric: str) -> View:
    """A line through the means of each method, single runs as small open shapes, untrained ones dashed."""
    trained, untrained = data[data["trained"]], data[~data["trained"]]
    methods = list(dict.fromkeys(trained["method"]))
    scale = score_scale([*data["score"], *trained["bottom"], *trained["top"]])
    y = quantity("mean", title=metric_title(metric), scale=scale)
    lines = untrained_lines(untrained.drop_duplicates("method"))
    panel = {
        "layer": [dashed_lines(lines, y, label_x={"value": 0}), _lines(trained, methods, y)],
        "width": WIDTH,
        "height": 360,
    }
    subtitle = "lines join means over seeds, with their 95% intervals as bands; open shapes are single runs"
    return titled(with_line_key(panel, methods, width=WIDTH), title, subtitle, offset=10)


def _rows_axis(rows: list[float]) -> View:
    domain = [rows[0] / 1.2, rows[-1] * 1.2]
    return quantity(
        "rows",
        title="training rows used (log scale)",
        scale={"type": "log", "domain": domain, "nice": False},
        axis={"values": rows, "format": ",.0f"},
    )


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
