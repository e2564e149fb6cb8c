"""The scores that the comparison charts draw: of single runs, with the mean and spread of their row."""

import pandas as pd

from tuneoff.stats import CELL


def run_scores(runs: pd.DataFrame, *, task: str, metric: str) -> pd.DataFrame:
    """A row per complete run of a task: method, train_size, seed, score, its row's mean, std and n.

    `rows` and `trainable` are the train rows and trainable parameters, averaged over the row's runs.
    """
    chosen = runs[(runs["task"] == task) & (runs["state"] == "complete") & runs[metric].notna()]
    groups = chosen.groupby(list(CELL), sort=False)
    table = chosen[["method", "train_size", "seed"]].assign(
        score=chosen[metric],
        mean=groups[metric].transform("mean"),
        std=groups[metric].transform(lambda values: values.std(ddof=1)),
        n=groups[metric].transform("size"),
        rows=_mean(groups, "train_rows"),
        trainable=_mean(groups, "trainable"),
    )
    return table.reset_index(drop=True)


def with_spread(table: pd.DataFrame) -> pd.DataFrame:
    """The table with `low` and `high`, one standard deviation around the mean; the mean where n is 1."""
    std = table["std"].fillna(0.0)
    return table.assign(low=table["mean"] - std, high=table["mean"] + std)


def _mean(groups: "pd.api.typing.DataFrameGroupBy", column: str) -> pd.Series:
    return groups[column].transform("mean").astype(float)
