"""Parquet files in an output folder, read in the caller's thread alone.

Arrow's pools start their threads when they are first used, and a process that ends while one of them starts
is aborted (exit code 134), although all its work is done: so did one in 15 calls of a short command.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow
import pyarrow.parquet


class ParquetContent(NamedTuple):
    """A Parquet file that was opened, of which columns can be read."""

    file: pyarrow.parquet.ParquetFile

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        names: list[str] = self.file.schema_arrow.names
        return names

    def read(self, columns: Sequence[str] | None = None) -> pyarrow.Table:
        """Return all columns, or those that are named."""
        return self.file.read(None if columns is None else list(columns), use_threads=False)


def open_parquet(path: Path) -> ParquetContent:
    """Open a Parquet file; reading it checks its pages.

    Raises:
        OSError: it cannot be read.
        pyarrow.ArrowException: it is damaged.
    """
    content = pyarrow.BufferReader(path.read_bytes())
    return ParquetContent(
        pyarrow.parquet.ParquetFile(content, page_checksum_verification=True, pre_buffer=False)
    )
