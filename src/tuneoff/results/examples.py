"""The file of a task's test examples: what a report shows beside the answers of each run.

Predictions name their example by its row; the texts are here once for all runs.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from tuneoff.results.format import check_format, damaged_if_unreadable
from tuneoff.results.parquet import open_parquet
from tuneoff.spec.load import FORMAT
from tuneoff.spec.run import digest_of

_HEAD = b"tuneoff"
"""Key of the JSON object in the file's metadata: format number, digests of the data, and a checksum."""


@dataclass(frozen=True, kw_only=True)
class TaskExamples:
    """The N test examples of a task, as columns."""

    rows: tuple[int, ...]
    """Number of each example in the test split, which predictions name it by; [N]."""
    inputs: tuple[str, ...]
    """The prompt's columns without the words around them, each starting a line; [N]."""
    references: tuple[str, ...]
    """The right answers: labels' values, or texts; [N]."""
    digests: Mapping[str, str]
    """SHA-256 of each split's rows as loaded: the data that the examples are of."""

    @property
    def checksum(self) -> str:
        """SHA-256 of all of the above."""
        return digest_of(vars(self) | {"digests": dict(self.digests)})


def dump_examples(examples: TaskExamples) -> bytes:
    """Return the content of a Parquet file with columns `row`, `input` and `reference`."""
    head = {"format": FORMAT, "digests": dict(examples.digests), "checksum": examples.checksum}
    schema = pyarrow.schema(
        [("row", pyarrow.int64()), ("input", pyarrow.string()), ("reference", pyarrow.string())],
        metadata={_HEAD: json.dumps(head)},
    )
    columns: list[Any] = [examples.rows, examples.inputs, examples.references]
    file = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.table(columns, schema=schema), file)
    return file.getvalue().to_pybytes()


def read_examples(path: Path) -> TaskExamples:
    """Read a file of examples.

    Raises:
        DamagedError: the file cannot be read, or was changed after it was written.
        NewerFormatError: it was written by a newer version.
    """
    with damaged_if_unreadable(path, pyarrow.ArrowException, KeyError, TypeError, ValueError):
        table = open_parquet(path).read()
        head = json.loads((table.schema.metadata or {})[_HEAD])
        check_format(path, head["format"])
        examples = TaskExamples(
            rows=tuple(table["row"].to_pylist()),
            inputs=tuple(table["input"].to_pylist()),
            references=tuple(table["reference"].to_pylist()),
            digests=head["digests"],
        )
        if head["checksum"] != examples.checksum:
            raise ValueError("it was changed after it was written")
        return examples
