"""What a loaded task is made of, and the nested subsets of its training examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tuneoff.errors import DataError
from tuneoff.spec import SplitName, Task, TrainSize


@dataclass(frozen=True, slots=True)
class Example:
    """One row of a split, ready for a tokenizer."""

    row: int
    """Row in the source's split, from 0; for a carved validation split, the row in train."""
    source: str
    """The prompt with the row's columns filled in."""
    text: str
    """The row's columns alone, in the order of the prompt, a line each or more."""
    target: str
    """The text to be learned; for classification the label's text."""
    label: str | None
    """The label's value (a key of `labels`); None for other kinds of task."""

    @property
    def reference(self) -> str:
        """What an answer is held against: the label's value, for other kinds of task the target."""
        return self.target if self.label is None else self.label


@dataclass(frozen=True, slots=True)
class RowCounts:
    """Rows of one split on their way from the source to examples, before any limit.

    `read - empty - dropped_overlap` rows are left.
    """

    read: int
    """Rows in the source; a carved validation split takes its rows out of train's."""
    empty: int
    """Rows dropped because a prompt column or the target was empty."""
    duplicates: int
    """Rows that repeat an earlier one of this split exactly; they are kept."""
    overlap: int
    """Rows whose input also occurs in train (0 for train itself)."""
    dropped_overlap: int
    """Rows of those left out by `drop_overlap`."""
    near_overlap: int = 0
    """Further rows whose input occurs in train but for case, spaces and punctuation."""
    repeated_inputs: int = 0
    """Rows whose input, but for the same, is that of an earlier row of this split; they are kept."""
    validation_overlap: int = 0
    """Rows of test whose input, but for the same, also occurs in validation (0 for the other splits)."""


@dataclass(frozen=True, slots=True)
class TaskData:
    """The examples of a task and where they come from."""

    spec: Task
    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    """At most `max_eval_samples` examples."""
    test: tuple[Example, ...]
    """At most `max_predict_samples` examples."""
    reports: Mapping[SplitName, RowCounts]
    carved_validation: bool
    """The validation split was taken from train because the source has none."""
    revision: str | None
    """Commit of a hub data set."""
    digests: Mapping[str, str]
    """SHA-256 of each split's rows: the columns that the task uses, as text, before any row is dropped."""


def train_subset(examples: Sequence[Example], size: TrainSize, *, seed: int) -> tuple[Example, ...]:
    """The first `size` examples of the seed's permutation, so that smaller subsets lie within larger ones.

    `full` is all examples in file order.

    Raises:
        DataError: there are fewer examples than `size`.
    """
    if size == "full":
        return tuple(examples)
    if size > len(examples):
        raise DataError(
            f"a train size must not exceed the usable training rows, but got {size} with "
            f"{len(examples)} rows; lower train_sizes, or use full"
        )
    order = np.random.default_rng(seed).permutation(len(examples))
    return tuple(examples[index] for index in order[:size])
