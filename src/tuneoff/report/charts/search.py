"""What a search found: the validation score of every trial against the value of one searched setting."""

from collections.abc import Iterable

import altair as alt
import pandas as pd

from tuneoff.report.charts.style import DASHES, PALETTE, SHAPES, cycled, line_key, metric_title, score_scale
from tuneoff.spec import SearchResult

WIDTH = 640
_COLUMNS = ["method", "value", "score", "chosen"]


def search_data(results: Iterable[SearchResult], *, field: str) -> pd.DataFrame:
    """A row per scored trial of the searches that have the field: method, value, score, chosen."""
    rows = [
        (result.method_name, trial.values[field], trial.score, trial == result.best)
        for result in results
        if field in result.space
        for trial in sorted(result.trials, key=lambda trial: trial.values[field])
        if trial.score is not None
    ]
    return pd.DataFrame(rows, columns=_COLUMNS).astype({"value": float, "score": float, "chosen": bool})


def draw_search(data: pd.DataFrame, *, field: str, log: bool, title: str, metric: str) -> alt.VConcatChart:
    """A line per method through its trials; a ring marks the chosen one."""
    methods = list(dict.fromkeys(data["method"]))
    scale = alt.Scale(type="log" if log else "linear", nice=False, padding=18, zero=False)
    base = alt.Chart(data).encode(
        x=alt.X("value:Q", title=f"{field}{' (log scale)' if log else ''}", scale=scale, axis=_axis(log)),
        y=alt.Y("score:Q", title=f"validation {metric_title(metric)}", scale=score_scale(data["score"])),
        color=alt.Color("method:N", scale=cycled(PALETTE, methods), legend=None),
    )
    line = base.mark_line(strokeWidth=1.6).encode(
        strokeDash=alt.StrokeDash("method:N", scale=cycled(DASHES, methods), legend=None)
    )
    point = base.mark_point(size=50, filled=True, opacity=1).encode(
        shape=alt.Shape("method:N", scale=cycled(SHAPES, methods), legend=None)
    )
    ring = base.transform_filter(alt.datum.chosen).mark_point(
        size=280, filled=False, strokeWidth=1.6, shape="circle", opacity=1
    )
    panel = alt.layer(line, point, ring.encode(color=alt.value("black"))).properties(width=WIDTH, height=340)
    subtitle = "a point per trial, mean over the search's seeds; a ring marks the chosen value"
    return (
        alt.vconcat(panel, line_key(methods, width=WIDTH), spacing=14)
        .resolve_scale(color="independent", strokeDash="independent", shape="independent")
        .properties(title=alt.TitleParams(title, subtitle=subtitle, offset=10))
    )


def _axis(log: bool) -> alt.Axis:
    return alt.Axis(format="~e", tickCount=8) if log else alt.Axis()
