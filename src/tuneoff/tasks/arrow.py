"""Rows of Arrow data, as Parquet files and hub data sets give them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tuneoff.errors import DataError, shown
from tuneoff.tasks.table import Record

if TYPE_CHECKING:
    import pyarrow

_LEAST_ROW_BYTES = 64


def arrow_records(
    name: str,
    schema: "pyarrow.Schema",
    batches: Iterable["pyarrow.RecordBatch | pyarrow.Table"],
    *,
    most_bytes: int | None = None,
) -> tuple[Record, ...]:
    """The rows of the batches, with the columns of the schema alone.

    Raises:
        DataError: a column is nested, a value has no counterpart in Python, or the data unpacks to more
            than `most_bytes`.
    """
    from pyarrow import types

    for field in schema:
        values = field.type.value_type if types.is_dictionary(field.type) else field.type
        if types.is_nested(values):
            raise DataError(
                f"a cell must be text, a number or a truth value, but column {shown(field.name)} of {name} "
                f"holds {shown(str(values))}; flatten it"
            )
    records: list[Record] = []
    size = 0
    for batch in batches:
        size += max(batch.nbytes, _LEAST_ROW_BYTES * batch.num_rows)
        if most_bytes is not None and size > most_bytes:
            raise DataError(too_large(name, most_bytes))
        start = len(records)
        try:
            rows = batch.select(schema.names).to_pylist()
        except (ValueError, OverflowError) as error:
            cause = str(error).partition("\n")[0]
            raise DataError(
                f"cells must hold values that can be read as text, but {name} does not between row {start} "
                f"and row {start + batch.num_rows - 1} ({cause}); correct or leave out "
                "the value"
            ) from error
        records.extend(Record(f"row {row}", cells) for row, cells in enumerate(rows, start=start))
    return tuple(records)


def too_large(name: str, most_bytes: int) -> str:
    """What is wrong with data that unpacks to more than so many bytes."""
    return (
        f"a compressed file must not unpack to more than {most_bytes:,} bytes, but {name} does; "
        "leave out columns or rows that the task does not use"
    )
