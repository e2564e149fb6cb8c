"""Learning curves of all methods of a task: losses and the main metric against steps."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from tuneoff.reporting.charts.style import (
    DASHES,
    PALETTE,
    View,
    category,
    cycled,
    filtered,
    layer,
    layered,
    quantity,
    titled,
)
from tuneoff.reporting.formatting import in_words
from tuneoff.results import CurvePoint, RunRecord, metric_title

MOST_POINTS = 40
MOST_SEEDS = 12
"""Lines of one method that a reader can still follow."""
TRAIN_LOSS = "train loss (nats per token)"
WIDTH, HEIGHT = 620, 340


class Curve(NamedTuple):
    """What a run logged: for each panel, its steps and the values there."""

    panels: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]
    """Train loss, validation loss, the main metric on validation."""
    kept: int | None
    """The step whose weights were kept."""


def panel_titles(metric: str) -> tuple[str, str, str]:
    """Return the titles of a curve's panels."""
    return TRAIN_LOSS, f"validation {metric_title('eval_loss')}", f"validation {metric_title(metric)}"


def run_curve(record: RunRecord, points: Iterable[CurvePoint]) -> Curve:
    """Return a run's finite values, in three panels.

    More than `MOST_POINTS` train losses are averaged in equal groups of consecutive ones.
    """
    points = tuple(points)
    panels = [_thinned(_losses(points))]
    for metric in ("eval_loss", record.spec.task.main_metric):
        scored = [(point.step, (point.scores or {}).get(metric, math.nan)) for point in points]
        panels.append([(step, value) for step, value in scored if math.isfinite(value)])
    columns = tuple((tuple(x for x, _ in one), tuple(y for _, y in one)) for one in panels)
    return Curve(columns, record.best_step)


def curve_data(records: Iterable[RunRecord], curves: Mapping[str, Iterable[CurvePoint]]) -> pd.DataFrame:
    """Return a row per run, panel (its title) and step that has a finite value, with the method.

    `kept` marks the step whose weights were kept.
    """
    rows: list[tuple[str, str, str, float, float, bool]] = []
    for record in records:
        curve = run_curve(record, curves.get(record.run_id, ()))
        titles = panel_titles(record.spec.task.main_metric)
        for title, (steps, values) in zip(titles, curve.panels, strict=True):
            name, run = record.spec.method_name, run_label(record)
            for step, value in zip(steps, values, strict=True):
                kept = title != TRAIN_LOSS and step == curve.kept
                rows.append((name, run, title, step, value, kept))
    columns = ["method", "run", "panel", "step", "value", "kept"]
    return pd.DataFrame(rows, columns=columns).astype({"step": float, "value": float, "kept": bool})


def run_label(record: RunRecord) -> str:
    """Return a run's name within its method: its seed, and its state where that is not complete."""
    state = "" if record.state == "complete" else f" ({in_words(record.state)})"
    return f"seed {record.spec.seed}{state}"


def draw_curves(data: pd.DataFrame, *, title: str, metric: str, note: str = "") -> View:
    """Draw three panels side by side, a thin line per run in the color of its method."""
    methods = list(dict.fromkeys(data["method"]))
    panels = []
    for name in panel_titles(metric):
        part = data[data["panel"] == name]
        panels.append(draw_curve_panel(part, methods, title=name, width=270, height=230))
    subtitle = f"a line per seed; a ring marks the step whose weights were kept (best validation score){note}"
    return titled({"hconcat": panels, "spacing": 28}, title, subtitle, offset=12)


def draw_curve_panel(
    data: pd.DataFrame,
    methods: Sequence[str],
    *,
    title: str,
    width: int = WIDTH,
    height: int = HEIGHT,
    live: bool = False,
) -> View:
    """Draw one panel; where it is live, the legend's names choose which methods stand out."""
    look = {"strokeWidth": 1.4}
    # dashes only where colors repeat
    dashed = len(methods) > len(PALETTE)
    dashes = {"strokeDash": category("method", scale=cycled(DASHES, methods), legend=None)} if dashed else {}
    legend = {"title": None, "orient": "bottom", "symbolType": "stroke", "symbolStrokeWidth": 3, "columns": 6}
    shown: View = {"value": 0.85}
    if live:
        shown = {"condition": {"param": "chosen", "value": 0.85}, "value": 0.08}
    chosen = {"name": "chosen", "select": {"type": "point", "fields": ["method"]}, "bind": "legend"}
    tooltip = [
        {"field": "method", "title": "method"},
        {"field": "run", "title": "run"},
        {"field": "step", "title": "step", "type": "quantitative", "format": ",.0f"},
        {"field": "value", "title": title, "type": "quantitative", "format": ".4~r"},
    ]
    # a line of a single point would be invisible
    dots = {"size": 16, "filled": True}
    rings = {"size": 80, "filled": False, "strokeWidth": 1.6}
    lines = layer("line", look, detail=category("run"), opacity=shown, **dashes)
    layers = [{**lines, "params": [chosen]} if live else lines, layer("point", dots, opacity=shown)]
    if title != TRAIN_LOSS:  # an empty layer would be warned of
        layers.append(filtered("kept", layer("point", rings, opacity=shown)))
    return layered(
        data,
        {
            "x": quantity("step", title="optimizer step", axis={"grid": False, "tickCount": 6}),
            "y": quantity("value", title=title, scale={"zero": False, "nice": True}, axis={"tickCount": 6}),
            "color": category("method", scale=cycled(PALETTE, methods), legend=legend),
            "tooltip": tooltip,
        },
        *layers,
        width=width,
        height=height,
    )


def _losses(points: Iterable[CurvePoint]) -> list[tuple[float, float]]:
    return [
        (point.step, point.loss) for point in points if point.loss is not None and math.isfinite(point.loss)
    ]


def _thinned(losses: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Average (step, loss) pairs in groups of consecutive ones, each at its last step."""
    size = math.ceil(len(losses) / MOST_POINTS)
    groups = [losses[start : start + size] for start in range(0, len(losses), size or 1)]
    return [(group[-1][0], sum(loss for _, loss in group) / len(group)) for group in groups]
