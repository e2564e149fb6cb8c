"""Rows of Arrow data, from Parquet files and hub data sets."""

from collections.abc import Collection, Iterable
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
    lists: Collection[str] = (),
    most_bytes: int | None = None,
) -> tuple[Record, ...]:
    """Return the rows of the batches, with the columns of the schema only, of which `lists` may hold lists.

    Raises:
        DataError: another column is nested, a value has no counterpart in Python, or the data unpacks to more
            than `most_bytes`.
    """
    from pyarrow import types

    for field in schema:
        listed = field.name in lists and (types.is_list(field.type) or types.is_large_list(field.type))
        values = field.type.value_type if listed or types.is_dictionary(field.type) else field.type
        if types.is_nested(values):
            raise DataError(
                f"column {shown(field.name)} of {name} holds {shown(str(values))}, but a cell must be text, "
                "a number or a truth value; flatten it"
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
                f"cannot read a value of {name} between row {start} and row {start + batch.num_rows - 1} "
                f"({cause}); correct or remove it"
            ) from error
        records.extend(Record(f"row {row}", cells) for row, cells in enumerate(rows, start=start))
    return tuple(records)


def too_large(name: str, most_bytes: int) -> str:
    """Return the message for data that unpacks to more than `most_bytes`."""
    return (
        f"{name} unpacks to more than {most_bytes:,} bytes, the limit for compressed files; "
        "remove columns or rows that the task does not use"
    )
