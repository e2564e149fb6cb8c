"""How scores grow with data: each method's score against the number of train rows."""

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd

from tuneoff.report.charts.points import run_scores, with_spread
from tuneoff.report.charts.style import DASHES, PALETTE, SHAPES, cycled, line_key, metric_title, score_scale
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

    `bottom` and `top` are the ends of the mean's 95 % interval, the mean itself where none is known.
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


def draw_sizes(data: pd.DataFrame, *, title: str, metric: str) -> alt.VConcatChart:
    """A line through the means of each method, single runs as small open shapes, untrained ones dashed."""
    trained, untrained = data[data["trained"]], data[~data["trained"]]
    methods = list(dict.fromkeys(trained["method"]))
    scale = score_scale([*data["score"], *trained["bottom"], *trained["top"]])
    y = alt.Y("mean:Q", title=metric_title(metric), scale=scale)
    x = _x_axis(sorted(set(trained["rows"])))
    panel = alt.layer(*_references(untrained, y), *_lines(trained, methods, x, y)).properties(
        width=WIDTH, height=360
    )
    subtitle = "lines join means over seeds, with their 95 % intervals as bands; open shapes are single runs"
    return (
        alt.vconcat(panel, line_key(methods, width=WIDTH), spacing=14)
        .resolve_scale(color="independent", strokeDash="independent", shape="independent")
        .properties(title=alt.TitleParams(title, subtitle=subtitle, offset=10))
    )


def _x_axis(rows: list[float]) -> alt.X:
    domain = [rows[0] / 1.2, rows[-1] * 1.2]
    return alt.X(
        "rows:Q",
        title="training rows used (log scale)",
        scale=alt.Scale(type="log", domain=domain, nice=False),
        axis=alt.Axis(values=rows, format=",.0f"),
    )


def _lines(data: pd.DataFrame, methods: list[str], x: alt.X, y: alt.Y) -> list[alt.Chart]:
    base = alt.Chart(data).encode(
        x=x, y=y, color=alt.Color("method:N", scale=cycled(PALETTE, methods), legend=None)
    )
    shape = alt.Shape("method:N", scale=cycled(SHAPES, methods), legend=None)
    line = base.mark_line(strokeWidth=1.8).encode(
        strokeDash=alt.StrokeDash("method:N", scale=cycled(DASHES, methods), legend=None)
    )
    mean = base.mark_point(size=70, filled=True, opacity=1).encode(shape=shape)
    run = base.mark_point(size=28, filled=False, strokeWidth=1, opacity=0.8)
    band = base.mark_area(opacity=0.12).encode(y=alt.Y("bottom:Q"), y2="top:Q")
    return [band, run.encode(y=alt.Y("score:Q"), shape=shape), line, mean]


def _references(untrained: pd.DataFrame, y: alt.Y) -> list[alt.Chart]:
    if untrained.empty:
        return []
    rows = [
        {"mean": mean, "label": f"{', '.join(part['method'])} (no training)"}
        for mean, part in untrained.drop_duplicates("method").groupby("mean", sort=False)
    ]
    base = alt.Chart(pd.DataFrame(rows)).encode(y=y)
    rule = base.mark_rule(strokeDash=[6, 4], strokeWidth=1.5, color="black")
    text = base.mark_text(align="left", baseline="bottom", dx=6, dy=-3, fontSize=11)
    return [rule, text.encode(x=alt.value(0), text="label:N")]
