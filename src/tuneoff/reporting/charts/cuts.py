"""Score against the stored bytes of LoRA that is cut after training: a line per method."""

from collections.abc import Mapping

import pandas as pd

from tuneoff.reporting.charts.style import (
    NARROW_WIDTH,
    PALETTE,
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
from tuneoff.reporting.formatting import byte_size, decimal, span
from tuneoff.results import metric_title
from tuneoff.stats import Cut

WIDTH = 640
_COLUMNS = ["method", "kept", "stored_bytes", "mean", "low", "high", "size", "score"]


def cuts_data(curves: Mapping[str, tuple[Cut, ...]]) -> pd.DataFrame:
    """Return a row per method and cut of which anything is left, the whole (kept 1) first.

    `low` and `high` are the ends of the mean's 95% interval.
    """
    rows = [
        (
            method,
            cut.keep,
            cut.stored_bytes,
            cut.score.mean,
            cut.score.low,
            cut.score.high,
            byte_size(cut.stored_bytes),
            f"{decimal(cut.score.mean)} ({span(cut.score.low, cut.score.high)})",
        )
        for method, cuts in curves.items()
        for cut in cuts
        if cut.stored_bytes
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)


def draw_cuts(
    data: pd.DataFrame, untrained: Mapping[str, float], *, title: str, metric: str, narrow: bool = False
) -> View:
    """Draw a line per method through its cuts with their intervals as bands; the base model dashed.

    `untrained` has the mean scores of methods without training.
    """
    width = NARROW_WIDTH if narrow else WIDTH
    methods = list(dict.fromkeys(data["method"]))
    lines = untrained_lines(pd.DataFrame(untrained.items(), columns=["method", "mean"]))
    y = quantity(
        "mean",
        title=metric_title(metric),
        scale=score_scale([*data["low"], *data["high"], *untrained.values()]),
    )
    tooltip = [
        {"field": "method"},
        {"field": "kept", "type": "quantitative", "title": "share of parameters kept at most"},
        {"field": "size", "title": "stored"},
        {"field": "score", "title": metric_title(metric)},
    ]
    panel = {
        "layer": [
            dashed_lines(lines, y, label_x={"value": 0}),
            layered(
                data,
                {
                    "x": log_axis(
                        "stored_bytes",
                        data["stored_bytes"].min(),
                        data["stored_bytes"].max(),
                        title="stored bytes",
                        label_format="~s",
                    ),
                    "color": categorical_encoding("method", PALETTE, methods),
                    "tooltip": tooltip,
                },
                layer("area", {"opacity": 0.12}, y=quantity("low"), y2={"field": "high"}),
                *line_and_points("method", methods, width=1.8, size=70, y=y),
            ),
        ],
        "width": width,
        "height": 360,
    }
    subtitle = "a point per cut, the whole at the right; bands are 95% intervals"
    return titled(with_line_key(panel, methods, width=width), title, subtitle, offset=10)
