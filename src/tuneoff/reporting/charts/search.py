"""Search charts: the validation score of every trial against the value of one searched setting."""

from collections.abc import Iterable

import pandas as pd

from tuneoff.reporting.charts.style import (
    NARROW_WIDTH,
    PALETTE,
    View,
    categorical_encoding,
    highlight,
    layered,
    line_and_points,
    quantity,
    score_scale,
    titled,
    with_line_key,
)
from tuneoff.results import SearchResult, metric_title

WIDTH = 640
_COLUMNS = ["method", "value", "score", "chosen"]


def search_data(results: Iterable[SearchResult], *, field: str) -> pd.DataFrame:
    """Return a row per scored trial of the searches that have the field: method, value, score, chosen.

    With halving, scores are those at the first rung, where all trials have one.
    """
    rows = [
        (result.method_name, trial.values[field], score, trial == result.best)
        for result in results
        if field in result.space
        for trial in sorted(result.trials, key=lambda trial: trial.values[field])
        if (score := trial.rung_scores[0] if trial.rung_scores else trial.score) is not None
    ]
    return pd.DataFrame(rows, columns=_COLUMNS).astype({"value": float, "score": float, "chosen": bool})


def draw_search(
    data: pd.DataFrame,
    *,
    field: str,
    log: bool,
    title: str,
    metric: str,
    at_first_rung: bool = False,
    narrow: bool = False,
) -> View:
    """Draw a line per method through its trials; a ring marks the chosen one."""
    width = NARROW_WIDTH if narrow else WIDTH
    methods = list(dict.fromkeys(data["method"]))
    panel = layered(
        data,
        {
            "x": _value_axis(field, log),
            "y": quantity(
                "score", title=f"validation {metric_title(metric)}", scale=score_scale(data["score"])
            ),
            "color": categorical_encoding("method", PALETTE, methods),
        },
        *line_and_points("method", methods, width=1.6, size=50),
        highlight("chosen", size=280),
        width=width,
        height=340,
    )
    compared = " at the first rung" if at_first_rung else ""
    subtitle = f"a point per trial{compared}, mean over the search's seeds; a ring marks the chosen value"
    return titled(with_line_key(panel, methods, width=width), title, subtitle, offset=10)


def _value_axis(field: str, log: bool) -> View:
    scale = {"nice": False, "padding": 18} | ({"type": "log"} if log else {"type": "linear", "zero": False})
    axis = {"format": "~e", "tickCount": 8} if log else {}
    return quantity("value", title=f"{field}{' (log scale)' if log else ''}", scale=scale, axis=axis)
