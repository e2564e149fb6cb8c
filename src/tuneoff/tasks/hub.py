"""Reading of data sets on the Hugging Face hub."""

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tuneoff.errors import LONGEST_VALUE, DataError, shown, unknown_name
from tuneoff.spec import HubSource, SplitName
from tuneoff.tasks.arrow import arrow_records
from tuneoff.tasks.table import Table

SPLIT_NAMES: dict[SplitName, tuple[str, ...]] = {
    "train": ("train",),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test",),
}
"""The names that a split may have on the hub unless the source names it; the first one that is there
counts."""

_TIMEOUT = 5.0
_BATCH_ROWS = 10_000
_WAY_OUT = (
    "or give local files (source: {files: {train: ..., test: ...}}) "
    "or generated data (source: {builtin: ...})"
)


def hub_tables(source: HubSource, columns: Sequence[str]) -> tuple[dict[SplitName, Table], str]:
    """The splits of a hub data set and the commit that they were read at.

    Raises:
        DataError: the hub is unreachable, the data set unknown, gated or unreadable, or a split missing.
    """
    if _is_path(source.hub):
        raise DataError(
            f"hub must be the id of a data set on the hub, but {shown(source.hub)} is a local path; "
            "local files are given as source: {files: {train: ..., test: ...}}"
        )
    commit = _commit(source)
    splits = _splits(source, commit)
    names = {split: _split_name(source, split, splits) for split in SPLIT_NAMES}
    tables = {
        split: _table(f"hub data set {source.hub}, split {name}", splits[name], columns)
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
    """The hub's name of a split; None for a validation split that is not there."""
    if split in source.splits:
        names: tuple[str, ...] = (source.splits[split],)
    else:
        names = tuple(name for name in SPLIT_NAMES[split] if name not in source.splits.values())
    found = next((name for name in names if name in known), None)
    if found is None and (split != "validation" or split in source.splits):
        missing = source.splits.get(split, split)
        raise DataError(
            f"a hub data set must have train and test splits, but {source.hub} has "
            f"{unknown_name(missing, known)}; choose another config, give the names of the splits "
            f"(splits: {{test: validation}}), {_WAY_OUT}"
        )
    return found


def _commit(source: HubSource) -> str:
    from huggingface_hub import HfApi

    try:
        commit = HfApi().dataset_info(source.hub, revision=source.revision, timeout=_TIMEOUT).sha
    except Exception as error:  # which ones depends on the HTTP library below
        raise DataError(_refusal(source, error)) from error
    if commit is None:
        raise DataError(f"a hub data set must have a commit, but the hub tells none for {source.hub}")
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
    """Without the progress bars of `datasets`: what is shown to the user is the caller's business."""
    import datasets

    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


def _table(name: str, split: Any, columns: Sequence[str]) -> Table:
    known = tuple(split.column_names)
    wanted = [column for column in columns if known.count(column) == 1]
    batches = split.select_columns(wanted).with_format("arrow").iter(batch_size=_BATCH_ROWS)
    schema = split.select_columns(wanted).features.arrow_schema
    return Table(name, known, arrow_records(name, schema, batches))


def _refusal(source: HubSource, error: Exception) -> str:
    from datasets.exceptions import DatasetNotFoundError
    from huggingface_hub import constants
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    where = shown(source.hub)
    match error:
        # not found after its commit was: a gated one
        case DatasetNotFoundError():
            return (
                f"a hub data set must be open to you, but {where} is gated; accept its terms on its page "
                f"and set HF_TOKEN, {_WAY_OUT}"
            )
        case RepositoryNotFoundError() | HFValidationError():
            return (
                f"a hub data set must exist, but {constants.ENDPOINT} has none with the id {where} "
                f"that may be read; correct the id, {_WAY_OUT}"
            )
        case RevisionNotFoundError():
            return (
                f"a revision must exist, but the hub data set {where} has no {shown(source.revision)}; "
                f"correct or leave out revision, {_WAY_OUT}"
            )
    told = str(error).strip().partition("\n")[0][:LONGEST_VALUE]
    return (
        f"a hub data set must be readable, but {where} at {constants.ENDPOINT} is not "
        f"({type(error).__name__}: {told}); try again, set HF_ENDPOINT to another hub, {_WAY_OUT}"
    )
