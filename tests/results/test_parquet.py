"""Parquet files are read without Arrow's threads, which may abort a process that ends."""

from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from helpers.forking import result_of
from tuneoff.results.parquet import open_parquet
from tuneoff.tasks.files import read_file

ROWS = pd.DataFrame({"text": [f"film {row}" for row in range(1000)], "score": range(1000)})


def threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def started_by_results(path: Path) -> int:
    before = threads()
    open_parquet(path).read()
    return threads() - before


def started_by_data(path: Path) -> int:
    before = threads()
    read_file(path, ["text", "score"])
    return threads() - before


def started_by_arrow(path: Path) -> int:
    before = threads()
    pyarrow.parquet.read_table(path)
    return threads() - before


@pytest.mark.subprocess
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the system does not list threads")
def test_no_thread_is_started(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    ROWS.to_parquet(path, row_group_size=100)
    # what is guarded against: Arrow reads with threads unless it is told otherwise
    assert result_of(started_by_arrow, path) > 0
    assert result_of(started_by_results, path) == 0
    assert result_of(started_by_data, path) == 0


def test_columns_are_read_by_name(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    ROWS.to_parquet(path)
    file = open_parquet(path)
    assert file.names == ["text", "score"]
    assert file.read(["score"]).column_names == ["score"]
    pd.testing.assert_frame_equal(file.read().to_pandas(), ROWS)
