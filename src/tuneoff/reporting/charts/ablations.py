"""Ablation charts: the variants of one method, one below the other, with every seed's score."""

from collections.abc import Mapping

import pandas as pd

from tuneoff.reporting.charts.points import in_method_order, run_scores, with_spread
from tuneoff.reporting.charts.style import (
    NARROW_WIDTH,
    PALETTE,
    SHAPES,
    View,
    category,
    cycled,
    layer,
    layered,
    quantity,
    score_scale,
    titled,
)
from tuneoff.results import metric_title

WIDTH = 520
ROW = 48
"""Height of a variant, in pixels."""


def ablation_data(runs: pd.DataFrame, *, task: str, metric: str, labels: Mapping[str, str]) -> pd.DataFrame:
    """Return a row per complete run of the ablation's variants, in the order of `labels` (name to label)."""
    scores = run_scores(runs, task=task, metric=metric)
    ordered = in_method_order(scores[scores["method"].isin(labels)], labels)
    return with_spread(ordered).assign(
        variant=ordered["method"].map(labels),
        summary=[_summary(row.mean, row.std, row.n) for row in ordered.itertuples(index=False)],
        seed=[f"seed {seed}" for seed in ordered["seed"]],
    )


def draw_ablation(data: pd.DataFrame, *, title: str, metric: str, narrow: bool = False) -> View:
    """Draw a panel per train size: seeds as shapes, the mean as a bar, the standard deviation as a line.

    The numbers are to the right of the plot, or, if it is narrow, above the shapes.
    """
    scale = score_scale([*data["score"], *data["low"], *data["high"]])
    sizes = list(dict.fromkeys(data["train_size"]))
    panels = []
    for size in sizes:
        panel = _panel(data[data["train_size"] == size], data, scale, metric_title(metric), narrow=narrow)
        text = f"train size {size}" if len(sizes) > 1 else ""
        panels.append({"title": {"text": text, "fontSize": 12, "fontWeight": "normal"}, **panel})
    subtitle = "a shape per seed; black: mean and one sample standard deviation each way"
    return titled({"vconcat": panels}, title, subtitle, offset=8)


def _summary(mean: float, std: float, n: int) -> str:
    return f"{mean:.3f} (n=1)" if n == 1 else f"{mean:.3f} ± {std:.3f} (n={n})"


def _panel(part: pd.DataFrame, data: pd.DataFrame, scale: View, title: str, *, narrow: bool) -> View:
    seeds = list(dict.fromkeys(data["seed"]))
    rows = list(dict.fromkeys(part["variant"]))
    row, gap = (1.5 * ROW, 0.5) if narrow else (ROW, 0.25)
    words: View = {"align": "left", "dx": 8, "fontSize": 11}
    if narrow:
        words = {"align": "right", "dx": -3, "dy": -0.4 * row, "fontSize": 10.5}
    y = category(
        "variant",
        sort=rows,
        title=None,
        axis={"grid": True, "tickBand": "extent", "labelPadding": 8},
        scale={"paddingInner": gap, "paddingOuter": gap / 2},
    )
    legend = {"title": None, "orient": "bottom", "symbolSize": 70, "columns": 8}
    means = layered(
        part.drop_duplicates("variant"),
        {"y": y},
        layer(
            "rule",
            {"strokeWidth": 1.4, "color": "black"},
            x=quantity("low", title=title),
            x2={"field": "high"},
        ),
        layer(
            "tick",
            {"thickness": 3, "size": ROW * 0.5, "color": "black", "opacity": 1},
            x=quantity("mean", title=title),
        ),
        layer(
            "text",
            words,
            x={"value": "width"},
            text=category("summary"),
        ),
    )
    points = layered(
        part,
        {"y": y},
        layer(
            "point",
            {"size": 60, "filled": False, "strokeWidth": 1.7, "opacity": 1},
            x=quantity("score", scale=scale, title=title, axis={"tickCount": 6}),
            yOffset=category("seed", sort=seeds, scale={"paddingOuter": 0.3}),
            shape=category("seed", scale=cycled(SHAPES, seeds), legend=legend),
            color=category("seed", scale=cycled(PALETTE, seeds), legend=legend),
        ),
    )
    return {"layer": [means, points], "width": NARROW_WIDTH if narrow else WIDTH, "height": row * len(rows)}
