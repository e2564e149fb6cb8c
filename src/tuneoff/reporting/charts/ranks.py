"""Charts of ranks that a method chose while training: a field for each layer of a model."""

from collections.abc import Mapping, Sequence

import pandas as pd

from tuneoff.reporting.charts.style import (
    ACCENT,
    NARROW_WIDTH,
    View,
    category,
    layer,
    layered,
    quantity,
    titled,
)

WIDTH = 640
_FIELD = 22
"""Height of a field, in pixels."""


def ranks_data(runs: Sequence[Mapping[str, int]]) -> pd.DataFrame:
    """Return a row per changed layer: its number in its stack, its place there, the mean rank over runs.

    A layer's name is split at its first number, as `decoder.block.3.layer.0.SelfAttention.q`: number 3, place
    decoder.SelfAttention.q, without what the names of all layers share.
    """
    parts = {name: [part for part in name.split(".") if not part.isdecimal()] for name in runs[0]}
    shared = set.intersection(*(set(own[:-1]) for own in parts.values()))
    rows = [
        (
            next((int(part) for part in name.split(".") if part.isdecimal()), 0),
            ".".join(part for part in own if part not in shared),
            sum(run[name] for run in runs) / len(runs),
        )
        for name, own in parts.items()
    ]
    return pd.DataFrame(rows, columns=["layer", "place", "rank"])


def draw_ranks(data: pd.DataFrame, *, title: str, narrow: bool = False) -> View:
    """Draw a field per layer, the darker the higher its rank, with the rank in it."""
    highest = max(float(data["rank"].max()), 1.0)
    data = data.assign(text=[f"{rank:.3g}" for rank in data["rank"]], dark=data["rank"] > highest / 2)
    places = list(dict.fromkeys(data["place"]))
    # not a color between two: on the page, colors are those of its theme, and are no numbers
    opacity = {"domain": [0, highest], "range": [0, 1]}
    panel = layered(
        data,
        {
            "x": {
                "field": "layer",
                "type": "ordinal",
                "title": "layer",
                "axis": {"labelAngle": 0, "grid": False},
            },
            "y": category("place", title=None, sort=places, axis={"grid": False}),
        },
        layer(
            "rect",
            {"color": ACCENT, "stroke": "#e6e6e6"},
            fillOpacity=quantity("rank", scale=opacity, legend=None),
        ),
        layer(
            "text",
            {"fontSize": 10},
            text=category("text"),
            color={"condition": {"test": "datum.dark", "value": "white"}, "value": "black"},
        ),
        width=NARROW_WIDTH if narrow else WIDTH,
        height=_FIELD * len(places),
    )
    return titled(panel, title, "the rank of each layer's update, mean over seeds", offset=10)
