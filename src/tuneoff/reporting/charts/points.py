"""The scores that the comparison charts draw: of single runs, with the mean and spread of their cell."""

from collections.abc import Iterable

import pandas as pd

from tuneoff.stats import Cell


def run_scores(runs: pd.DataFrame, *, task: str, metric: str) -> pd.DataFrame:
    """Return a row per complete run of a task: method, train_size, seed, score, its cell's mean, std and n.

    `rows` and `trainable` are the train rows and trainable parameters, averaged over the cell's runs.
    """
    chosen = runs[(runs["task"] == task) & (runs["state"] == "complete") & runs[metric].notna()]
    cells = chosen.groupby(list(Cell._fields), sort=False)
    table = chosen[["method", "train_size", "seed"]].assign(
        score=chosen[metric],
        mean=cells[metric].transform("mean"),
        std=cells[metric].transform(lambda values: values.std(ddof=1)),
        n=cells[metric].transform("size"),
        rows=cells["train_rows"].transform("mean").astype(float),
        trainable=cells["trainable"].transform("mean").astype(float),
    )
    return table.reset_index(drop=True)


def with_spread(table: pd.DataFrame) -> pd.DataFrame:
    """Add `low` and `high`, one standard deviation around the mean; both are the mean where n is 1."""
    std = table["std"].fillna(0.0)
    return table.assign(low=table["mean"] - std, high=table["mean"] + std)


def in_method_order(table: pd.DataFrame, methods: Iterable[str]) -> pd.DataFrame:
    """Sort rows by their method, in the order given; rows of one method keep theirs."""
    order = {name: place for place, name in enumerate(methods)}
    return table.sort_values("method", key=lambda names: names.map(order), kind="stable")
