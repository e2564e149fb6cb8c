"""Learning curves: train loss, evaluation loss and the main metric of one method against steps."""

import math
from collections.abc import Iterable, Mapping

import pandas as pd

from tuneoff.reporting.charts.style import (
    PALETTE,
    View,
    categorical_encoding,
    highlight,
    layered,
    line_and_points,
    metric_title,
    quantity,
    score_scale,
    titled,
    with_line_key,
)
from tuneoff.reporting.formatting import in_words
from tuneoff.results import CurvePoint, RunRecord

MOST_POINTS = 40
MOST_RUNS = 12
"""Lines that color, dashes and shape still distinguish."""
TRAIN_LOSS = "train loss (nats per token)"

_COLUMNS = ["run", "panel", "step", "value", "kept"]


def curve_data(records: Iterable[RunRecord], curves: Mapping[str, Iterable[CurvePoint]]) -> pd.DataFrame:
    """Return a row per run, panel and step that has a finite value.

    `kept` marks the step whose weights were kept.

    More than `MOST_POINTS` train losses of a run are averaged in equal groups of consecutive ones.
    """
    rows: list[tuple[str, str, float, float, bool]] = []
    for record in records:
        points, run = tuple(curves.get(record.run_id, ())), run_label(record)
        rows += [(run, TRAIN_LOSS, step, loss, False) for step, loss in _thinned(_losses(points))]
        for metric in ("eval_loss", record.spec.task.main_metric):
            rows += [
                (run, metric_title(metric), point.step, point.scores[metric], point.step == record.best_step)
                for point in points
                if point.scores and math.isfinite(point.scores.get(metric, math.nan))
            ]
    return pd.DataFrame(rows, columns=_COLUMNS).astype({"step": float, "value": float, "kept": bool})


def run_label(record: RunRecord) -> str:
    """Return a run's name in a legend: its seed, and its state where that is not complete."""
    state = "" if record.state == "complete" else f" ({in_words(record.state)})"
    return f"seed {record.spec.seed}{state}"


def draw_curves(data: pd.DataFrame, *, title: str, metric: str, seeds: int) -> View:
    """Draw three panels side by side with a line per run, distinguished by color, dashes and shape.

    `seeds` is how many runs there are, shown or not.
    """
    runs = list(dict.fromkeys(data["run"]))
    last = data["step"].max()
    names = (TRAIN_LOSS, metric_title("eval_loss"), metric_title(metric))
    charts = [_panel(data[data["panel"] == panel], panel, runs, last) for panel in names]
    every = "a line per seed"
    lines = every if seeds <= MOST_RUNS else f"the first {MOST_RUNS} of {seeds} seeds, a line each"
    subtitle = f"{lines}; a ring marks the step whose weights were kept (best validation score)"
    panels = {"hconcat": charts, "spacing": 28}
    return titled(with_line_key(panels, runs, width=900), title, subtitle, offset=12)


def _losses(points: Iterable[CurvePoint]) -> list[tuple[float, float]]:
    return [
        (point.step, point.loss) for point in points if point.loss is not None and math.isfinite(point.loss)
    ]


def _thinned(losses: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Average (step, loss) pairs in groups of consecutive ones, each at its last step."""
    size = math.ceil(len(losses) / MOST_POINTS)
    groups = [losses[start : start + size] for start in range(0, len(losses), size or 1)]
    return [(group[-1][0], sum(loss for _, loss in group) / len(group)) for group in groups]


def _panel(data: pd.DataFrame, title: str, runs: list[str], last: float) -> View:
    # many train losses need no points, but a line of a single one would be invisible
    size = 0 if title == TRAIN_LOSS and len(data) > len(runs) else 45
    return layered(
        data,
        {
            "x": quantity("step", title="optimizer step", scale={"domain": [0, last]}),
            "y": quantity("value", title=title, scale=score_scale(data["value"])),
            "color": categorical_encoding("run", PALETTE, runs),
        },
        *line_and_points("run", runs, width=1.8, size=size),
        highlight("kept", size=260),
        width=270,
        height=230,
    )
