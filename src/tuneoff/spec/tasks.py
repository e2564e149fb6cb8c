"""Tasks: where rows come from, what the model reads, and what its target is."""

import unicodedata
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, PositiveInt, Tag, field_validator, model_validator

from tuneoff.errors import shown
from tuneoff.spec.base import Length, Spec, SplitName
from tuneoff.spec.prompt import prompt_columns


class HubSource(Spec):
    """A data set on the Hugging Face hub."""

    hub: Annotated[str, Field(min_length=1)]
    config: str | None = None
    revision: str | None = None
    splits: dict[SplitName, str] = Field(default_factory=dict)
    """The hub's names of splits: `{test: validation}` tests on the validation split. By default, train,
    validation (or val, valid, dev) and test."""

    @model_validator(mode="after")
    def _splits_differ(self) -> Self:
        if len(set(self.splits.values())) < len(self.splits):
            raise ValueError(f"splits must name different splits of the hub, but got {self.splits}")
        return self


class FilesSource(Spec):
    """Local files, one for each split; the ending names the format (csv, tsv, json, jsonl, parquet; .gz)."""

    files: dict[SplitName, str]
    test_share: Annotated[float, Field(gt=0, le=0.5)] | None = None
    """Without a test file: the share of the rows of train that is the test split, always the same rows."""

    @model_validator(mode="after")
    def _needs_train_and_test(self) -> Self:
        missing = [split for split in ("train", "test") if split not in self.files]
        if missing == ["test"] and self.test_share is not None:
            return self
        if missing:
            raise ValueError(
                f"files must name a train and a test file, but {' and '.join(missing)} is missing "
                "(validation is optional: without it, rows are split off train; test_share: 0.2 does so for "
                "the test)"
            )
        if self.test_share is not None:
            raise ValueError("files must name a test file or have a test_share, but got both; remove one")
        return self


class BuiltinSource(Spec):
    """A data set that tuneoff generates itself."""

    builtin: str


def _source_kind(source: Any) -> str | None:
    keys = source if isinstance(source, dict) else vars(source) if isinstance(source, Spec) else ()
    kinds = [kind for kind in ("hub", "files", "builtin") if kind in keys]
    return kinds[0] if len(kinds) == 1 else None


Source = Annotated[
    Annotated[HubSource, Tag("hub")]
    | Annotated[FilesSource, Tag("files")]
    | Annotated[BuiltinSource, Tag("builtin")],
    Discriminator(_source_kind),
]


class TaskSpec(Spec):
    """Settings that every task has; see `ClassificationSpec` and `SummarizationSpec`."""

    source: Source
    prompt: str
    """The model's input, with the row's columns in braces: `"Summarize: {dialogue}"`. The text in braces is
    the column's name as it is; literal braces are doubled."""
    target: str
    """The column that holds the target."""
    max_source_length: Length = 512
    """Longest input in tokens; longer ones are cut at the end and counted."""
    max_target_length: Length = 128
    """Longest target in tokens, end-of-sequence included; longer ones are cut and counted."""
    max_eval_samples: PositiveInt | None = None
    """At most this many validation rows, the first ones, are scored at each evaluation."""
    max_predict_samples: PositiveInt | None = None
    """At most this many test rows, the first ones, are scored at the end."""
    drop_overlap: bool = False
    """Drop test and validation rows whose input also occurs in train."""
    allow_target_in_prompt: bool = False
    """Let the prompt contain the target column or one with the same content: the model reads the answer."""
    training: dict[str, Any] = Field(default_factory=dict)
    """Training settings of this task that differ from the study's."""

    @field_validator("prompt")
    @classmethod
    def _prompt_has_fields(cls, prompt: str) -> str:
        if not prompt_columns(prompt):
            raise ValueError(
                "a prompt must hold at least one column in braces, such as '{text}', but got " + shown(prompt)
            )
        return prompt


class ClassificationSpec(TaskSpec):
    """Choose one of a fixed set of labels."""

    kind: Literal["classification"]
    labels: Annotated[dict[str, Annotated[str, Field(min_length=1)]], Field(min_length=2)]
    """From the value in the target column to the text that the model generates for it, both as written in
    the file. A list stands for values that are the texts themselves."""
    positive: str | None = None
    """With two labels, the value whose F1 is `eval_f1`; by default the last one listed."""
    scoring: Literal["likelihood", "generate"] = "likelihood"
    """Choose the label whose text has the highest likelihood, or generate text and compare it."""

    @property
    def main_metric(self) -> str:
        """The score that chooses the best checkpoint and is drawn in plots; higher is better."""
        return "eval_accuracy"

    @field_validator("labels", mode="before")
    @classmethod
    def _as_texts(cls, labels: Any) -> Any:
        if isinstance(labels, dict):
            return {str(value): text for value, text in labels.items()}
        if not isinstance(labels, list | tuple):
            return labels
        if not all(isinstance(label, str) for label in labels) or len(set(labels)) < len(labels):
            raise ValueError(f"a list of labels must hold texts, each once, but got {shown(labels)}")
        return {label: label for label in labels}

    @model_validator(mode="after")
    def _labels_are_distinct(self) -> Self:
        texts = list(self.labels.values())
        plain = {unicodedata.normalize("NFC", text.strip()).casefold() for text in texts}
        if len(plain) < len(texts):
            raise ValueError(f"labels must have distinct texts, but got {shown(texts)}")
        if self.positive is not None and self.positive not in self.labels:
            raise ValueError(
                f"positive must be one of {shown(list(self.labels))}, but got {shown(self.positive)}"
            )
        return self


class SummarizationSpec(TaskSpec):
    """Write a short text for a long one."""

    kind: Literal["summarization"]
    max_new_tokens: Length = 64
    """Longest generated text in tokens, on validation and test alike."""
    num_beams: PositiveInt = 1
    """1 is greedy search; more is beam search."""

    @property
    def main_metric(self) -> str:
        """The score that chooses the best checkpoint and is drawn in plots; higher is better."""
        return "eval_rougeL"


Task = Annotated[ClassificationSpec | SummarizationSpec, Field(discriminator="kind")]
