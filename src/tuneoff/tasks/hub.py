"""Reading of data sets on the Hugging Face hub."""

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tuneoff.errors import DataError, first_line, shown, suggestions, without_credentials
from tuneoff.spec import HubSource, SplitName
from tuneoff.tasks.arrow import arrow_records
from tuneoff.tasks.table import Table

SPLIT_NAMES: dict[SplitName, tuple[str, ...]] = {
    "train": ("train",),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test",),
}
"""The names that a split may have on the hub unless the source names it; the first that exists is used."""

_TIMEOUT = 5.0
_BATCH_ROWS = 10_000
_ALTERNATIVES = (
    "or give local files (source: {files: {train: ..., test: ...}}) "
    "or generated data (source: {builtin: ...})"
)


def hub_tables(
    source: HubSource, columns: Sequence[str], *, lists: Collection[str] = ()
) -> tuple[dict[SplitName, Table], str]:
    """Read the splits of a hub data set; return them and the commit that was read; `lists` may hold lists.

    The fields of a column `answers` that holds objects are columns `answers.text` of their own.

    Raises:
        DataError: the hub is unreachable, the data set unknown, gated or unreadable, or a split missing.
    """
    if _is_path(source.hub):
        raise DataError(
            f"{shown(source.hub)} is a local path, but hub must be the id of a data set on the hub; give "
            "local files as source: {files: {train: ..., test: ...}}"
        )
    commit = _commit(source)
    splits = _splits(source, commit)
    names = {split: _split_name(source, split, splits) for split in SPLIT_NAMES}
    tables = {
        split: _table(f"hub data set {source.hub}, split {name}", splits[name], columns, lists)
        for split, name in names.items()
        if name is not None
    }
    return tables, commit


def _is_path(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):  # too long, or holds a zero byte
        return False


def _split_name(source: HubSource, split: SplitName, known: Collection[str]) -> str | None:
    """Return the hub's name of a split; None for a validation split that does not exist."""
    if split in source.splits:
        names: tuple[str, ...] = (source.splits[split],)
    else:
        names = tuple(name for name in SPLIT_NAMES[split] if name not in source.splits.values())
    found = next((name for name in names if name in known), None)
    if found is None and (split != "validation" or split in source.splits):
        missing = source.splits.get(split, split)
        raise DataError(
            f"data set {source.hub} has no {shown(missing)} split{suggestions(missing, known)}; choose "
            f"another config, name the splits (splits: {{test: validation}}), {_ALTERNATIVES}"
        )
    return found


def _commit(source: HubSource) -> str:
    from huggingface_hub import HfApi

    try:
        commit = HfApi().dataset_info(source.hub, revision=source.revision, timeout=_TIMEOUT).sha
    except Exception as error:  # which ones depends on the HTTP library below
        raise DataError(_refusal(source, error)) from error
    if commit is None:
        raise DataError(f"the hub reports no commit for data set {source.hub}; try again, {_ALTERNATIVES}")
    return commit


def _splits(source: HubSource, commit: str) -> Mapping[str, Any]:
    import datasets

    try:
        with _quiet():
            splits: Mapping[str, Any] = datasets.load_dataset(source.hub, name=source.config, revision=commit)
    except Exception as error:  # a builder raises whatever the files' formats make it raise
        raise DataError(_refusal(source, error)) from error
    return splits


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Switch off the progress bars of `datasets`: the caller decides what is displayed."""
    import datasets

    enabled = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if enabled:
            datasets.enable_progress_bars()


def _table(name: str, split: Any, columns: Sequence[str], lists: Collection[str]) -> Table:
    split = split.flatten()
    known = tuple(split.column_names)
    present = [column for column in columns if known.count(column) == 1]
    batches = split.select_columns(present).with_format("arrow").iter(batch_size=_BATCH_ROWS)
    schema = split.select_columns(present).features.arrow_schema
    return Table(name, known, arrow_records(name, schema, batches, lists=lists))


def _refusal(source: HubSource, error: Exception) -> str:
    """Return the message for a failed request to the hub."""
    from datasets.exceptions import DatasetNotFoundError
    from huggingface_hub import constants
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    where, endpoint = shown(source.hub), without_credentials(constants.ENDPOINT)
    match error:
        # the commit was found before, so the data set exists and is gated
        case DatasetNotFoundError():
            return (
                f"hub data set {where} is gated; accept its terms on its page and set HF_TOKEN, "
                f"{_ALTERNATIVES}"
            )
        case RepositoryNotFoundError() | HFValidationError():
            return f"{endpoint} has no data set {where} that you may read; correct the id, {_ALTERNATIVES}"
        case RevisionNotFoundError():
            return (
                f"hub data set {where} has no revision {shown(source.revision)}; correct or remove revision, "
                f"{_ALTERNATIVES}"
            )
    return (
        f"cannot read hub data set {where} at {endpoint} ({type(error).__name__}: {first_line(error)}); "
        f"try again, set HF_ENDPOINT to another hub, {_ALTERNATIVES}"
    )
