"""General text on which a study measures what tuning makes a model forget."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tuneoff.errors import shown
from tuneoff.spec.base import Length, Spec

Objective = Literal["continuation", "span_corruption"]
"""What a model is asked to predict of a text: what comes next, or what was taken out of its middle."""
BUILTIN_TEXTS = "builtin"
"""The name of the general texts that come with tuneoff."""
_LINES = ".txt"


class ForgettingSpec(Spec):
    """Texts that no task uses; their loss is measured on the untouched model and on every tuned one."""

    texts: Annotated[str, Field(min_length=1)]
    """`builtin`, a .txt file with a text on each line, or a table (csv, tsv, json, jsonl, parquet; .gz)."""
    column: str | None = None
    """The column of a table that holds the texts; by default `text`."""
    max_length: Annotated[Length, Field(ge=2)] = 256
    """Longest text in tokens; longer ones are cut at the end and counted."""
    objective: Objective | None = None
    """What is predicted of a text; by default span corruption where an encoder-decoder's tokenizer has T5's
    sentinel tokens, else continuation."""

    @model_validator(mode="after")
    def _columns_are_of_tables(self) -> Self:
        if self.column is not None and (self.is_builtin or self.has_lines):
            raise ValueError(
                f"column names a column of a table, but texts is {shown(self.texts)}; leave out column"
            )
        return self

    @property
    def is_builtin(self) -> bool:
        """Whether the texts are those that come with tuneoff."""
        return self.texts == BUILTIN_TEXTS

    @property
    def has_lines(self) -> bool:
        """Whether the texts are the lines of a file."""
        return Path(self.texts).suffix.lower() == _LINES

    @property
    def text_column(self) -> str:
        """The column of a table that holds the texts."""
        return "text" if self.column is None else self.column
