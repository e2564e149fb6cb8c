"""Ablation comparisons: the variants of one method under each other, with every seed's score."""

from collections.abc import Mapping

import altair as alt
import pandas as pd

from tuneoff.report.charts.points import run_scores, with_spread
from tuneoff.report.charts.style import PALETTE, SHAPES, cycled, metric_title, score_scale

ROW = 48


def ablation_data(runs: pd.DataFrame, *, task: str, metric: str, labels: Mapping[str, str]) -> pd.DataFrame:
    """A row per complete run of the ablation's variants, in the order of `labels` (name to label)."""
    scores = run_scores(runs, task=task, metric=metric)
    scores = scores[scores["method"].isin(labels)]
    order = {name: place for place, name in enumerate(labels)}
    ordered = scores.sort_values("method", key=lambda names: names.map(order), kind="stable")
    return with_spread(ordered).assign(
        variant=ordered["method"].map(labels),
        written=[_written(row.mean, row.std, row.n) for row in ordered.itertuples(index=False)],
        seed=[f"seed {seed}" for seed in ordered["seed"]],
    )


def draw_ablation(data: pd.DataFrame, *, title: str, metric: str) -> alt.VConcatChart:
    """A panel per train size: seeds as shapes, the mean as a bar, the standard deviation as a line."""
    scale = score_scale([*data["score"], *data["low"], *data["high"]])
    sizes = list(dict.fromkeys(data["train_size"]))
    panels = []
    for size in sizes:
        name = f"train size {size}" if len(sizes) > 1 else ""
        panel = _panel(data[data["train_size"] == size], data, scale, metric_title(metric))
        panels.append(panel.properties(title=alt.TitleParams(name, fontSize=12, fontWeight="normal")))
    subtitle = "a shape per seed; black: mean and one sample standard deviation each way"
    return alt.vconcat(*panels).properties(title=alt.TitleParams(title, subtitle=subtitle, offset=8))


def _written(mean: float, std: float, n: int) -> str:
    return f"{mean:.3f} (n=1)" if n == 1 else f"{mean:.3f} ± {std:.3f} (n={n})"


def _panel(part: pd.DataFrame, data: pd.DataFrame, scale: alt.Scale, title: str) -> alt.LayerChart:
    seeds = list(dict.fromkeys(data["seed"]))
    rows = list(dict.fromkeys(part["variant"]))
    axis = alt.Axis(grid=True, tickBand="extent", labelPadding=8)
    y = alt.Y(
        "variant:N", sort=rows, title=None, axis=axis, scale=alt.Scale(paddingInner=0.25, paddingOuter=0.125)
    )
    legend = alt.Legend(title=None, orient="bottom", symbolSize=70, columns=8)
    points = (
        alt.Chart(part)
        .mark_point(size=60, filled=False, strokeWidth=1.7, opacity=1)
        .encode(
            x=alt.X("score:Q", scale=scale, title=title, axis=alt.Axis(tickCount=6)),
            y=y,
            yOffset=alt.YOffset("seed:N", sort=seeds, scale=alt.Scale(paddingOuter=0.3)),
            shape=alt.Shape("seed:N", scale=cycled(SHAPES, seeds), legend=legend),
            color=alt.Color("seed:N", scale=cycled(PALETTE, seeds), legend=legend),
        )
    )
    mean = alt.Chart(part.drop_duplicates("variant")).encode(y=y, x=alt.X("mean:Q", title=title))
    bar = mean.mark_tick(thickness=3, size=ROW * 0.5, color="black", opacity=1)
    spread = mean.mark_rule(strokeWidth=1.4, color="black").encode(x=alt.X("low:Q", title=title), x2="high:Q")
    text = mean.mark_text(align="left", dx=8, fontSize=11).encode(x=alt.value("width"), text="written:N")
    return alt.layer(spread, bar, points, text).properties(width=520, height=ROW * len(rows))
