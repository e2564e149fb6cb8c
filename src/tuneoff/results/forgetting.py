"""Loss on general text before and after tuning: its part of a record, and its file with a row per text."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pyarrow
import pyarrow.parquet
from pydantic import NonNegativeInt, PositiveInt

from tuneoff.errors import writing
from tuneoff.spec import Spec
from tuneoff.spec.forgetting import Objective


class Forgetting(Spec):
    """The mean loss on general text, in nats per token, of the untouched model and of the tuned one."""

    objective: Objective
    """What the model was asked to predict."""
    before: float
    after: float
    texts: PositiveInt
    """Texts with a token to predict."""
    tokens: PositiveInt
    """Tokens that are predicted."""
    truncated: NonNegativeInt
    """Texts that were cut to `max_length`."""
    digest: str
    """SHA-256 of the texts and of how they are used."""

    @property
    def increase(self) -> float:
        """By how much the loss has risen, in nats per token."""
        return self.after - self.before


class TextLoss(NamedTuple):
    """The losses on one general text, in nats per token. Each field is a column of the file."""

    row: int
    """Number of the text among those that are not blank."""
    tokens: int
    """Tokens of it that are predicted."""
    before: float
    """Of the untouched model."""
    after: float
    """Of the tuned model."""


def write_text_losses(path: Path, losses: Iterable[TextLoss]) -> None:
    """Write a file with a row per text, whose pages carry checksums.

    Raises:
        StoreError: it cannot be written.
    """
    table = pyarrow.Table.from_pylist([one._asdict() for one in losses])
    with writing(path):
        pyarrow.parquet.write_table(table, path, write_page_checksum=True)
