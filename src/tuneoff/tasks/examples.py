"""The examples of a loaded task, and the nested subsets of its training examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tuneoff.errors import DataError
from tuneoff.spec import LETTERS, SplitName, Task, TrainSize


@dataclass(frozen=True, slots=True)
class Example:
    """One row of a split, ready for a tokenizer."""

    row: int
    """Row in the source's split, from 0; for a carved validation split, the row in train."""
    source: str
    """The prompt with the row's columns filled in."""
    text: str
    """The prompt's columns of the row without the words around them, each starting a line."""
    target: str
    """The text to be learned: of the right label or option, or the first reference."""
    label: str | None
    """The label's value (a key of `labels`), or the right option's letter; None if the answer is a text."""
    options: tuple[str, ...] = ()
    """The texts to choose from, in order; empty where a row has none of its own."""
    alternatives: tuple[str, ...] = ()
    """Further references, each as right as the target."""

    @property
    def references(self) -> tuple[str, ...]:
        """All right texts, the target first."""
        return (self.target, *self.alternatives)

    @property
    def reference(self) -> str:
        """What files and reports call right: the label's value or the option's letter, or all references."""
        return " | ".join(self.references) if self.label is None else self.label

    @property
    def shown(self) -> str:
        """What a report shows as the input: the text, and the options unless it has them."""
        lettered = lettered_options(self.options)
        return self.text if not self.options or lettered in self.text else f"{self.text}\n{lettered}"


def lettered_options(options: Sequence[str]) -> str:
    """Return the options of a row as lines that begin with their letters: `(A) yes`."""
    pairs = zip(LETTERS, options, strict=False)
    return "\n".join(f"({letter}) {option}" for letter, option in pairs)


@dataclass(frozen=True, slots=True)
class RowCounts:
    """Counts of the rows of one split, from the source to examples, before any limit.

    `read - empty - dropped_overlap` rows remain.
    """

    read: int
    """Rows in the source; a carved validation split takes its rows out of train's."""
    empty: int
    """Rows dropped because a prompt column or the target was empty."""
    duplicates: int
    """Rows that repeat an earlier one of this split exactly; they stay."""
    overlap: int
    """Rows whose input also occurs in train (0 for train itself)."""
    dropped_overlap: int
    """Those of `overlap` that `drop_overlap` dropped."""
    near_overlap: int = 0
    """Further rows whose input occurs in train up to case, spaces and punctuation."""
    repeated_inputs: int = 0
    """Rows whose input is, up to the same, that of an earlier row of this split; they stay."""
    validation_overlap: int = 0
    """Rows of test whose input also occurs in validation, up to the same (0 for the other splits)."""


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
    """Whether the validation split was taken from train because the source has none."""
    revision: str | None
    """Commit of a hub data set."""
    digests: Mapping[str, str]
    """SHA-256 of each split's rows: the columns that the task uses, as text, before any row is dropped."""


def train_subset(examples: Sequence[Example], size: TrainSize, *, seed: int) -> tuple[Example, ...]:
    """Return the first `size` examples of the seed's permutation: smaller subsets lie within larger ones.

    `full` is all examples in file order.

    Raises:
        DataError: there are fewer examples than `size`.
    """
    if size == "full":
        return tuple(examples)
    if size > len(examples):
        raise DataError(
            f"train size {size} exceeds the number of usable training rows, {len(examples)}; lower "
            "train_sizes, or use full"
        )
    order = np.random.default_rng(seed).permutation(len(examples))
    return tuple(examples[index] for index in order[:size])
